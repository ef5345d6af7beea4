"""Where to keep the tree's nodes? Three packings of one feed, on bare LMDB.

`with the block` is what the store does: a node stands in the record of the block that completes
it. `in pages` packs 255 nodes into a value of their own, `one by one` gives each node a key.
Hashing and signing are left out, so that the packings alone are compared; the nodes are random
bytes. docs/adr/0002-tree-packing.md has the table and the decision.

Run by hand: `python -m benchmarks.tree_packing`.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb

Entry = tuple[bytes, bytes]
Packing = Callable[[int, int], Iterator[Entry]]
"""Yields the entries that appending the blocks [start, stop) puts."""

BLOCKS = 200_000
SINGLES = 500
PAGE_NODES = 255
NODE = 40
"""A hash of 32 bytes and a size of 8."""
PREFIX = bytes(3)


def key(kind: int, number: int) -> bytes:
    return bytes((kind,)) + number.to_bytes(7, "big")


def completed(block: int) -> int:
    """Count the nodes that a block completes."""
    return (~block & (block + 1)).bit_length()


def with_the_block(start: int, stop: int) -> Iterator[Entry]:
    for block in range(start, stop):
        yield key(1, block), os.urandom(NODE * completed(block) + 100)
    yield key(1, stop - 1) + b"h", os.urandom(105)


def in_pages(start: int, stop: int) -> Iterator[Entry]:
    first, last = node_count(start), node_count(stop)
    for page in range(first // PAGE_NODES, (last - 1) // PAGE_NODES + 1):
        nodes = min(last - page * PAGE_NODES, PAGE_NODES)
        yield key(0, page), os.urandom(nodes * NODE)
    for block in range(start, stop):
        yield key(1, block), os.urandom(100)
    yield key(2, stop), os.urandom(105)


def one_by_one(start: int, stop: int) -> Iterator[Entry]:
    for node in range(node_count(start), node_count(stop)):
        yield key(0, node), os.urandom(NODE)
    for block in range(start, stop):
        yield key(1, block), os.urandom(100)
    yield key(2, stop), os.urandom(105)


def node_count(length: int) -> int:
    """Count the nodes of a feed: leaves and the parents above them."""
    return 2 * length - length.bit_count()


def where(name: str, block: int, level: int) -> bytes:
    """Return the key under which a packing keeps a node."""
    if name == "with the block":
        return key(1, block | (1 << level) - 1)
    node = node_count(block) + level
    return key(0, node // PAGE_NODES if name == "in pages" else node)


def written() -> int:
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def measure(name: str, packing: Packing) -> list[str]:
    with tempfile.TemporaryDirectory() as path:
        env = lmdb.open(path, map_size=1 << 32, sync=False, metasync=False)
        batches = [list(packing(start, start + 20_000)) for start in range(0, BLOCKS, 20_000)]
        begun = time.process_time()
        for batch in batches:
            with env.begin(write=True) as txn, txn.cursor() as cursor:
                cursor.putmulti(batch)
        batch_time = (time.process_time() - begun) / BLOCKS
        size = (Path(path) / "data.mdb").stat().st_size / BLOCKS

        singles = [list(packing(at, at + 1)) for at in range(BLOCKS, BLOCKS + SINGLES)]
        before, begun = written(), time.process_time()
        for entries in singles:
            with env.begin(write=True) as txn:
                for one, value in entries:
                    txn.put(one, value)
        single_time = (time.process_time() - begun) / SINGLES
        single_bytes = (written() - before) / SINGLES

        rng = random.Random(1)
        paths = [
            [where(name, (block >> level << level), level) for level in range(17)]
            for block in (rng.randrange(BLOCKS // 2) for _ in range(2000))
        ]
        begun = time.process_time()
        with env.begin() as txn:
            for nodes in paths:
                for one in nodes:
                    assert txn.get(one) is not None, "every node is stored"
        read_time = (time.process_time() - begun) / len(paths)
        env.close()
    return [
        f"{batch_time * 1e6:.2f} us",
        f"{single_time * 1e6:.1f} us",
        f"{single_bytes / 1024:.1f} KiB",
        f"{size:.0f} B",
        f"{read_time * 1e6:.1f} us",
    ]


def main() -> None:
    """Print the table of the decision record."""
    print(
        "| packing | block of a batch | single append | it writes | disk per block | path of 17 |"
    )
    print("|---|---|---|---|---|---|")
    for packing in (with_the_block, in_pages, one_by_one):
        name = packing.__name__.replace("_", " ")
        print("|", " | ".join([name, *measure(name, packing)]), "|")


if __name__ == "__main__":
    main()
