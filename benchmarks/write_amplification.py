"""How many bytes does one small append write?

Ours is the durable append, which is the default; the peers have none, so theirs is the relaxed
one. What counts is the bytes handed to the kernel by `write` and its relatives (`wchar` in
/proc/self/io). Its neighbour `write_bytes` would not do: it counts whole folios made dirty, which
on a recent kernel are up to 32 pages for one page written. A store that wrote through its memory
map would escape the count, so a figure smaller than the block itself is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.disk_size import fill
from benchmarks.harness import Bench
from benchmarks.report import Answer, Figure, Limit
from feedlog import Store

SIZE = 100


def written() -> int:
    """Bytes that this process has handed to the kernel so far."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def run(bench: Bench) -> Iterator[Answer]:
    """Append blocks of 100 bytes durably, one by one, to a feed that holds 20,000."""
    before = bench.size(20_000, 2000)
    count = bench.size(500, 50)
    with bench.directory() as path:
        fill(path, before, SIZE)
        with Store(path) as store:
            feed = store.feed("large")
            feed.append(bytes(SIZE))
            start = written()
            for _ in range(count):
                feed.append(bytes(SIZE))
            handed = (written() - start) / count
    assert handed > SIZE, "the store does not write by system calls: count something else"

    yield Answer(
        "bytes written by one append (ours durable)",
        Figure("feedlog", "bytes", (handed,)),
        bench.peer("write_amplification.js", "hypercore-9", count=count, before=before)
        + bench.peer("write_amplification.js", "hypercore-11", count=count, before=before),
        (Limit(16 * 1024, "bytes"),),
        lower_is_better=True,
    )
