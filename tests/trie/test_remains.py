"""Which pointers of the old trie a write takes over; test_model.py says that they are right."""

from __future__ import annotations

import pytest

from feedlog import Store
from trie import Trie, TrieError
from trie.node import Row
from trie.nodes import Nodes
from trie.path import word_of
from trie.remains import Remains, remains


def ordered(store: Store, *keys: str) -> Trie:
    """A trie in key order, written one key at a time: paths are the keys' bytes in hexadecimal."""
    trie = Trie(store.feed("ordered"), order="key")
    for key in keys:
        trie[key] = b""
    return trie


def what_stays(trie: Trie, *keys: str) -> Remains:
    nodes = Nodes(trie.feed)
    paths = sorted(nodes.paths.path(key.encode()) for key in keys)
    return remains(nodes, nodes.load(trie.version - 1), paths, list(map(word_of, paths)))


def test_nothing_stays_of_nothing(store: Store) -> None:
    nodes = Nodes(ordered(store, "a").feed)
    path = nodes.paths.path(b"a")
    assert remains(nodes, None, [path], [word_of(path)]) == {}


def test_what_is_written_again_leaves_nothing(store: Store) -> None:
    trie = ordered(store, "a", "b")
    assert what_stays(trie, "a", "b") == {}


def test_siblings_stay_and_so_does_the_node_that_the_way_leaves(store: Store) -> None:
    trie = ordered(store, "A", "Q", "C")  # 41, 51, 43: blocks 1, 2, 3
    # On level 0 the rows' digits are 4 and 5, on level 1 of 4: 1 and 3.
    assert what_stays(trie, "B") == {
        0: [Row(0, 1 << 5, 1, (2,)), Row(1, 1 << 1 | 1 << 3, 2, (1, 3))]
    }
    assert what_stays(trie, "a") == {0: [Row(0, 1 << 4 | 1 << 5, 3, (3, 2))]}


def test_a_row_is_filed_under_the_last_change_below_it(store: Store) -> None:
    trie = ordered(store, "A", "Q", "C")
    assert what_stays(trie, "B", "D", "R") == {
        1: [Row(1, 1 << 1 | 1 << 3, 2, (1, 3))],
        2: [Row(1, 1 << 1, 1, (2,))],
    }


def test_a_deleted_key_with_nothing_below_does_not_stay(store: Store) -> None:
    trie = ordered(store, "A", "C")
    del trie["A"]
    assert what_stays(trie, "B") == {0: [Row(1, 1 << 3, 1, (2,))]}
    del trie["C"]
    assert what_stays(trie, "B") == {}


def test_counters_that_contradict_each_other_are_refused(store: Store) -> None:
    trie = ordered(store, "A", "Q", "C")
    nodes = Nodes(trie.feed)
    root = nodes.load(trie.version - 1)
    root.adopt([Row(row.level, row.bitmap, 0, row.pointers) for row in root.rows])
    path = nodes.paths.path(b"Q")
    with pytest.raises(TrieError, match="the counters below row 0 contradict each other"):
        remains(nodes, root, [path], [word_of(path)])
