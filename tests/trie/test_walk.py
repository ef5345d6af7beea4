from __future__ import annotations

import pytest

from feedlog import BlockMissing, Store
from trie import Trie


def test_a_walk_names_what_a_lookup_reads(trie: Trie) -> None:
    for number in range(30):
        trie[f"k/{number}"] = b"x" * 3000 * (number == 5)
    walked = trie.walk("k/5")
    assert walked[:2] == [0, trie.version - 1]
    assert trie.entry("k/5") is not None
    with Store.memory() as elsewhere:
        copy = elsewhere.feed(key=trie.feed.key)
        copy.apply(trie.feed.prove(blocks=walked))
        assert Trie(copy)["k/5"] == b"x" * 3000


def test_a_walk_ends_at_its_limit(trie: Trie) -> None:
    for number in range(30):
        trie[f"k/{number}"] = b"x" * 100_000
    whole = trie.walk("k/5")
    assert trie.walk("k/5", limit=3) == whole[:3]
    assert trie.walk("k/5", limit=0) == []
    assert len(trie.items().walk(limit=10)) == 10


def test_a_walk_goes_as_far_as_the_copy(trie: Trie) -> None:
    for number in range(30):
        trie[f"k/{number}"] = b""
    feed = trie.feed
    whole = trie.walk("k/5")
    with Store.memory() as elsewhere:
        copy = elsewhere.feed(key=feed.key)
        assert Trie(copy).walk("k/5") == []
        copy.apply(feed.prove())
        partial = Trie(copy)
        with pytest.raises(BlockMissing):
            partial.walk("k/5")
        for known, index in enumerate(whole, 1):
            copy.apply(feed.prove(blocks=[index], since=feed.length))
            assert partial.walk("k/5") == whole[:known]
            assert partial.items("k").walk()[:1] == [0]


def test_a_walk_of_an_older_version(trie: Trie) -> None:
    trie["a"] = b"1"
    trie["b"] = b"1"
    assert trie.at(2).walk("a") == [0, 1]
    assert trie.at(0).walk("a") == []


def test_a_walk_of_a_count(trie: Trie) -> None:
    trie.update({f"k/{number}": b"" for number in range(300)})
    walked = trie.walk_count("k/")
    assert len(walked) < 8
    assert trie.walk_count("k/", limit=2) == walked[:2]
    with Store.memory() as elsewhere:
        copy = elsewhere.feed(key=trie.feed.key)
        copy.apply(trie.feed.prove(blocks=walked))
        assert Trie(copy).count("k/") == 300
    assert trie.at(0).walk_count() == []


def test_a_walk_of_a_difference(trie: Trie) -> None:
    for number in range(300):
        trie[f"k/{number}"] = b""
    before = trie.version
    trie["k/5"] = b"x" * 3000
    del trie["k/6"]
    assert list(trie.diff(before, "nothing/")) == []
    expected = list(trie.diff(before))
    walked = trie.diff(before).walk()
    assert len(walked) < 20
    assert trie.diff(before).walk(limit=3) == walked[:3]
    with Store.memory() as elsewhere:
        copy = elsewhere.feed(key=trie.feed.key)
        copy.apply(trie.feed.prove(blocks=walked))
        assert list(Trie(copy).diff(before)) == expected
