"""How many proofs of one block, with the upgrade from nothing, can be made a second?

As an object on every side, before it is encoded for the wire. Checking one, decoding included, is
timed beside it, because a reader pays that price for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.report import Answer, Times
from feedlog import Proof, Store, check_proof

SIZE = 100


def run(bench: Bench) -> Iterator[Answer]:
    """Prove random blocks of a feed of 20,000 blocks of 100 bytes, then check them."""
    count = bench.size(20_000, 2000)
    proofs = bench.size(3000, 300)
    rng = Random(1)
    places = [rng.randrange(count) for _ in range(proofs)]

    with bench.directory() as path, Store(path, durability="relaxed") as store:
        feed = store.feed("prove")
        feed.extend(i.to_bytes(4, "little") * (SIZE // 4) for i in range(count))
        key = feed.key

        def make() -> float:
            start = perf_counter()
            for place in places:
                feed.prove(blocks=[place])
            return proofs / (perf_counter() - start)

        sent = [feed.prove(blocks=[place]).to_bytes() for place in places]

        def check() -> float:
            start = perf_counter()
            for data in sent:
                check_proof(key, Proof.from_bytes(data))
            return proofs / (perf_counter() - start)

        made, checked = bench.ours("proofs/s", make), bench.ours("proofs/s", check)

    yield Answer(
        "make a block + upgrade proof",
        made,
        bench.peer("prove.js", "hypercore-9", count=count, size=SIZE, proofs=proofs)
        + bench.peer("prove.js", "hypercore-11", count=count, size=SIZE, proofs=proofs),
        (Times(5.0, "hypercore-11"),),
    )
    yield Answer(
        "check a block + upgrade proof",
        checked,
        note=f"median proof {sorted(map(len, sent))[proofs // 2]} bytes with its block of {SIZE}",
    )
