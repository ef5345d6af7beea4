"""How many blocks a second can be read at random places, one after another?"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.report import Answer, Times
from feedlog import Store

SIZE = 100


def run(bench: Bench) -> Iterator[Answer]:
    """Read random blocks of a feed of 20,000 blocks of 100 bytes."""
    count = bench.size(20_000, 2000)
    rng = Random(1)
    places = [rng.randrange(count) for _ in range(count)]

    with bench.directory() as path, Store(path, durability="relaxed") as store:
        feed = store.feed("read")
        feed.extend(i.to_bytes(4, "little") * (SIZE // 4) for i in range(count))

        def work() -> float:
            start = perf_counter()
            for place in places:
                feed[place]
            return count / (perf_counter() - start)

        ours = bench.ours("blocks/s", work)

    yield Answer(
        "read blocks at random",
        ours,
        bench.peer("read_random.js", "hypercore-9", count=count, size=SIZE, reads=count)
        + bench.peer("read_random.js", "hypercore-11", count=count, size=SIZE, reads=count),
        (Times(6.0, "hypercore-11"),),
    )
