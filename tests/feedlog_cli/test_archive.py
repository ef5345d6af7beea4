from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.reference.command_line import Network, Run


@pytest.fixture(autouse=True)
def key(feedlog: Run) -> str:
    key = feedlog("create", "news").out.strip()
    feedlog("append", "news", "one", "two")
    feedlog("append", "news", "three")
    return key


@pytest.fixture
def file(feedlog: Run, tmp_path: Path) -> Path:
    file = tmp_path / "news.feed"
    result = feedlog("export", "news", file)
    assert (result.code, result.raw) == (0, b"")
    assert result.err == f"{file}: 3 of 3 blocks, {file.stat().st_size} B\n"
    return file


@pytest.fixture
def other(home: Path) -> Path:
    return home.with_name("other")


def test_a_feed_goes_through_a_file(process: Run, key: str, file: Path, other: Path) -> None:
    result = process("import", file, "--store", other)
    assert (result.code, result.out, result.err) == (0, f"{key}\n", "imported 3 of 3 blocks\n")
    assert process("cat", key, "--store", other).raw == b"one\ntwo\nthree\n"
    assert process("audit", "--store", other).code == 0
    facts = process("info", key, "--store", other, "--json").json
    assert facts["writable"] is False


def test_json(feedlog: Run, key: str, file: Path, other: Path) -> None:
    assert feedlog("import", file, "--store", other, "--json").json == {
        "key": key,
        "length": 3,
        "held": 3,
        "fork": 0,
    }


def test_only_what_is_held_is_exported(feedlog: Run, key: str, tmp_path: Path, other: Path) -> None:
    feedlog("clear", "news", "1")
    file = tmp_path / "some.feed"
    assert feedlog("export", key, file).err.startswith(f"{file}: 2 of 3 blocks, ")
    assert feedlog("import", file, "--store", other).err == "imported 2 of 3 blocks\n"
    assert "block 1 is not held" in feedlog("get", key, 1, "--store", other).complaint


def test_a_feed_of_somebody_else_is_exported(
    feedlog: Run, network: Network, tmp_path: Path, other: Path
) -> None:
    feedlog("clone", network.log, "-b", network.bootstrap)
    feedlog("export", network.log, tmp_path / "log.feed")
    assert feedlog("import", tmp_path / "log.feed", "--store", other).out == f"{network.log}\n"


def test_a_file_is_replaced_by_force_only(feedlog: Run, file: Path) -> None:
    file.write_bytes(b"precious")
    complaint = feedlog("export", "news", file).complaint
    assert complaint == f"{file} exists already; --force replaces it"
    assert file.read_bytes() == b"precious"
    assert feedlog("export", "news", file, "--force").code == 0
    assert file.read_bytes().startswith(b"feedlog archive\n")
    assert feedlog("export", "nobody", file, "--force").code == 1
    assert file.read_bytes().startswith(b"feedlog archive\n")


def test_places_that_take_no_file(feedlog: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pipe, nowhere = tmp_path / "pipe", tmp_path / "no" / "file"
    complaint = feedlog("export", "news", tmp_path, "--force").complaint
    assert complaint == f"{tmp_path} is a directory"
    complaint = feedlog("export", "news", pipe, "--force").complaint
    assert complaint == f"{pipe} is no regular file, and an export is not a stream"
    assert pipe.is_fifo()
    complaint = feedlog("export", "news", nowhere).complaint
    assert complaint == f"there is no directory {nowhere.parent}"


def test_a_feed_of_which_nothing_is_known(feedlog: Run, tmp_path: Path) -> None:
    feedlog("create", "empty")
    complaint = feedlog("export", "empty", tmp_path / "empty.feed").complaint
    assert "nothing to export" in complaint
    assert not list(tmp_path.glob("*.feed*"))


def test_a_feed_that_the_store_has_is_not_imported(feedlog: Run, key: str, file: Path) -> None:
    feedlog("append", "news", "four")
    assert feedlog("import", file).complaint == f"the store has 4 blocks of the feed {key}"
    assert feedlog("cat", "news").raw == b"one\ntwo\nthree\nfour\n"


def test_every_flipped_bit_is_refused(feedlog: Run, tmp_path: Path, other: Path) -> None:
    # One head only: of later ones the manifest, which is known by then, is not looked at.
    feedlog("create", "short")
    feedlog("append", "short", "one", "two")
    file = tmp_path / "short.feed"
    feedlog("export", "short", file)
    data = file.read_bytes()
    for at in range(0, len(data), 7):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert feedlog("import", file, "--store", other).complaint, f"byte {at}"
    for length in range(0, len(data), 50):
        file.write_bytes(data[:length])
        assert feedlog("import", file, "--store", other).complaint, f"length {length}"
    assert feedlog("info", "--store", other, "--json").json == []


def test_what_is_no_file_makes_no_store(feedlog: Run, tmp_path: Path, other: Path) -> None:
    complaint = feedlog("import", tmp_path / "no", "--store", other).complaint
    assert complaint == f"there is no file {tmp_path / 'no'}"
    assert not other.exists()
    assert feedlog("import", tmp_path, "--store", other).complaint == f"{tmp_path}: Is a directory"
