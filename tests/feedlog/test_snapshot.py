"""A snapshot keeps its state whatever happens to the feed."""

from __future__ import annotations

import pytest

from feedlog import BlockMissing, Feed, Store, StoreError, check_proof

BLOCKS = [b"block %d" % i * (1 + i % 4) for i in range(23)]


@pytest.fixture
def full(feed: Feed) -> Feed:
    feed.extend(BLOCKS)
    return feed


def test_it_stays_while_the_feed_changes(full: Feed) -> None:
    expected = (list(full), full.have, full.head, full.byte_length, full.root_hash())
    with full.snapshot() as snapshot:
        full.append(b"more")
        full.clear(0, 12)
        full.truncate(5)
        full.extend([b"other"] * 3)
        seen = (
            list(snapshot),
            snapshot.have,
            snapshot.head,
            snapshot.byte_length,
            snapshot.root_hash(),
        )
        assert seen == expected
        assert snapshot.fork == 0
        assert snapshot.seek(0) == (0, 0)
        assert check_proof(full.key, snapshot.prove([7])).blocks == {7: BLOCKS[7]}


@pytest.mark.parametrize("length", range(0, 24, 3))
def test_of_a_shorter_length(full: Feed, length: int) -> None:
    with full.snapshot(length) as snapshot:
        assert len(snapshot) == length
        assert list(snapshot) == BLOCKS[:length]
        assert snapshot[-3:] == BLOCKS[:length][-3:]
        assert snapshot.root_hash() == full.root_hash(length)
        assert snapshot.byte_length == sum(map(len, BLOCKS[:length]))
        assert sum(map(len, snapshot.have)) == length
        with pytest.raises(IndexError):
            snapshot[length]
        with pytest.raises(IndexError):
            snapshot.seek(snapshot.byte_length)


def test_past_the_end(full: Feed) -> None:
    for length in (24, -1):
        with pytest.raises(ValueError, match=r"is not in 0\.\.23"):
            full.snapshot(length)


def test_of_a_length_that_was_signed(feed: Feed) -> None:
    feed.extend(BLOCKS[:9])
    feed.extend(BLOCKS[9:])
    with feed.snapshot(9) as snapshot:
        assert check_proof(feed.key, snapshot.prove([4])).length == 9
        assert [head.length for head in snapshot.heads()] == [9]


def test_of_a_length_that_was_never_signed(full: Feed) -> None:
    with full.snapshot(9) as snapshot:
        assert snapshot.head is None
        with pytest.raises(ValueError, match="no head was signed, or is kept, for length 9"):
            snapshot.prove([4])
        assert snapshot.prove([4], since=9, signed=False).fork == 0


def test_of_nothing(feed: Feed) -> None:
    with feed.snapshot() as snapshot:
        feed.extend(BLOCKS)
        assert len(snapshot) == 0
        assert snapshot.head is None


def test_what_was_missing_stays_missing(full: Feed, elsewhere: Store) -> None:
    copy = elsewhere.feed(key=full.key)
    copy.apply(full.prove([3]))
    with copy.snapshot() as snapshot:
        copy.apply(full.prove(range(23)))
        assert snapshot.have == [range(3, 4)]
        with pytest.raises(BlockMissing):
            snapshot[4]


def test_closed(full: Feed) -> None:
    snapshot = full.snapshot()
    snapshot.close()
    snapshot.close()
    for use in (lambda: snapshot[0], lambda: len(snapshot), lambda: snapshot.have):
        with pytest.raises(StoreError, match="the snapshot is closed"):
            use()


def test_of_an_encrypted_feed(store: Store) -> None:
    feed = store.feed("secret", encryption_key=bytes(32))
    feed.extend(BLOCKS)
    with feed.snapshot(7) as snapshot:
        feed.truncate(0)
        assert list(snapshot) == BLOCKS[:7]
