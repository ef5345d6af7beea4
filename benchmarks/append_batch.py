"""How many blocks a second can be appended in one batch, under one signature?

Nothing but hashing and storing is left here: two hashes a block. The call of `blake3(...).digest()`
from Python sets the pace; docs/adr/0014-price-of-a-call.md has the profile.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.report import Answer, Times
from feedlog import Store

SIZE = 100


def run(bench: Bench) -> Iterator[Answer]:
    """Append 20,000 blocks of 100 bytes to a new feed at once."""
    count = bench.size(20_000, 2000)
    blocks = [i.to_bytes(4, "little") * (SIZE // 4) for i in range(count)]

    def work() -> float:
        with bench.directory() as path, Store(path, durability="relaxed") as store:
            feed = store.feed("batch")
            start = perf_counter()
            feed.extend(blocks)
            return count / (perf_counter() - start)

    yield Answer(
        f"append {count} blocks in one batch",
        bench.ours("blocks/s", work),
        bench.peer("append_batch.js", "hypercore-9", count=count, size=SIZE)
        + bench.peer("append_batch.js", "hypercore-11", count=count, size=SIZE),
        (Times(1.0, "hypercore-9"), Times(3.0, "hypercore-11")),
    )
