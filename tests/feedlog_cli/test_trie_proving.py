from __future__ import annotations

from pathlib import Path

import pytest

from feedlog import Store
from tests.reference.command_line import Run
from trie import Trie


@pytest.fixture
def key(home: Path) -> str:
    with Store(home) as store:
        trie = Trie(store.feed("config"), order="key")
        trie.update({f"colours/{n:02}": b"%d" % n for n in range(40)})
        trie["empty"] = b""
        trie["colours/sky"] = b"blue"
        return trie.feed.id


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    return tmp_path / "proof"


def test_real_processes_prove_and_verify_without_a_store(
    process: Run, key: str, proof: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = process("trie", "prove", "config", "colours/sky", "-o", proof)
    assert (made.code, made.raw) == (0, b"")
    assert made.err == f"{proof}: {proof.stat().st_size:,} bytes of proof about version 43\n"
    monkeypatch.setenv("FEEDLOG_STORE", str(tmp_path / "nowhere"))
    shown = process("trie", "verify", key, "colours/sky", proof)
    assert (shown.code, shown.raw) == (0, b"blue")
    assert shown.err.startswith("valid: version 43 of the trie has the value below for key")
    other = process("trie", "verify", key, "colours/07", proof)
    assert (other.code, other.raw) == (1, b"")
    assert "not the key asked for" in other.complaint
    proof.write_bytes(proof.read_bytes().replace(b"blue", b"grey"))
    forged = process("trie", "verify", key, "colours/sky", proof)
    assert (forged.code, forged.raw) == (1, b"")
    assert process("trie", "verify", "nonsense", "colours/sky", proof).code == 2


def test_absence_is_told_from_an_empty_value(feedlog: Run, key: str, proof: Path) -> None:
    about = {"feed": key, "version": 43, "fork": 0}
    feedlog("trie", "prove", "config", "nix", "-o", proof)
    absent = feedlog("trie", "verify", key, "nix", proof)
    assert (absent.code, absent.raw) == (0, b"")
    assert absent.err == "valid: version 43 of the trie has no key 'nix'\n"
    shown = feedlog("trie", "verify", key, "nix", proof, "--json").json
    assert shown == {**about, "key": "nix", "present": False}
    empty = feedlog("trie", "prove", "config", "empty").raw
    shown = feedlog("trie", "verify", key, "empty", "-", "--json", stdin=empty).json
    assert shown == {**about, "key": "empty", "present": True, "value": ""}


def test_a_listing_is_complete(feedlog: Run, key: str, proof: Path) -> None:
    feedlog("trie", "prove", "config", "colours/", "--listing", "-o", proof)
    shown = feedlog("trie", "verify", key, "colours/", proof, "--listing")
    assert shown.code == 0
    assert "has 41 keys under 'colours/', and no others" in shown.err
    assert shown.out.splitlines()[0] == "colours/00\t0"
    assert shown.out.splitlines()[-1] == "colours/sky\tblue"
    items = feedlog("trie", "verify", key, "colours/", proof, "-l", "--json").json["items"]
    assert items == {**{f"colours/{n:02}": str(n) for n in range(40)}, "colours/sky": "blue"}
    assert feedlog("trie", "verify", key, "", proof, "--listing").code == 1
    assert feedlog("trie", "verify", key, "colours/", proof).code == 1, "a listing is no lookup"


def test_an_old_version(feedlog: Run, key: str) -> None:
    old = feedlog("trie", "prove", "config", "colours/sky", "--at", 42).raw
    shown = feedlog("trie", "verify", key, "colours/sky", "-", "--json", stdin=old).json
    assert (shown["version"], shown["present"]) == (42, False)


def test_every_flipped_bit_is_refused(feedlog: Run, key: str, proof: Path) -> None:
    data = feedlog("trie", "prove", "config", "colours/sky").raw
    for at in range(0, len(data), 17):
        proof.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        result = feedlog("trie", "verify", key, "colours/sky", proof)
        assert (result.code, result.raw) == (1, b""), f"byte {at}"
        assert result.complaint
