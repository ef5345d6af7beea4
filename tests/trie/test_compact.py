from __future__ import annotations

import pytest

from feedlog import BlockMissing, Store
from trie import Trie


def test_a_compacted_trie_has_the_live_keys_and_no_more(trie: Trie, store: Store) -> None:
    for number in range(300):
        trie[f"{number % 20}/{number % 50}"] = b"%d" % number
    trie["long"] = b"x" * 100_000
    for number in range(10):
        del trie[f"{number}/{number}"]
    target = store.feed("compact")
    trie.compact_into(target)
    compacted = Trie(target)
    assert dict(compacted) == dict(trie)
    assert compacted.header == trie.header
    assert list(compacted) == list(trie)
    assert target.byte_length < trie.feed.byte_length - 8000
    compacted["more"] = b""
    with pytest.raises(ValueError, match="blocks already"):
        trie.compact_into(target)


def test_an_older_version_can_be_compacted(trie: Trie, store: Store) -> None:
    trie["a"] = b"1"
    version = trie.version
    trie["b"] = b"2"
    trie.at(version).compact_into(store.feed("old"))
    assert dict(Trie(store.feed("old"))) == {"a": b"1"}
    Trie(store.feed("empty")).compact_into(store.feed("nothing"))
    assert store.feed("nothing").length == 0


def test_dead_blocks_can_be_cleared(trie: Trie) -> None:
    for number in range(200):
        trie[f"{number % 30}"] = b"x" * 2000 * (number % 2)
    del trie["3"]
    expected = dict(trie)
    feed = trie.feed
    dead = trie.dead_blocks()
    assert sum(map(len, dead)) > 150
    for blocks in dead:
        feed.clear(blocks.start, blocks.stop)
    again = Trie(feed)
    assert dict(again) == expected
    again["3"] = b"back"
    del again["4"]
    assert again["3"] == b"back"
    with pytest.raises(BlockMissing):
        list(again.history())
