from __future__ import annotations

import gc

from feedlog import Feed, Store
from trie import Trie
from trie.pending import MANY_OBJECTS, collector_at_rest


def test_blocks_of_an_open_transaction_stay_out_of_the_shared_cache(
    store: Store, feed: Feed
) -> None:
    trie = Trie(feed)
    trie["a"] = b"1"

    def fail(marker: bytes) -> None:
        with store.transaction():
            trie["b"] = marker
            trie["c"] = marker
            raise RuntimeError("on purpose")

    for marker in (b"lost", b"lost too"):
        try:
            fail(marker)
        except RuntimeError:
            trie[f"kept {marker!r}"] = b""
    assert sorted(trie) == ["a", "kept b'lost too'", "kept b'lost'"]


def test_a_trie_made_and_written_in_one_transaction(store: Store, feed: Feed) -> None:
    trie = Trie(feed, value_codec="text")
    with store.transaction():
        trie["a"] = "1"
        with trie.batch() as batch:
            batch["b"] = batch["a"] + "2"
        feed.truncate(0)
        trie["c"] = "3"
    assert dict(trie) == {"c": "3"}


def test_the_collector_is_left_as_it_was() -> None:
    assert gc.isenabled()
    with collector_at_rest(MANY_OBJECTS):
        assert not gc.isenabled()
        with collector_at_rest(MANY_OBJECTS):
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with collector_at_rest(MANY_OBJECTS - 1):
        assert gc.isenabled()
