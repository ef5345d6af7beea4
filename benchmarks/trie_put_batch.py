"""How many keys a second can be put in one batch, under one signature?

hyperbee keeps its keys in order; a trie does if it is made so, and else in the order of hashes.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.report import Answer, Times
from benchmarks.trie_put import entries
from feedlog import Store
from trie import Trie
from trie.header import Order


def run(bench: Bench) -> Iterator[Answer]:
    """Put 10,000 keys into a new trie at once."""
    count = bench.size(10_000, 1000)
    given = entries(count)

    def work(order: Order) -> float:
        with bench.directory() as path, Store(path, durability="relaxed") as store:
            trie = Trie(store.feed("trie"), order=order)
            start = perf_counter()
            with trie.batch() as batch:
                for key, value in given:
                    batch[key] = value
            return count / (perf_counter() - start)

    peers = bench.peer("trie_put_batch.js", "hypertrie", count=count)
    peers += bench.peer("trie_put_batch.js", "hyperbee", count=count)
    target = (Times(2.0, "hyperbee"),)
    by_hash = bench.ours("keys/s", lambda: work("hash"))
    yield Answer(f"trie: put {count} keys in one batch", by_hash, peers, target)
    by_key = bench.ours("keys/s", lambda: work("key"))
    yield Answer(f"trie: put {count} keys in one batch, in key order", by_key, peers, target)
