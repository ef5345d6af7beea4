from __future__ import annotations

import pytest

from feedlog import BlockMissing, Feed, Store
from trie import MalformedNode, Trie
from trie.node import PUT, encode
from trie.nodes import Nodes


def test_the_cache_keeps_at_most_two_generations(trie: Trie) -> None:
    for number in range(40):
        trie[str(number)] = b""
    nodes = Nodes(trie.feed, capacity=5)
    for index in range(1, 41):
        nodes.load(index)
    assert len(nodes.young) <= 5
    first = nodes.load(36)
    assert nodes.load(36) is first
    assert nodes.load(1) is not None
    nodes.forget()
    assert nodes.load(36) is not first


def test_a_missing_block_is_named(trie: Trie) -> None:
    trie["a"] = b"1"
    with Store.memory() as elsewhere:
        copy = elsewhere.feed(key=trie.feed.key)
        copy.apply(trie.feed.prove(blocks=[0]))
        with pytest.raises(BlockMissing) as caught:
            Nodes(copy).load(1)
        assert caught.value.index == 1


def test_a_pointer_must_lead_to_the_digit_of_its_row(feed: Feed) -> None:
    trie = Trie(feed)
    trie["a"] = b"1"
    nodes = Nodes(feed)
    node = nodes.load(1)
    other = next(
        key
        for key in (b"%d" % number for number in range(99))
        if nodes.paths.path(key)[1] >> 4 != node.path[1] >> 4
    )
    feed.append(encode(2, PUT, 1, other, b"", (0, 0), ()))
    right = nodes.paths.path(other)[1] >> 4
    assert nodes.follow(node, 2, right, 2).key == other
    for level, at_digit in ((2, right ^ 1), (3, right), (1, 1)):
        with pytest.raises(MalformedNode, match="does not lead here"):
            nodes.follow(node, level, at_digit, 2)
