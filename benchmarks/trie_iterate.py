"""How many entries a second does an iteration over a trie yield, the trie being just opened?"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.report import Answer, Times
from benchmarks.trie_put import entries
from feedlog import Store
from trie import Trie


def run(bench: Bench) -> Iterator[Answer]:
    """Iterate over 10,000 entries."""
    count = bench.size(10_000, 1000)

    with bench.directory() as path:
        with Store(path, durability="relaxed") as store, Trie(store.feed("trie")).batch() as batch:
            for key, value in entries(count):
                batch[key] = value

        def work() -> float:
            with Store(path) as store:
                trie = Trie(store.feed("trie"))
                start = perf_counter()
                found = sum(1 for _ in trie.items())
                spent = perf_counter() - start
            assert found == count
            return count / spent

        ours = bench.ours("entries/s", work)

    yield Answer(
        f"trie: iterate over {count} entries",
        ours,
        bench.peer("trie_iterate.js", "hypertrie", count=count)
        + bench.peer("trie_iterate.js", "hyperbee", count=count),
        (Times(2.0, "hyperbee"),),
    )
