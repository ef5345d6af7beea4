"""How fast is a whole feed cloned from one peer, both ends in one process?

Asked with many small blocks, where the cost of each block counts, and with blocks of 64 KiB, where
hashing, sealing and copying of bytes count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.nodes import following
from benchmarks.report import Answer, Figure, Times
from feedlog import Feed, Store

SMALL = 100
LARGE = 64 << 10


async def clone(bench: Bench, feed: Feed, source: Store) -> float:
    """Clone the feed into a new store; return the seconds it took."""
    with bench.directory() as path, Store(path, durability="relaxed") as copy:
        async with following(feed, source, copy) as remote:
            start = perf_counter()
            await remote.download(range(feed.length))
            spent = perf_counter() - start
            assert len(remote.feed) == feed.length
            assert remote.feed.has(feed.length - 1)
            return spent


def rates(bench: Bench, count: int, size: int) -> Figure:
    """Blocks per second of a clone of `count` blocks of `size` bytes."""
    with bench.directory() as path, Store(path, durability="relaxed") as store:
        feed = store.feed("replicate")
        step = max(1, (4 << 20) // size)
        for first in range(0, count, step):
            batch = range(first, min(first + step, count))
            feed.extend(i.to_bytes(4, "little") * (size // 4) for i in batch)
        return bench.ours("blocks/s", lambda: count / asyncio.run(clone(bench, feed, store)))


def megabytes(figure: Figure, size: int) -> Figure:
    """The same figure in bytes of blocks."""
    runs = tuple(run * size / 1e6 for run in figure.runs)
    return Figure(figure.who, "MB/s", runs, figure.version, figure.facts)


def run(bench: Bench) -> Iterator[Answer]:
    """Clone 42,000 blocks of 100 bytes, and 2,000 blocks of 64 KiB."""
    count = bench.size(42_000, 2000)
    yield Answer(
        f"replicate {count} blocks of {SMALL} B",
        rates(bench, count, SMALL),
        bench.peer("replicate.js", "hypercore-9", count=count, size=SMALL)
        + bench.peer("replicate.js", "hypercore-11", count=count, size=SMALL),
        (Times(8.0),),
    )
    count = bench.size(2000, 100)
    peers = bench.peer("replicate.js", "hypercore-9", count=count, size=LARGE) + bench.peer(
        "replicate.js", "hypercore-11", count=count, size=LARGE
    )
    yield Answer(
        f"replicate {count} blocks of {LARGE >> 10} KiB",
        megabytes(rates(bench, count, LARGE), LARGE),
        tuple(megabytes(peer, LARGE) for peer in peers),
        (Times(4.0, "hypercore-11"),),
    )
