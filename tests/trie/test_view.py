from __future__ import annotations

from collections.abc import Mapping, MutableMapping

import pytest

from feedlog import Feed
from trie import Trie


def test_a_version_is_a_mapping_that_cannot_be_written(trie: Trie) -> None:
    trie["a"] = b"1"
    trie["b"] = b"2"
    old = trie.at(2)
    assert isinstance(old, Mapping)
    assert not isinstance(old, MutableMapping)
    trie["a"] = b"3"
    assert dict(old) == {"a": b"1"}
    assert old.version == 2
    assert len(old) == 1
    assert dict(old.sub("x")) == {}
    assert old.entry("b") is None
    assert dict(trie.at(trie.version)) == {"a": b"3", "b": b"2"}
    assert dict(trie.at(0)) == dict(trie.at(1)) == {}
    for version in (-1, 5):
        with pytest.raises(ValueError, match=r"not in 0\.\.4"):
            trie.at(version)


def test_a_range_is_in_the_order_of_bytes(feed: Feed) -> None:
    trie = Trie(feed, order="key")
    words = ["", "a", "a/b", "ab", "b", "z", "ü", "€", "𝄞"]
    trie.update(dict.fromkeys(reversed(words), b""))
    assert list(trie) == words
    assert [key for key, _ in trie.range("a", "b")] == ["a", "a/b", "ab"]
    assert [key for key, _ in trie.range(stop="a")] == [""]
    assert [key for key, _ in trie.range("b", reverse=True, limit=2)] == ["𝄞", "€"]
    assert [key for key, _ in trie.range("a", after="ab", limit=1)] == ["b"]
    part = trie.sub("a")
    assert [key for key, _ in part.range("b")] == ["b"]
    assert len(trie.range("a", "b")) == 3


def test_a_trie_is_told_from_another_by_its_feed(trie: Trie) -> None:
    assert trie.feed.id in repr(trie)
    assert "version=0" in repr(trie)
