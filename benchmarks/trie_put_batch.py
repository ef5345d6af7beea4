"""How many keys a second can be put in one batch, under one signature?"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.report import Answer, Times
from benchmarks.trie_put import entries
from feedlog import Store
from trie import Trie


def run(bench: Bench) -> Iterator[Answer]:
    """Put 10,000 keys into a new trie at once."""
    count = bench.size(10_000, 1000)
    given = entries(count)

    def work() -> float:
        with bench.directory() as path, Store(path, durability="relaxed") as store:
            trie = Trie(store.feed("trie"))
            start = perf_counter()
            with trie.batch() as batch:
                for key, value in given:
                    batch[key] = value
            return count / (perf_counter() - start)

    yield Answer(
        f"trie: put {count} keys in one batch",
        bench.ours("keys/s", work),
        bench.peer("trie_put_batch.js", "hypertrie", count=count)
        + bench.peer("trie_put_batch.js", "hyperbee", count=count),
        (Times(2.0, "hyperbee"),),
    )
