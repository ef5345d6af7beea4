from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog_cli.directory import (
    BLOCK_SIZE,
    Digest,
    FileEntry,
    data_key,
    metadata,
    safe_path,
)
from feedlog_cli.errors import CommandError

EMPTY_HASH = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
ENTRY = FileEntry(7, 2, 70000, "0" * 64)


def test_the_block_size_fills_pages_of_the_store() -> None:
    assert BLOCK_SIZE == 65516
    assert (BLOCK_SIZE + 16 + 4) % 4096 == 0


def test_an_entry_is_its_value() -> None:
    value = {"block": 7, "count": 2, "size": 70000, "hash": "0" * 64}
    assert ENTRY.to_value() == value
    assert FileEntry.from_value("a", value) == ENTRY
    assert ENTRY.blocks == range(7, 9)


def test_a_later_field_is_survived() -> None:
    assert FileEntry.from_value("a", {**ENTRY.to_value(), "mode": 0o755}) == ENTRY


@pytest.mark.parametrize(
    "change",
    [
        {"block": -1}, {"block": "7"}, {"block": 2**40 + 1}, {"count": -1}, {"count": 1.5},
        {"count": 0}, {"size": -1}, {"size": 2**63}, {"hash": "0" * 63}, {"hash": "G" * 64},
        {"hash": None},
    ],
)  # fmt: skip
def test_a_wrong_entry_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CommandError, match="the entry of 'a/b'"):
        FileEntry.from_value("a/b", {**ENTRY.to_value(), **change})


@given(st.none() | st.integers() | st.text() | st.lists(st.integers()))
def test_a_value_that_is_no_entry_is_refused(value: Any) -> None:
    with pytest.raises(CommandError, match="describes no file"):
        FileEntry.from_value("a", value)


def test_the_metadata_names_the_data_feed() -> None:
    key = bytes(range(32))
    assert data_key(metadata(key)) == key
    assert data_key(b"") is None
    assert data_key(metadata(key) + b"x") is None
    assert data_key(b"something else".ljust(len(metadata(key)))) is None


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_a_digest_is_of_the_whole(blocks: list[bytes]) -> None:
    pieces, whole = Digest(), Digest()
    for block in blocks:
        pieces.update(block)
    whole.update(b"".join(blocks))
    assert (pieces.hash, pieces.size, pieces.count) == (whole.hash, whole.size, len(blocks))


def test_a_digest_checks_its_entry() -> None:
    digest = Digest()
    digest.check("a", FileEntry(0, 0, 0, EMPTY_HASH))
    with pytest.raises(CommandError, match=r"index is wrong: a has 0 bytes, not 70000"):
        digest.check("a", ENTRY)
    with pytest.raises(CommandError, match=r"index is wrong: a has another hash"):
        digest.check("a", FileEntry(0, 0, 0, "0" * 64))


def test_paths_stay_inside() -> None:
    assert safe_path("a/b.py") == PurePosixPath("a/b.py")
    for path in ("", "/", "/etc/passwd", "..", "a/../b", "a//b", "a/", "./a", "a\0b"):
        with pytest.raises(CommandError, match="would not stay inside"):
            safe_path(path)
