"""How long does opening a feed of ten million blocks take, and how much memory?

Opening happens in a process of its own, so that nothing of the filling is in memory; the time
runs from opening the store to holding the last block. The peer's feed has a million blocks: its
figure does not depend on the length, and filling more takes minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.disk_size import fill
from benchmarks.harness import Bench
from benchmarks.report import Answer, Figure, Limit, Times
from feedlog import Store

SIZE = 16


def open_and_read(path: Path, count: int) -> dict[str, float]:
    """Open the feed, read its last block, and say what it cost."""
    start = perf_counter()
    with Store(path) as store:
        feed = store.feed("large")
        whole = len(feed[count - 1]) == SIZE and len(feed) == count
        milliseconds = (perf_counter() - start) * 1000
        assert whole
        return {"ms": milliseconds, "rss": resident()}


def resident() -> float:
    """Megabytes of this process in memory, mapped pages of the store included."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return kilobytes * 1024 / 1e6


def run(bench: Bench) -> Iterator[Answer]:
    """Fill a feed with blocks of 16 bytes, then open it three times."""
    count = bench.size(10_000_000, 100_000)
    with bench.directory() as path:
        seconds = fill(path, count, SIZE)
        command = [sys.executable, "-m", "benchmarks.open_large", str(path), str(count)]
        results = [
            json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            for _ in range(bench.repeat)
        ]

    peers = bench.peer("open_large.js", "hypercore-11", count=count // 10, size=SIZE)
    memory = tuple(Figure(p.who, "MB", (p.facts["rss"] / 1e6,), p.version) for p in peers)
    yield Answer(
        f"open a feed of {count} blocks",
        Figure("feedlog", "ms", tuple(result["ms"] for result in results)),
        peers,
        (Limit(50.0, "ms"),),
        lower_is_better=True,
        note=f"filled in {seconds:.0f} s; the peer's feed has {count // 10} blocks",
    )
    yield Answer(
        "... memory of the process then",
        Figure("feedlog", "MB", tuple(result["rss"] for result in results)),
        memory,
        (Limit(60.0, "MB"), Times(1.0)),
        lower_is_better=True,
    )


if __name__ == "__main__":
    print(json.dumps(open_and_read(Path(sys.argv[1]), int(sys.argv[2]))))
