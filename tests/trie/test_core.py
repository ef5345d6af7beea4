from __future__ import annotations

import pytest

from feedlog import Feed, Store
from trie import Trie, TrieError
from trie.core import Core
from trie.header import Header
from trie.node import PUT, encode


def test_a_fork_drops_what_was_remembered(feed: Feed) -> None:
    trie = Trie(feed)
    trie["a"] = b"1"
    trie["b"] = b"1"
    core = Core(feed, Header(), cache_size=10)
    assert core.latest() == 3
    node = core.root(3)
    assert core.root(3) is node
    feed.truncate(2)
    Trie(feed)["c"] = b"2"
    assert core.latest() == 3
    assert core.root(3) is not node


def test_a_feed_that_ends_inside_a_batch_is_its_writers_fault(feed: Feed) -> None:
    Trie(feed)["a"] = b"1"
    feed.append(encode(2, PUT, 0, b"b", b"", (0, 0), ()))
    with pytest.raises(TrieError, match="the feed ends where no write does"):
        dict(Trie(feed))
    with pytest.raises(TrieError, match="ends inside a batch"):
        Trie(feed)["c"] = b""
    assert dict(Trie(feed).at(2)) == {"a": b"1"}


def test_two_handles_of_one_feed_see_each_other(store: Store) -> None:
    one, other = Trie(store.feed("a")), Trie(store.feed("a"))
    for number in range(10):
        one[f"{number}"] = b"one"
        other[f"{number}"] = b"other"
        other[f"{number}x"] = b"other"
        assert one[f"{number}"] == b"other"
    assert dict(one) == dict(other)
