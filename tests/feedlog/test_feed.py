"""A feed is a list, on both storages, and says which index it lacks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedlog import BlockMissing, Feed, KeyPair, NotWritable, Store, StoreError, check_proof
from feedlog.encryption import OVERHEAD
from feedlog.hashing import BLAKE3
from feedlog.have import PAGE_BLOCKS
from feedlog.layout import INLINE_SIZE
from feedlog.proof_codec import MAX_BLOCK_SIZE
from feedlog.ranges import Ranges
from tests.reference import merkle as reference

BLOCKS = [b"block %d" % i * (i % 4) for i in range(23)]


class TestAppending:
    def test_an_index_for_a_block_and_a_range_for_a_batch(self, feed: Feed) -> None:
        assert feed.append(b"a") == 0
        assert feed.extend([b"b", b"c"]) == range(1, 3)
        assert feed.extend(iter([b"d"])) == range(3, 4)
        assert list(feed) == [b"a", b"b", b"c", b"d"]

    def test_a_batch_has_one_head_and_nothing_has_none(self, feed: Feed) -> None:
        assert feed.extend([]) == range(0)
        assert feed.head is None
        feed.extend(BLOCKS)
        assert feed.extend([]) == range(23, 23)
        assert [head.length for head in feed.heads()] == [23]

    @pytest.mark.parametrize("size", [0, 1, INLINE_SIZE, INLINE_SIZE + 1, 100_000])
    def test_blocks_of_any_size(self, feed: Feed, size: int) -> None:
        blocks = [bytes([i]) * size for i in range(5)]
        feed.extend(blocks)
        assert feed[:] == blocks
        assert [feed[i] for i in range(5)] == blocks
        assert feed.byte_length == 5 * size

    def test_the_largest_block(self, feed: Feed) -> None:
        largest = bytes(MAX_BLOCK_SIZE)
        feed.append(largest)
        assert feed[0] == largest
        with pytest.raises(ValueError, match=f"at most {MAX_BLOCK_SIZE} bytes, not"):
            feed.extend([b"fine", largest + b"!"])
        assert len(feed) == 1

    def test_an_encrypted_block_leaves_room_for_its_envelope(self, store: Store) -> None:
        feed = store.feed("secret", encryption_key=bytes(32))
        largest = MAX_BLOCK_SIZE - OVERHEAD
        with pytest.raises(ValueError, match=f"at most {largest} bytes, not {largest + 1}"):
            feed.append(bytes(largest + 1))
        feed.append(bytes(largest))
        assert len(feed[0]) == largest

    def test_bytes_alike_are_copied(self, feed: Feed) -> None:
        buffer = bytearray(b"mutable")
        feed.extend([buffer, memoryview(buffer)[:3]])
        buffer[:] = b"changed"
        assert feed[:] == [b"mutable", b"mut"]
        assert all(type(block) is bytes for block in feed)

    @pytest.mark.parametrize("wrong", ["text", 7, None, [b"nested"]])
    def test_nothing_else_is_a_block(self, feed: Feed, wrong: Any) -> None:
        with pytest.raises(TypeError, match=f"a block is bytes, not {type(wrong).__name__}"):
            feed.extend([b"fine", wrong])
        assert len(feed) == 0

    def test_the_tree_is_the_reference_tree_however_batched(self, feed: Feed) -> None:
        for size in (1, 2, 3, 7, 10):
            feed.extend(BLOCKS[len(feed) : len(feed) + size])
        assert len(feed) == 23
        for length in range(24):
            assert feed.root_hash(length) == reference.tree_hash(BLAKE3, BLOCKS[:length])
        assert feed.root_hash() == feed.root_hash(23)

    def test_two_writers_of_one_store_take_turns(self, store: Store) -> None:
        other = Store.__new__(Store)
        other._open(store._storage, read_only=False)
        left, right = store.feed("log"), other.feed("log")
        for i in range(12):
            assert (left if i % 3 else right).append(b"%d" % i) == i
        left.truncate(7)
        assert right.append(b"on") == 7
        assert list(left) == list(right) == [*(b"%d" % i for i in range(7)), b"on"]
        assert left.fork == right.fork == 1

    def test_an_append_follows_whatever_came_between(self, store: Store) -> None:
        """A writer relies on what it knows only while its own commit is the latest."""
        other = Store.__new__(Store)
        other._open(store._storage, read_only=False)
        feed, same, another = store.feed("log"), other.feed("log"), store.feed("another")
        expected = [b"0"]

        def append(to: Feed) -> None:
            expected.append(b"%d" % len(expected))
            assert to.append(expected[-1]) == len(expected) - 1

        feed.append(b"0")
        append(feed)
        with pytest.raises(Rollback):
            append_and_leave(store, feed)
        another.append(b"x")  # under the number that the undone commit would have had
        append(feed)
        append(same)
        append(feed)
        feed.clear(0, 1)
        append(feed)
        same.clear(2, 4)
        append(feed)
        with store.transaction():
            append(feed)
            append(feed)
        append(feed)
        with store.transaction():
            another.append(b"y")
            append(feed)
        append(feed)
        held = Ranges([(1, 2), (4, len(expected))])
        assert feed.have == [range(*pair) for pair in held.pairs]
        assert [feed[i] for i in held] == [expected[i] for i in held]
        assert feed.audit().fault is None
        feed.purge()
        with pytest.raises(StoreError, match="purged"):
            same.append(b"none")

    def test_a_cleared_page_is_noted_again_by_the_appends_after_it(self, store: Store) -> None:
        feed = store.feed("log")
        for i in range(3):
            feed.append(b"%d" % i)
        feed.clear(2, 3)
        feed.append(b"3")
        feed.append(b"4")
        assert feed.have == [range(2), range(3, 5)]
        assert feed.audit().fault is None

    def test_appends_across_the_border_of_a_page_of_held_blocks(self, store: Store) -> None:
        feed = store.feed("log")
        feed.extend([b""] * (PAGE_BLOCKS - 2))
        feed.append(b"")
        feed.clear(0, 1)
        for _ in range(3):
            feed.append(b"")
        feed.extend([b""] * (PAGE_BLOCKS + 1))
        assert feed.have == [range(1, 2 * PAGE_BLOCKS + 3)]


class Rollback(Exception):
    pass


def append_and_leave(store: Store, feed: Feed) -> None:
    with store.transaction():
        feed.append(b"undone")
        raise Rollback


class TestReading:
    @pytest.fixture
    def full(self, feed: Feed) -> Feed:
        feed.extend(BLOCKS)
        return feed

    def test_every_index_a_list_has(self, full: Feed) -> None:
        for i in range(-23, 23):
            assert full[i] == BLOCKS[i]

    @pytest.mark.parametrize("index", [23, 24, -24, 2**39, 2**40, 2**70, -(2**70)])
    def test_past_either_end(self, full: Feed, index: int) -> None:
        message = f"block {index} is past the end: the feed has 23 blocks"
        with pytest.raises(IndexError, match=re.escape(message)):
            full[index]

    @pytest.mark.parametrize("index", ["1", 1.0, None, b"1"])
    def test_an_index_is_a_number(self, full: Feed, index: Any) -> None:
        with pytest.raises(TypeError):
            full[index]

    def test_an_empty_feed_is_an_empty_list(self, feed: Feed) -> None:
        assert (feed[:], list(feed), feed.have, feed.heads()) == ([], [], [], [])
        assert len(feed) == feed.length == feed.byte_length == feed.fork == 0
        assert not feed.has(0)
        assert not feed.has(-1)
        for index in (0, -1):
            with pytest.raises(IndexError):
                feed[index]
        with pytest.raises(IndexError, match="byte 0 is not in a feed of 0 bytes"):
            feed.seek(0)
        assert feed.root_hash() == reference.tree_hash(BLAKE3, [])

    def test_iteration_sees_what_was_appended_meanwhile(self, full: Feed) -> None:
        seen = []
        for block in full:
            seen.append(block)
            if len(seen) == 10:
                full.append(b"more")
        assert seen == [*BLOCKS, b"more"]

    def test_membership_and_reversal_come_with_iteration(self, full: Feed) -> None:
        assert BLOCKS[7] in full
        assert b"absent" not in full

    def test_every_byte_is_found_in_its_block(self, full: Feed) -> None:
        at = 0
        for index, block in enumerate(BLOCKS):
            for offset in range(len(block)):
                assert full.seek(at) == (index, offset)
                at += 1
        assert at == full.byte_length
        for past in (at, -1):
            with pytest.raises(IndexError, match=f"byte {past} is not in a feed of {at} bytes"):
                full.seek(past)

    def test_root_hash_past_the_end(self, full: Feed) -> None:
        for length in (24, -1):
            with pytest.raises(ValueError, match=f"length {length} is not in 0..23"):
                full.root_hash(length)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.none() | st.integers(-30, 30),
    stop=st.none() | st.integers(-30, 30),
    step=st.none() | st.integers(-5, 5).filter(bool),
)
def test_every_slice_a_list_has(
    feed: Feed, start: int | None, stop: int | None, step: int | None
) -> None:
    feed.extend(BLOCKS[len(feed) :])
    assert feed[start:stop:step] == BLOCKS[start:stop:step]


class TestChanging:
    def test_truncated_blocks_are_past_the_end(self, feed: Feed) -> None:
        feed.extend(BLOCKS)
        feed.truncate(9)
        assert (len(feed), feed.fork) == (9, 1)
        assert list(feed) == BLOCKS[:9]
        with pytest.raises(IndexError):
            feed[9]
        assert feed.append(b"other") == 9
        assert feed[9] == b"other"
        assert feed.root_hash() == reference.tree_hash(BLAKE3, [*BLOCKS[:9], b"other"])
        assert feed.byte_length == sum(map(len, BLOCKS[:9])) + 5

    @pytest.mark.parametrize("length", [0, 1, 2, 4, 5, 22, 23])
    def test_truncating_and_growing_again(self, feed: Feed, length: int) -> None:
        feed.extend(BLOCKS)
        feed.truncate(length)
        feed.extend(BLOCKS[length:])
        assert list(feed) == BLOCKS
        assert feed.fork == 1
        assert feed.have == [range(23)]

    def test_truncating_past_the_end(self, feed: Feed) -> None:
        feed.extend(BLOCKS)
        for length in (24, -1):
            with pytest.raises(ValueError, match=f"length {length} is not in 0..23"):
                feed.truncate(length)
        assert (len(feed), feed.fork) == (23, 0)

    def test_cleared_blocks_are_missing_not_past_the_end(self, feed: Feed) -> None:
        feed.extend([*BLOCKS, bytes(5000)])
        feed.clear(3, 6)
        feed.clear(23, 24)
        assert feed.have == [range(3), range(6, 23)]
        assert [feed.has(i) for i in (2, 3, 5, 6, 23)] == [True, False, False, True, False]
        assert feed.has(6, 23)
        assert not feed.has(5, 23)
        assert feed.has(4, 4)
        for index in (3, 4, 5, -1):
            with pytest.raises(BlockMissing) as missing:
                feed[index]
            assert missing.value.index == index % 24
        with pytest.raises(BlockMissing, match="block 3 is not held in this store"):
            feed[0:10]
        assert feed[6:8] == BLOCKS[6:8]
        assert feed.root_hash() == reference.tree_hash(BLAKE3, [*BLOCKS, bytes(5000)])

    def test_clearing_twice_and_appending_after(self, feed: Feed) -> None:
        feed.extend(BLOCKS)
        feed.clear(0, 23)
        feed.clear(0, 23)
        assert feed.have == []
        feed.append(b"new")
        assert feed.have == [range(23, 24)]
        assert feed[23] == b"new"

    @pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 24)])
    def test_clearing_what_is_not_there(self, feed: Feed, start: int, stop: int) -> None:
        feed.extend(BLOCKS)
        with pytest.raises(ValueError, match=rf"blocks {start}\.\.{stop} are not in 0\.\.23"):
            feed.clear(start, stop)

    def test_cleared_blocks_that_are_truncated_are_held_when_written_again(
        self, feed: Feed
    ) -> None:
        feed.extend(BLOCKS)
        feed.clear(5, 20)
        feed.truncate(10)
        assert feed.have == [range(5)]
        feed.extend(BLOCKS[10:])
        assert feed.have == [range(5), range(10, 23)]


class TestAccess:
    def test_a_replica_is_read_only(self, feed: Feed, elsewhere: Store) -> None:
        feed.extend(BLOCKS)
        copy = elsewhere.feed(key=feed.key)
        for change in (lambda: copy.append(b"x"), lambda: copy.truncate(0)):
            with pytest.raises(NotWritable, match="its manifest would be needed"):
                change()
        copy.apply(feed.prove())
        assert not copy.writable
        with pytest.raises(NotWritable, match="1 of its signers' secret keys would be needed"):
            copy.append(b"x")

    def test_a_replica_with_the_secret_key_writes_on(self, elsewhere: Store) -> None:
        pair = KeyPair.generate()
        feed = elsewhere.feed(key_pair=pair)
        feed.extend(BLOCKS)
        with Store.memory() as third:
            copy = third.feed(key=feed.key, key_pair=pair)
            assert copy.writable
            copy.apply(feed.prove())
            assert copy.have == []
            assert copy.append(b"on") == 23
            assert copy.have == [range(23, 24)]
            feed.apply(copy.prove([23], since=23))
            assert feed[-1] == b"on"
            assert feed.have == [range(24)]

    def test_a_read_only_store(self, reopen: Callable[..., Store]) -> None:
        reopen().feed("log").extend(BLOCKS)
        store = reopen(read_only=True)
        feed = store.feed("log")
        assert list(feed) == BLOCKS
        assert not feed.writable
        for change in (
            lambda: feed.append(b"x"),
            lambda: feed.truncate(0),
            lambda: feed.clear(0, 1),
            lambda: feed.apply(feed.prove()),
            lambda: store.feed("new"),
        ):
            with pytest.raises(NotWritable, match="read-only"):
                change()

    def test_everything_is_there_after_reopening(self, reopen: Callable[..., Store]) -> None:
        feed = reopen().feed("log")
        feed.extend(BLOCKS)
        feed.truncate(20)
        feed.clear(3, 5)
        before = (feed.key, feed.head, feed.have, feed.root_hash(), feed.heads())
        feed = reopen().feed("log")
        assert (feed.key, feed.head, feed.have, feed.root_hash(), feed.heads()) == before
        assert feed.append(b"on") == 20
        assert feed[5:] == [*BLOCKS[5:20], b"on"]


def test_it_shows_itself(feed: Feed) -> None:
    feed.extend(BLOCKS)
    assert repr(feed) == f"<Feed {feed.id} length=23 fork=0>"


class TestObserve:
    def test_every_kind_of_change_is_told_until_it_is_stopped(
        self, feed: Feed, elsewhere: Store
    ) -> None:
        told: list[int] = []
        stop = feed.observe(lambda: told.append(feed.length))
        feed.append(b"one")
        feed.extend([b"two", b"three"])
        feed.clear(0, 1)
        feed.truncate(2)
        assert told == [1, 3, 3, 2]
        stop()
        feed.append(b"more")
        assert len(told) == 4
        copy = elsewhere.feed(key=feed.key)
        copy.observe(lambda: told.append(copy.length))
        copy.apply(feed.prove())
        assert told[4:] == [3]


class TestProofsOfLimitedSize:
    def test_blocks_are_proven_from_the_front_as_long_as_they_fit(self, feed: Feed) -> None:
        feed.extend([bytes(100)] * 10)
        for limit, expected in ((1, 1), (100, 1), (199, 1), (200, 2), (999, 9), (1000, 10)):
            proof = feed.prove(blocks=range(10), max_bytes=limit)
            assert sorted(check_proof(feed.key, proof).blocks) == list(range(expected))
        proof = feed.prove(blocks=[1, 2, 5, 7], max_bytes=300)
        assert sorted(check_proof(feed.key, proof).blocks) == [1, 2, 5]

    def test_a_byte_is_proven_whatever_the_size(self, feed: Feed) -> None:
        feed.append(b"block")
        with pytest.raises(ValueError, match="however large"):
            feed.prove(seek=0, max_bytes=1)

    def test_no_head_is_needed_for_a_proof_without_one(self, feed: Feed, elsewhere: Store) -> None:
        feed.extend([b"one", b"two", b"three", b"four"])
        copy = elsewhere.feed(key=feed.key)
        copy.apply(feed.prove(blocks=[0]))
        assert copy.prove(blocks=[0], length=2, since=2, signed=False).blocks == {0: b"one"}
        with pytest.raises(ValueError, match="no head"):
            copy.prove(blocks=[0], length=2)
