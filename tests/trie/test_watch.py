from __future__ import annotations

import pytest

from feedlog import BlockMissing, Store
from trie import Trie, TrieError, Watch


def keys(watch: Watch) -> list[tuple[str, str]]:
    return [(change.kind, change.key) for change in watch]


def test_each_change_is_told_once_deletes_included(trie: Trie) -> None:
    trie["a/old"] = b""
    watch = trie.watch("a")
    assert keys(watch) == []
    trie["a/1"] = b"1"
    trie["b"] = b""
    del trie["a/old"]
    assert keys(watch) == [("put", "a/1"), ("delete", "a/old")]
    assert keys(watch) == []
    del trie["a/1"]  # the last key under the prefix
    assert keys(watch) == [("delete", "a/1")]
    trie["a/1"] = b"1"
    trie["a/1"] = b"1"
    assert keys(watch) == [("put", "a/1")] * 2


def test_a_watch_can_start_in_the_past_and_of_a_part(trie: Trie) -> None:
    users = trie.sub("users")
    users["ann"] = b""
    trie["other"] = b""
    assert keys(users.watch(since=0)) == [("put", "ann")]
    assert keys(trie.watch(since=0)) == [("put", "users/ann"), ("put", "other")]


def test_a_replica_that_follows_sees_the_same(trie: Trie) -> None:
    feed = trie.feed
    with Store.memory() as elsewhere:
        copy = elsewhere.feed(key=feed.key)
        watch = Trie(copy).watch("a")
        assert keys(watch) == []
        trie["a"] = b"1"
        trie["b"] = b"2"
        copy.apply(feed.prove(blocks=[0, 2]))
        with pytest.raises(BlockMissing) as caught:
            watch.poll()
        assert caught.value.index == 1
        copy.apply(feed.prove(blocks=[1], since=3))
        assert keys(watch) == [("put", "a")]
        del trie["a"]
        copy.apply(feed.prove(blocks=[3], since=3))
        assert keys(watch) == [("delete", "a")]


def test_a_truncation_is_told_once(trie: Trie) -> None:
    trie["a"] = b""
    trie["b"] = b""
    watch = trie.watch()
    trie.feed.truncate(2)
    trie["c"] = b""
    with pytest.raises(TrieError, match="was truncated"):
        watch.poll()
    assert keys(watch) == []
    trie["d"] = b""
    assert keys(watch) == [("put", "d")]


def test_a_watch_of_a_feed_that_was_truncated_before_it_was_opened(trie: Trie) -> None:
    trie["a"] = b""
    trie["b"] = b""
    trie.feed.truncate(2)
    assert keys(Trie(trie.feed).watch(since=0)) == [("put", "a")]
