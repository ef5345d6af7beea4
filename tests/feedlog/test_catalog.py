"""The store's own entries: unambiguous, checked when read, gone when removed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import catalog
from feedlog.catalog import FeedMeta
from feedlog.errors import CorruptError, StoreError
from feedlog.layout import MAX_FEEDS
from feedlog.memory_storage import MemoryStorage
from feedlog.storage import MAX_KEY_SIZE

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
PATHS = st.lists(NAMES, min_size=1, max_size=4)


@pytest.fixture
def storage() -> MemoryStorage:
    storage = MemoryStorage()
    with storage.write() as writer:
        catalog.create_header(writer, bytes(32))
    return storage


@given(PATHS, PATHS)
def test_no_two_paths_have_one_key(one: list[str], other: list[str]) -> None:
    assert (catalog.path_key(one) == catalog.path_key(other)) == (one == other)


def test_paths_have_a_size() -> None:
    longest = catalog.path_key(["a" * 200, "b" * 200, "c" * 94])
    assert len(longest) <= MAX_KEY_SIZE
    with pytest.raises(ValueError, match=r"at most 500 bytes.*not 501"):
        catalog.path_key(["a" * 200, "b" * 200, "c" * 95])
    with pytest.raises(ValueError, match="at least one byte"):
        catalog.path_key(["a", ""])


def test_feeds_are_found_by_key_and_path(storage: MemoryStorage) -> None:
    metas = [
        FeedMeta(b"1" * 32, name="log"),
        FeedMeta(b"2" * 32, name="log", namespace=("app",), dense=True, seeds=(b"s" * 32,)),
        FeedMeta(b"3" * 32, manifest=b"m", encryption_key=b"e" * 32),
    ]
    with storage.write() as writer:
        assert [catalog.add_feed(writer, meta) for meta in metas] == [1, 2, 3]
    with storage.read() as reader:
        assert list(catalog.feeds(reader)) == list(enumerate(metas, 1))
        assert [catalog.find_by_key(reader, meta.key) for meta in metas] == [1, 2, 3]
        assert catalog.find_by_path(reader, ["log"]) == 1
        assert catalog.find_by_path(reader, ["app", "log"]) == 2
        assert catalog.find_by_path(reader, ["app"]) is None
        assert catalog.find_by_key(reader, bytes(32)) is None
        catalog.require_feed(reader, 2, b"2" * 32)
        for number, key in ((1, b"2" * 32), (4, b"4" * 32)):
            with pytest.raises(StoreError, match="not in the store"):
                catalog.require_feed(reader, number, key)


def test_a_removed_feed_leaves_nothing_and_its_number_is_not_used_again(
    storage: MemoryStorage,
) -> None:
    with storage.write() as writer:
        before = list(writer.scan(b"", b"\xff"))
        meta = FeedMeta(b"1" * 32, name="log", namespace=("app",))
        number = catalog.add_feed(writer, meta)
        writer.put(catalog.user_data_prefix(number) + b"key", b"value")
        catalog.save_evidence(writer, number, evidence(0))
        catalog.remove_feed(writer, number, meta)
        (header,), (old,) = list(writer.scan(b"", b"\xff")), before
        assert header[0] == old[0]
        assert catalog.add_feed(writer, meta) == number + 1


def test_numbers_may_start_higher_and_end(storage: MemoryStorage) -> None:
    with storage.write() as writer:
        assert catalog.add_feed(writer, FeedMeta(b"1" * 32), least=9) == 9
        assert catalog.add_feed(writer, FeedMeta(b"2" * 32), least=3) == 10
        assert catalog.add_feed(writer, FeedMeta(b"3" * 32), least=MAX_FEEDS) == MAX_FEEDS
        with pytest.raises(StoreError, match=f"holds {MAX_FEEDS} feeds, which is its limit"):
            catalog.add_feed(writer, FeedMeta(b"4" * 32))


def evidence(fork: int) -> catalog.Evidence:
    fact = (1, b"t" * 32, ((0, b"s" * 64),))
    return catalog.Evidence(fork, fact, fact, b"proof")


def test_the_first_evidence_of_a_fork_stays(storage: MemoryStorage) -> None:
    with storage.write() as writer:
        catalog.save_evidence(writer, 1, evidence(1))
        for fork, kept in ((1, 1), (0, 1), (2, 2)):
            catalog.save_evidence(writer, 1, evidence(fork))
            found = catalog.load_evidence(writer, 1)
            assert found is not None
            assert found.fork == kept
        assert catalog.load_evidence(writer, 2) is None


@pytest.mark.parametrize("value", [b"", b"\xff", b"\x93\x01\x02\x03", b"\x91\xc4\x1f" + bytes(31)])
def test_entries_that_do_not_parse(storage: MemoryStorage, value: bytes) -> None:
    with storage.write() as writer:
        writer.put(catalog.FEED + b"\0\0\1", value)
        with pytest.raises(CorruptError, match="does not parse"):
            catalog.load_feed(writer, 1)


def test_a_store_of_the_future(storage: MemoryStorage) -> None:
    with storage.write() as writer:
        catalog._save(writer, catalog.HEADER, catalog.Header(2, bytes(32), 1))
        with pytest.raises(StoreError, match="format 2; this version reads 1"):
            catalog.load_header(writer)
