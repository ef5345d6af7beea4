"""How large is a proof?

Run by hand: `python -m benchmarks.proof_size`; docs/spec/feed.md shows the table. Beside each proof
stands what one proof a block would take, as Hypercore asks for them: each with its own uncles.
"""

from __future__ import annotations

import random

from feedlog import Feed, Store
from feedlog.ranges import Ranges

BLOCKS = 1 << 20
SIZE = 100
BATCH = 1 << 15


def proof_bytes(feed: Feed, blocks: list[int], since: int = 0) -> int:
    """Bytes of a proof beyond those of the blocks in it."""
    proof = feed.prove(blocks, since=since)
    return len(proof.to_bytes()) - sum(map(len, proof.data))


def one_by_one(feed: Feed, blocks: list[int]) -> int:
    """Bytes of one proof for each block against a known head: its uncles and little else."""
    length = feed.length
    return sum(
        len(feed.prove([block], since=length, signed=False).to_bytes()) - SIZE for block in blocks
    )


def main() -> None:
    """Print the table of the specification."""
    rng = random.Random(1)
    with Store.memory() as store:
        feed = store.feed("large")
        for _ in range(BLOCKS // BATCH):
            feed.extend([bytes(SIZE)] * BATCH)
        scattered = sorted(rng.sample(range(BLOCKS), 256))
        adjacent = list(range(500_000, 500_256))
        rows = [
            ("one block", proof_bytes(feed, [500_000]), one_by_one(feed, [500_000])),
            ("256 adjacent blocks", proof_bytes(feed, adjacent), one_by_one(feed, adjacent)),
            ("256 scattered blocks", proof_bytes(feed, scattered), one_by_one(feed, scattered)),
        ]
        feed.append(bytes(SIZE))
        rows.append(("upgrade by one block", proof_bytes(feed, [BLOCKS], since=BLOCKS), 0))
        assert len(Ranges.of(adjacent).pairs) == 1
    print("| proof | bytes beside the blocks | as one proof a block |")
    print("|---|---|---|")
    for name, ours, singly in rows:
        print(f"| {name} | {ours:,} | {f'{singly:,}' if singly else ''} |")


if __name__ == "__main__":
    main()
