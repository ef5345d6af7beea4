from __future__ import annotations

import base64
from pathlib import Path

import pytest

from feedlog_cli.proving import preview
from tests.reference.command_line import Run


@pytest.fixture(autouse=True)
def key(feedlog: Run) -> str:
    key = feedlog("create", "news").out.strip()
    feedlog("append", "news", *(f"entry {n}" for n in range(20)))
    return key


@pytest.fixture
def proof(feedlog: Run, tmp_path: Path) -> Path:
    file = tmp_path / "proof"
    result = feedlog("prove", "news", 7, "9:11", "-o", file)
    assert f"{file}: 3 blocks of 22 bytes and " in result.err
    return file


def test_a_proof_needs_the_key_and_no_store(
    feedlog: Run, key: str, proof: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEEDLOG_STORE", "/nowhere")
    result = feedlog("verify", key, proof)
    assert result.code == 0
    assert "valid: the feed's writer signed 20 blocks, 3 of which are shown" in result.err
    assert result.out == "block 7   entry 7\nblock 9   entry 9\nblock 10  entry 10\n"
    assert feedlog("verify", key, proof, "--raw").raw == b"entry 7entry 9entry 10"
    assert feedlog("verify", key, proof, "--json").json == {
        "key": key,
        "length": 20,
        "fork": 0,
        "blocks": {str(n): base64.b64encode(f"entry {n}".encode()).decode() for n in (7, 9, 10)},
    }


def test_pipes(feedlog: Run, key: str) -> None:
    written = feedlog("prove", "news", 3)
    assert feedlog("verify", key, "-", "--raw", stdin=written.raw).raw == b"entry 3"


def test_an_old_head_can_be_proven_against(feedlog: Run, key: str) -> None:
    feedlog("append", "news", "later")
    old = feedlog("prove", "news", 3, "--length", 20).raw
    assert feedlog("verify", key, "-", "--json", stdin=old).json["length"] == 20
    feedlog("append", "news", "later still")
    for length, nearest in ((0, "20"), (-1, "20"), (19, "20"), (99, "22")):
        complaint = feedlog("prove", "news", 3, "--length", length).complaint
        assert complaint == (
            f"no head was signed, or is kept, at length {length}; the nearest: {nearest}"
        )


def test_blocks_of_an_old_head_are_counted_in_it(feedlog: Run, key: str) -> None:
    feedlog("append", "news", "later")
    old = feedlog("prove", "news", "18:", "-1", "--length", 20).raw
    assert list(feedlog("verify", key, "-", "--json", stdin=old).json["blocks"]) == ["18", "19"]
    complaint = feedlog("prove", "news", 20, "--length", 20).complaint
    assert complaint == "block 20 is past the end: the feed has 20 blocks"


def test_one_way_to_print_is_chosen(feedlog: Run, key: str, proof: Path) -> None:
    result = feedlog("verify", key, proof, "--raw", "--json")
    assert (result.code, result.complaint) == (2, "give --raw or --json, not both")


def test_every_flipped_bit_is_refused(feedlog: Run, key: str, proof: Path) -> None:
    data = proof.read_bytes()
    for at in range(0, len(data), 7):
        proof.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        result = feedlog("verify", key, proof)
        assert result.code == 1, f"byte {at}"
        assert result.complaint


def test_the_key_of_another_feed_is_refused(feedlog: Run, proof: Path) -> None:
    other = feedlog("create", "other").out.strip()
    assert "the feed's key" in feedlog("verify", other, proof).complaint


def test_a_preview_is_one_safe_line() -> None:
    assert preview(b"hello") == "hello"
    assert preview("gr\u00fc\u00dfe".encode()) == "gr\u00fc\u00dfe"
    assert preview(b"\x1b[2J") == "4 bytes"
    assert preview(b"two\nlines") == "9 bytes"
    assert preview(b"\xff\xfe") == "2 bytes"
    assert preview(b"x" * 100) == "x" * 71 + "... (100 bytes)"
    assert preview("\u00fc".encode() * 100).endswith("... (200 bytes)")
