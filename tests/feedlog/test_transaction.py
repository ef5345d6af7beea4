"""Blocks that join, and scans in chunks, without any storage."""

from __future__ import annotations

import threading
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from feedlog.transaction import FIRST_CHUNK, LARGEST_CHUNK, Chunk, WriteBlock, scan_chunks

END = b"\xff" * 9


class FakeWriter:
    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.broken = False


class FakeStorage:
    """Notes how its transactions end."""

    def __init__(self) -> None:
        self.writer: FakeWriter | None = None
        self.ends: list[tuple[bool, bool]] = []

    def begin_write(self) -> FakeWriter:
        self.writer = FakeWriter()
        return self.writer

    def end_write(self, writer: FakeWriter, *, silent: bool) -> None:
        self.ends.append((writer.broken, silent))
        self.writer = None


def test_only_the_outermost_block_ends_the_transaction() -> None:
    storage = FakeStorage()
    with WriteBlock(storage) as outer:
        with WriteBlock(storage) as inner:
            assert inner is outer
        assert storage.ends == []
    assert storage.ends == [(False, False)]


def test_an_error_that_an_inner_block_let_out_breaks_the_outer_one() -> None:
    storage = FakeStorage()
    with WriteBlock(storage), suppress(KeyError), WriteBlock(storage):
        raise KeyError
    assert storage.ends == [(True, False)]


def test_a_writer_of_another_thread_is_not_joined() -> None:
    storage = FakeStorage()
    other = storage.begin_write()
    other.thread += 1
    with WriteBlock(storage) as mine:
        assert mine is not other


class Source:
    """Sorted keys that are read in chunks; notes the sizes that were asked for."""

    def __init__(self, keys: set[bytes]) -> None:
        self.keys = keys
        self.sizes: list[int] = []
        self.changes = 0

    def read(self, low: bytes, high: bytes, reverse: bool, size: int) -> Chunk:
        self.sizes.append(size)
        found = sorted((key for key in self.keys if low <= key < high), reverse=reverse)
        return [(key, b"") for key in found[:size]], len(found) >= size


def test_chunks_double_up_to_a_limit() -> None:
    source = Source({b"%06d" % i for i in range(2000)})
    assert len(list(scan_chunks(source.read, b"", END, False, lambda: 0))) == 2000
    doubled = [FIRST_CHUNK << i for i in range(6)]
    assert doubled[-1] == LARGEST_CHUNK
    assert source.sizes[:6] == doubled
    assert max(source.sizes) == LARGEST_CHUNK


@given(st.sets(st.binary(max_size=3)), st.binary(max_size=3), st.binary(max_size=3), st.booleans())
def test_a_scan_yields_the_range_in_order(
    keys: set[bytes], low: bytes, high: bytes, reverse: bool
) -> None:
    found = scan_chunks(Source(keys).read, low, high, reverse, lambda: 0)
    want = sorted((key for key in keys if low <= key < high), reverse=reverse)
    assert [key for key, _ in found] == want


@given(st.sets(st.binary(min_size=1, max_size=2), min_size=1), st.booleans(), st.data())
def test_what_changes_ahead_of_a_scan_is_seen(
    keys: set[bytes], reverse: bool, data: st.DataObject
) -> None:
    """Each key that a scan yields is there at that moment, and none that stayed is left out."""
    source = Source(set(keys))
    seen: list[bytes] = []
    added = set()
    for key, _ in scan_chunks(source.read, b"", END, reverse, lambda: source.changes):
        assert key in source.keys
        seen.append(key)
        if data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(sorted(source.keys)))
            new = data.draw(st.binary(min_size=1, max_size=2))
            source.keys -= {gone}
            source.keys |= {new}
            added.add(new)
            source.changes += 1
        if len(seen) > 50:
            break
    else:
        assert keys & source.keys - added <= set(seen)
    assert seen == sorted(set(seen), reverse=reverse)
