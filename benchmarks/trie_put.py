"""How many keys a second can be put, one at a time, each an append of its own?

Relaxed durability, as in `append_single`: the peers have no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.report import Answer, Times
from feedlog import Store
from trie import Trie

VALUE_SIZE = 32


def entries(count: int) -> list[tuple[str, bytes]]:
    """The keys and values that every trie question uses, on our side and on the peers'."""
    return [
        (f"pkg/{i}/1.0.{i % 10}", (i & 255).to_bytes(1, "little") * VALUE_SIZE)
        for i in range(count)
    ]


def run(bench: Bench) -> Iterator[Answer]:
    """Put 5,000 keys into a new trie."""
    count = bench.size(5000, 300)
    given = entries(count)

    def work() -> float:
        with bench.directory() as path, Store(path, durability="relaxed") as store:
            trie = Trie(store.feed("trie"))
            start = perf_counter()
            for key, value in given:
                trie[key] = value
            return count / (perf_counter() - start)

    yield Answer(
        "trie: put one key at a time",
        bench.ours("keys/s", work),
        bench.peer("trie_put.js", "hypertrie", count=count)
        + bench.peer("trie_put.js", "hyperbee", count=count),
        (Times(2.0, "hypertrie"),),
    )
