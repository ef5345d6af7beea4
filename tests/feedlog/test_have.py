"""Held blocks against a set of numbers, for feeds that hold all by default and none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.errors import CorruptError
from feedlog.have import PAGE_BLOCKS, TAG, Have
from feedlog.memory_storage import MemoryStorage
from feedlog.ranges import Ranges

# Few places, so that operations meet, around the borders of pages.
PLACES = st.sampled_from(
    [page * PAGE_BLOCKS + at for page in range(4) for at in (0, 1, 7, 5000, PAGE_BLOCKS - 1)]
)
RANGES = st.lists(st.tuples(PLACES, PLACES), max_size=4).map(Ranges)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "remove"]), RANGES) | st.tuples(st.just("truncate"), PLACES),
    max_size=8,
)
END = 4 * PAGE_BLOCKS


@given(CHANGES, st.booleans(), PLACES)
def test_is_a_set(changes: list[tuple[str, object]], dense: bool, length: int) -> None:
    storage = MemoryStorage()
    have = Have(7, dense=dense)
    model = Ranges([(0, END)]) if dense else Ranges()
    with storage.write() as writer:
        for name, value in changes:
            if name == "truncate":
                assert isinstance(value, int)
                have.truncate(writer, value)
                default = [(value, END)] if dense else []
                model = Ranges([*model.intersection(Ranges([(0, value)])).pairs, *default])
            else:
                assert isinstance(value, Ranges)
                (have.add if name == "add" else have.remove)(writer, value)
                model = (
                    Ranges([*model.pairs, *value.pairs]) if name == "add" else model.minus(value)
                )
    with storage.read() as reader:
        assert have.ranges(reader, END) == model
        assert have.ranges(reader, length) == model.intersection(Ranges([(0, length)]))


def test_a_writer_that_appends_stores_nothing() -> None:
    storage = MemoryStorage()
    with storage.write() as writer:
        Have(1, dense=True).add(writer, Ranges([(0, 10**9)]))
        assert list(writer.scan(TAG, TAG + b"\xff")) == []


def test_a_cloned_million_is_sixteen_short_runs() -> None:
    storage = MemoryStorage()
    with storage.write() as writer:
        Have(1, dense=False).add(writer, Ranges([(0, 1_000_000)]))
        pages = list(writer.scan(TAG, TAG + b"\xff"))
        assert len(pages) == 16
        assert sum(len(value) for _, value in pages) < 16 * 32


def test_feeds_do_not_mix() -> None:
    storage = MemoryStorage()
    one, other = Have(1, dense=False), Have(2, dense=False)
    with storage.write() as writer:
        one.add(writer, Ranges([(0, 5)]))
        other.add(writer, Ranges([(3, 9)]))
        one.purge(writer)
        assert not one.ranges(writer, END)
        assert other.ranges(writer, END) == Ranges([(3, 9)])


def test_a_page_that_does_not_parse() -> None:
    storage = MemoryStorage()
    have = Have(1, dense=False)
    with storage.write() as writer:
        writer.put(have._key(0), b"no bit set")
        with pytest.raises(CorruptError, match="page 0 of held blocks does not parse"):
            have.ranges(writer, 10)
