from __future__ import annotations

from collections.abc import Callable

import pytest

from feedlog import Feed, ForkConflict, KeyPair, Store, StoreError


def entries(store: Store) -> list[bytes]:
    with store._storage.read() as reader:
        return [key for key, _ in reader.scan(b"", b"\xff")]


def test_nothing_is_left(store: Store, elsewhere: Store) -> None:
    other = store.feed("other")
    other.append(b"stays")
    other.user_data["k"] = b"v"
    before = entries(store)
    pair = KeyPair.generate()
    feed, twin = store.feed("log", key_pair=pair), elsewhere.feed(key_pair=pair)
    feed.extend([b"a", bytes(5000)])
    feed.clear(0, 1)
    feed.user_data["k"] = b"v"
    twin.append(b"b")
    with pytest.raises(ForkConflict):
        feed.apply(twin.prove())
    assert len(entries(store)) > len(before) + 7
    feed.purge()
    assert entries(store) == before
    assert [info.name for info in store.feeds()] == ["other"]
    assert (list(other), dict(other.user_data)) == ([b"stays"], {b"k": b"v"})


def test_the_object_is_dead(store: Store, feed: Feed) -> None:
    feed.append(b"a")
    store.purge(feed)
    assert feed.purged
    for use in (
        lambda: feed[0],
        lambda: len(feed),
        lambda: feed.append(b"b"),
        lambda: feed.have,
        feed.snapshot,
        feed.audit,
        feed.purge,
        lambda: feed.user_data["k"],
        lambda: feed.user_data.update(k=b"v"),
    ):
        with pytest.raises(StoreError, match=f"the feed {feed.id} was purged"):
            use()


def test_the_name_is_free_again(reopen: Callable[..., Store]) -> None:
    store = reopen()
    feed = store.feed("log")
    feed.append(b"a")
    feed.purge()
    again = store.feed("log")
    assert again is not feed
    assert again.key == feed.key
    assert (len(again), again.have) == (0, [])
    again.append(b"b")
    assert list(reopen().feed("log")) == [b"b"]


def test_a_replica(store: Store, elsewhere: Store) -> None:
    theirs = elsewhere.feed("theirs")
    theirs.extend([b"a"] * 100)
    before = entries(store)
    copy = store.feed(key=theirs.key)
    copy.apply(theirs.prove(range(50, 70)))
    copy.purge()
    assert entries(store) == before
    copy = store.feed(key=theirs.key)
    copy.apply(theirs.prove([3]))
    assert copy.have == [range(3, 4)]


def test_whoever_has_it_open_elsewhere_finds_it_empty(store: Store) -> None:
    other_process = Store.__new__(Store)
    other_process._open(store._storage, read_only=False)
    feed, open_there = store.feed("log"), other_process.feed("log")
    feed.append(b"a")
    feed.purge()
    assert len(open_there) == 0
    for change in (
        lambda: open_there.append(b"b"),
        open_there.purge,
        lambda: open_there.user_data.update(k=b"v"),
    ):
        with pytest.raises(StoreError, match="not in the store"):
            change()
    assert other_process.feed("log") is not open_there
    assert other_process.feed("log").append(b"b") == 0


def test_a_feed_of_another_store(store: Store, elsewhere: Store) -> None:
    theirs = elsewhere.feed("theirs")
    theirs.append(b"a")
    with pytest.raises(ValueError, match=f"the feed {theirs.id} was not opened from this store"):
        store.purge(theirs)
    assert list(theirs) == [b"a"]


def test_a_snapshot_keeps_what_it_saw(feed: Feed) -> None:
    feed.extend([b"a", b"b"])
    with feed.snapshot() as snapshot:
        feed.purge()
        assert list(snapshot) == [b"a", b"b"]


def test_a_purge_that_is_rolled_back(store: Store, feed: Feed) -> None:
    def fail() -> None:
        with store.transaction():
            feed.purge()
            raise RuntimeError("no")

    feed.append(b"a")
    with pytest.raises(RuntimeError):
        fail()
    assert feed.purged
    assert list(store.feed("log")) == [b"a"]
