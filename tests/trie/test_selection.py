from __future__ import annotations

from collections.abc import ItemsView, KeysView, ValuesView

from trie import Trie


def test_listings_are_the_views_of_a_mapping(trie: Trie) -> None:
    trie.update({"a/1": b"1", "a/2": b"2", "b": b"3"})
    items, keys, values = trie.items("a/"), trie.keys("a/"), trie.values("a/")
    assert isinstance(items, ItemsView)
    assert isinstance(keys, KeysView)
    assert isinstance(values, ValuesView)
    assert len(items) == len(keys) == len(values) == 2
    assert set(items) == {("a/1", b"1"), ("a/2", b"2")}
    assert items & {("a/1", b"1"), "x"} == {("a/1", b"1")}
    assert set(keys) == {"a/1", "a/2"}
    assert sorted(values) == [b"1", b"2"]
    assert ("a/1", b"1") in items
    assert ("b", b"3") not in items
    assert "b" not in keys
    assert b"3" not in values


def test_each_iteration_sees_one_version_and_the_next_a_later(trie: Trie) -> None:
    trie.update({str(number): b"" for number in range(20)})
    keys = trie.keys()
    seen = []
    for key in keys:
        seen.append(key)
        del trie[key]
    assert len(seen) == 20
    assert list(keys) == []


def test_a_listing_names_the_blocks_that_it_reads(trie: Trie) -> None:
    trie["a/1"] = b"x" * 100_000
    trie["b"] = b""
    assert set(trie.items("a/").walk()) == {0, 1, 2, 3, 4}
    assert set(trie.keys("a/").walk()) == {0, 3, 4}
    assert trie.items("a/").walk(limit=2) == [0, 4]
    assert set(trie.values("none/").walk()) <= {0, 3, 4}
