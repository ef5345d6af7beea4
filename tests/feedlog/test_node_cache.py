"""Nodes kept for proofs: those of the fork and the state that is read, and not too many."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedlog import Feed, KeyPair, Store, check_proof
from feedlog.flat_tree import NodeIndex
from feedlog.merkle import TreeNode
from feedlog.node_cache import CAPACITY, LARGEST_QUERY, NodeCache


class Nodes:
    """A source that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[NodeIndex] = []

    def read(self, indexes: list[NodeIndex]) -> list[TreeNode]:
        self.asked += indexes
        return [node(index) for index in indexes]


def node(index: int) -> TreeNode:
    return index, index.to_bytes(32, "big")


def ask(cache: NodeCache, fork: int, *indexes: int) -> list[NodeIndex]:
    """Ask for nodes; return which of them were read from the source."""
    source = Nodes()
    wanted = [NodeIndex(index) for index in indexes]
    assert cache.nodes(fork, wanted, source.read) == [node(index) for index in indexes]
    return source.asked


def test_what_is_known_is_not_read_again() -> None:
    cache = NodeCache()
    assert ask(cache, 0, 5, 3, 9) == [5, 3, 9]
    assert ask(cache, 0, 3, 4, 5) == [4]
    assert ask(cache, 0) == []


def test_a_new_fork_begins_with_nothing_and_an_old_one_is_read_past_it() -> None:
    cache = NodeCache()
    assert ask(cache, 1, 5) == [5]
    assert ask(cache, 2, 5) == [5]
    assert ask(cache, 1, 5) == [5]
    assert ask(cache, 1, 5) == [5]
    assert ask(cache, 2, 5) == []


def test_what_is_asked_for_stays_and_the_rest_goes() -> None:
    cache = NodeCache()
    for index in range(1, 5 * CAPACITY):
        assert 0 not in ask(cache, 0, 0, index) or index == 1
        _, young, old = cache._kept
        assert len(young) + len(old) <= 2 * CAPACITY + 2
    assert ask(cache, 0, 1) == [1]
    assert ask(cache, 0, 5 * CAPACITY - 1) == []


def test_a_bulk_is_not_kept() -> None:
    cache = NodeCache()
    many = range(LARGEST_QUERY + 1)
    assert ask(cache, 0, *many) == list(many)
    assert ask(cache, 0, 7) == [7]


class Rollback(Exception):
    pass


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path, durability="relaxed") if request.param == "disk" else Store.memory()


def feed_of(store: Store) -> Feed:
    return store.feed(key_pair=KeyPair.from_seed(bytes(32)))


def all_proven(feed: Feed) -> None:
    for index, block in enumerate(feed):
        assert check_proof(feed.key, feed.prove([index])).blocks == {index: block}


def test_proofs_stay_right_while_the_feed_changes(store: Store) -> None:
    with store:
        feed = feed_of(store)
        feed.extend([b"%d" % i for i in range(20)])
        all_proven(feed)
        with feed.snapshot() as before:
            feed.truncate(9)
            all_proven(feed)
            feed.extend([b"other %d" % i for i in range(20)])
            all_proven(feed)
            for index in range(20):
                assert check_proof(feed.key, before.prove([index])).fork == 0
        all_proven(feed)
        feed.append(b"more")
        all_proven(feed)


def undo(feed: Feed) -> None:
    with feed.transaction() as pending:
        feed.extend([b"undone %d" % i for i in range(11)])
        all_proven(feed)
        for index in range(16):
            check_proof(feed.key, pending.prove([index]))
        raise Rollback


def test_what_a_transaction_undid_is_in_no_proof(store: Store) -> None:
    with store:
        feed = feed_of(store)
        feed.extend([b"%d" % i for i in range(5)])
        with pytest.raises(Rollback):
            undo(feed)
        feed.extend([b"done %d" % i for i in range(11)])
        all_proven(feed)
        assert feed[5] == b"done 0"
