"""How many blocks a second can be appended, each by an append of its own?

Relaxed durability, because the peers have no other: none of them calls fsync. Each append signs a
head, so two signatures a block (one made, none verified) are the floor on every side.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.report import Answer, Times
from feedlog import Store

SIZE = 100


def run(bench: Bench) -> Iterator[Answer]:
    """Append `count` blocks of 100 bytes to a new feed, one by one."""
    count = bench.size(3000, 300)
    blocks = [i.to_bytes(4, "little") * (SIZE // 4) for i in range(count)]

    def work() -> float:
        with bench.directory() as path, Store(path, durability="relaxed") as store:
            feed = store.feed("single")
            start = perf_counter()
            for block in blocks:
                feed.append(block)
            return count / (perf_counter() - start)

    yield Answer(
        "append one block at a time, relaxed",
        bench.ours("blocks/s", work),
        bench.peer("append_single.js", "hypercore-9", count=count, size=SIZE)
        + bench.peer("append_single.js", "hypercore-11", count=count, size=SIZE),
        (Times(3.0, "hypercore-9"),),
    )
