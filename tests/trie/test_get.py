from __future__ import annotations

import pytest

from feedlog import BlockMissing, Store
from trie import Trie
from trie.get import count, find, locate
from trie.nodes import Nodes

LONG = "x" * 100 + "/" + "y" * 100


def test_keys_longer_than_a_word_are_found(trie: Trie) -> None:
    keys = [LONG, LONG + "/", LONG + "/a", LONG + "z", "x" * 100, "x" * 128, "x" * 129, "x" * 4095]
    for key in keys:
        trie[key] = key.encode()
    for key in keys:
        assert trie[key] == key.encode()
        assert key + "!" not in trie
    del trie[LONG]
    assert LONG not in trie
    assert trie[LONG + "/a"] == (LONG + "/a").encode()


def test_a_lookup_names_the_block_that_it_lacks_and_can_be_repeated(trie: Trie) -> None:
    for number in range(50):
        trie[f"k/{number}"] = b"%d" % number
    feed = trie.feed
    with Store.memory() as elsewhere:
        copy = elsewhere.feed(key=feed.key)
        copy.apply(feed.prove())
        remote = Trie(copy)
        fetched = []
        while True:
            try:
                value = remote["k/7"]
                break
            except BlockMissing as missing:
                fetched.append(missing.index)
                copy.apply(feed.prove(blocks=[missing.index], since=feed.length))
        assert value == b"7"
        assert fetched == trie.walk("k/7")


def test_a_subtree_is_located_and_counted(trie: Trie) -> None:
    for key in ("a/1", "a/2", "b/1", "a"):
        trie[key] = b""
    nodes = Nodes(trie.feed)
    root = nodes.load(trie.version - 1)
    (prefix,) = nodes.paths.subtrees(b"a/")
    node = locate(nodes, root, prefix)
    assert node is not None
    assert node.key in (b"a/1", b"a/2")
    assert count(nodes, root, prefix) == 2
    assert count(nodes, root, nodes.paths.subtrees(b"c/")[0]) == 0
    assert locate(nodes, None, prefix) is None
    assert find(nodes, None, b"") is None


def test_an_empty_trie_has_nothing(trie: Trie) -> None:
    assert len(trie) == 0
    assert list(trie) == []
    assert trie.get("a") is None
    assert not list(trie.diff(0))
    assert not list(trie.history())
    with pytest.raises(ValueError, match="nothing can be proven"):
        trie.prove("a")
