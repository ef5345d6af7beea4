from __future__ import annotations

import pytest

from feedlog import Store
from trie import Change, Trie
from trie.history import previous
from trie.nodes import Nodes


def test_deletes_are_recorded_as_deletes(trie: Trie) -> None:
    trie["a"] = b"1"
    trie["b"] = b"x" * 70_000
    del trie["a"]
    changes = [
        Change("put", "a", b"1", 2),
        Change("put", "b", b"x" * 70_000, 5),
        Change("delete", "a", None, 6),
    ]
    assert list(trie.history()) == changes
    assert list(trie.history(reverse=True)) == changes[::-1]
    assert list(trie.history("a")) == [changes[0], changes[2]]
    assert list(trie.history(since=5)) == changes[2:]
    assert list(trie.at(5).history()) == changes[:2]


def test_read_backwards_no_chunk_is_needed(trie: Trie) -> None:
    trie["a"] = b"1"
    trie["long"] = b"x" * 70_000
    trie["b"] = b"2"
    feed = trie.feed
    with Store.memory() as elsewhere:
        copy = elsewhere.feed(key=feed.key)
        copy.apply(feed.prove(blocks=[0, 1, 4, 5]))
        replica = Trie(copy)
        keys = [change.key for change in replica.history("b", reverse=True)]
        assert keys == ["b"]
        assert [change.key for change in replica.watch("a", since=0)] == ["a"]


def test_versions_follow_each_other_backwards(trie: Trie) -> None:
    trie["a"] = b"1"
    with trie.batch() as batch:
        batch["b"] = b"2"
        batch["c"] = b"x" * 70_000
    trie["d"] = b"3"
    nodes = Nodes(trie.feed)
    assert trie.version == 7
    assert [previous(nodes, version) for version in (7, 6, 2)] == [6, 2, 0]


def test_a_live_history_goes_on_when_it_has_waited(trie: Trie) -> None:
    trie["a"] = b"1"
    coming = ["b", "c"]

    def wait() -> bool:
        if coming:
            trie[coming.pop(0)] = b""
            trie["other"] = b""
            return True
        return False

    assert [change.key for change in trie.history(live=wait)] == ["a", "b", "other", "c", "other"]
    with pytest.raises(ValueError, match="can be live"):
        next(trie.history(live=wait, reverse=True))
    with pytest.raises(ValueError, match="can be live"):
        next(trie.at(2).history(live=wait))
