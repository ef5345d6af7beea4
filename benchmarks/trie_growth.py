"""How do the costs of a trie grow with its number of keys?

The question is whether a lookup touches O(log n) blocks. What a lookup touches is counted as a
reader who has nothing would count it: on an empty replica, each block that the lookup lacks is
proven and applied, until it ends. The peers count the blocks that a database reads that was just
opened. hyperbee keeps keys in order, which tries do when they are made so: both kinds are asked.
`benchmarks/pictures.py` draws the curves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import fmean
from time import perf_counter

from benchmarks.disk_size import allocated
from benchmarks.harness import Bench
from benchmarks.report import Answer, Figure
from benchmarks.trie_put import entries
from feedlog import BlockMissing, Feed, Store
from trie import Trie
from trie.header import Order

BATCH = 10_000
SAMPLE = 50
"""Keys that are looked up by a reader who has nothing."""

PUTS = 500
"""Keys that are added one at a time in the end."""

PEERS_UP_TO = {"hypertrie": 100_000, "hyperbee": 1_000_000}
"""Keys beyond which a peer takes longer than minutes: hypertrie about 20 for a million."""

UNITS = {
    "blocks per cold get": "blocks",
    "bytes of blocks per cold get": "bytes",
    "bytes of a block written by a put": "bytes",
    "bytes of a proof": "bytes",
    "bytes of a proof of absence": "bytes",
    "get": "keys/s",
    "put one at a time": "keys/s",
    "put in batches": "keys/s",
    "disk space per key": "bytes",
}


def cold_get(feed: Feed, key: str) -> list[bytes]:
    """Look up one key on a replica that knows the head only; return the blocks it needed."""
    needed: list[bytes] = []
    with Store.memory() as store:
        replica = store.feed(key=feed.key)
        replica.apply(feed.prove(blocks=[0]))
        while True:
            try:
                Trie(replica)[key]
            except BlockMissing as missing:
                replica.apply(feed.prove(blocks=[missing.index], since=feed.length))
                needed.append(replica[missing.index])
            else:
                return needed


def measure(path: Path, count: int, order: Order) -> dict[str, float]:
    """Build a trie of `count` keys and say what its operations cost."""
    rng = Random(count)
    given = entries(count)
    keys = [key for key, _ in rng.sample(given, min(count, 5000))]
    with Store(path, durability="relaxed") as store:
        trie = Trie(store.feed("trie"), order=order)
        start = perf_counter()
        for first in range(0, count, BATCH):
            with trie.batch() as batch:
                for key, value in given[first : first + BATCH]:
                    batch[key] = value
        batched = count / (perf_counter() - start)
    space = allocated(path) / count

    with Store(path, durability="relaxed") as store:
        feed = store.feed("trie")
        trie = Trie(feed)
        start = perf_counter()
        for key in keys:
            trie[key]
        got = len(keys) / (perf_counter() - start)
        needed = [cold_get(feed, key) for key in keys[:SAMPLE]]

        proofs = [trie.prove(key).to_bytes() for key in keys[:SAMPLE]]
        absences = [trie.prove(f"{key}.1").to_bytes() for key in keys[:SAMPLE]]

        more = entries(count + PUTS)[count:]
        written = feed.byte_length
        start = perf_counter()
        for key, value in more:
            trie[key] = value
        put = len(more) / (perf_counter() - start)
        written = feed.byte_length - written

    figures = (
        fmean(map(len, needed)),
        fmean(sum(map(len, blocks)) for blocks in needed),
        written / len(more),
        fmean(map(len, proofs)),
        fmean(map(len, absences)),
        got,
        put,
        batched,
        space,
    )
    return dict(zip(UNITS, figures, strict=True))


def peers_of(bench: Bench, count: int) -> dict[str, tuple[Figure, ...]]:
    """What hypertrie and hyperbee say of the same, as far as they have it, by what it is."""
    figures: dict[str, tuple[Figure, ...]] = {}
    for who in (who for who, most in PEERS_UP_TO.items() if count <= most):
        for figure in bench.peer("trie_growth.js", who, count=count):
            said = {"blocks per cold get": figure.median, **figure.facts}
            for what, value in said.items():
                one = Figure(who, UNITS[what], (value,), figure.version, {"keys": count})
                figures[what] = (*figures.get(what, ()), one)
    return figures


def run(bench: Bench) -> Iterator[Answer]:
    """Measure tries of a thousand to a million keys."""
    for count in (100, 1000) if bench.quick else (1000, 10_000, 100_000, 1_000_000):
        peers = peers_of(bench, count)
        with bench.directory() as path:
            by_hash = measure(path / "hash", count, "hash")
            by_key = measure(path / "key", count, "key")
        for what, unit in UNITS.items():
            ours = Figure("feedlog", unit, (by_hash[what],), facts={"keys": count})
            ordered = Figure("feedlog in key order", unit, (by_key[what],), facts={"keys": count})
            yield Answer(
                f"trie of {count} keys: {what}",
                ours,
                (ordered, *peers.get(what, ())),
                lower_is_better=not unit.endswith("/s"),
            )
