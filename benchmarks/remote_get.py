"""How many blocks a second does a sparse reader get, asking for one after another?

No read-ahead is possible: the blocks asked for lie apart. On loopback this is the cost of a whole
request and its proof on both sides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.nodes import following
from benchmarks.report import Answer, Times
from feedlog import Feed, Store

SIZE = 100


async def read(feed: Feed, source: Store, copy: Store, reads: int) -> float:
    """Get every n-th block; return the seconds it took."""
    stride = feed.length // reads
    async with following(feed, source, copy) as remote:
        start = perf_counter()
        for place in range(reads):
            await remote.get(place * stride)
        return perf_counter() - start


def run(bench: Bench) -> Iterator[Answer]:
    """Get 2,000 of 20,000 blocks of 100 bytes."""
    count = bench.size(20_000, 2000)
    reads = bench.size(2000, 200)
    with bench.directory() as path, Store(path, durability="relaxed") as store:
        feed = store.feed("sparse")
        feed.extend(i.to_bytes(4, "little") * (SIZE // 4) for i in range(count))

        def work() -> float:
            with bench.directory() as path, Store(path, durability="relaxed") as copy:
                return reads / asyncio.run(read(feed, store, copy, reads))

        ours = bench.ours("blocks/s", work)

    yield Answer(
        "remote get, one after another",
        ours,
        bench.peer("remote_get.js", "hypercore-9", count=count, size=SIZE, reads=reads)
        + bench.peer("remote_get.js", "hypercore-11", count=count, size=SIZE, reads=reads),
        (Times(3.0, "hypercore-11"),),
    )
