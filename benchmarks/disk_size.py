"""How many bytes on disk does a feed take, once its store is closed?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.report import Answer, Figure, Limit
from feedlog import Store

SIZE = 100
BATCH = 10_000


def fill(path: Path, count: int, size: int) -> float:
    """Write a feed named "large" in batches; return the seconds it took."""
    start = perf_counter()
    with Store(path, durability="relaxed") as store:
        feed = store.feed("large")
        for first in range(0, count, BATCH):
            batch = range(first, min(first + BATCH, count))
            feed.extend(i.to_bytes(4, "little") * (size // 4) for i in batch)
    return perf_counter() - start


def allocated(path: Path) -> int:
    """The bytes that the files under a directory occupy, holes left out."""
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


def run(bench: Bench) -> Iterator[Answer]:
    """Fill a feed with a million blocks of 100 bytes."""
    count = bench.size(1_000_000, 20_000)
    with bench.directory() as path:
        seconds = fill(path, count, SIZE)
        bytes_on_disk = allocated(path)

    yield Answer(
        f"disk space of {count} x {SIZE} B",
        Figure("feedlog", "x data", (bytes_on_disk / (count * SIZE),)),
        bench.peer("disk_size.js", "hypercore-9", count=count, size=SIZE)
        + bench.peer("disk_size.js", "hypercore-11", count=count, size=SIZE),
        (Limit(2.0, "x data"),),
        lower_is_better=True,
        note=f"{bytes_on_disk} bytes, written in {seconds:.1f} s",
    )
