"""How many keys a second are looked up in a local trie that was just opened?

Each key once, in random order, with the caches of the library cold, on every side: a warm cache
that holds all keys would measure a dictionary.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.report import Answer, Times
from benchmarks.trie_put import entries
from feedlog import Store
from trie import Trie


def run(bench: Bench) -> Iterator[Answer]:
    """Look up each of 10,000 keys."""
    count = bench.size(10_000, 1000)
    given = entries(count)
    keys = [key for key, _ in given]
    Random(1).shuffle(keys)

    with bench.directory() as path:
        with Store(path, durability="relaxed") as store, Trie(store.feed("trie")).batch() as batch:
            for key, value in given:
                batch[key] = value

        def work() -> float:
            with Store(path) as store:
                trie = Trie(store.feed("trie"))
                start = perf_counter()
                for key in keys:
                    trie[key]
                return count / (perf_counter() - start)

        ours = bench.ours("keys/s", work)

    yield Answer(
        f"trie: get each of {count} keys",
        ours,
        bench.peer("trie_get.js", "hypertrie", count=count)
        + bench.peer("trie_get.js", "hyperbee", count=count),
        (Times(6.0, "hypertrie"),),
    )
