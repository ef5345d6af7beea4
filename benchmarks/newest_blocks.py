"""Where to keep the newest blocks, so that one append writes less? Three places, on bare LMDB.

`in the tree` is what the store does: the newest record is the last of a B-tree of three levels, all
of which each commit writes anew. `beside it` keeps the newest records in a small database of their
own and moves them when there are 8 or 16. `folded` makes one large value of each 64 or 256 records
when they are complete, so that the tree has two levels. Bytes are those handed to the kernel by
one commit. docs/adr/0002-tree-packing.md has the table and the decision.

Run by hand: `python -m benchmarks.newest_blocks`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from statistics import mean, median

import lmdb

from benchmarks.tree_packing import completed, key
from benchmarks.write_amplification import written

BLOCKS = 1 << 18
SINGLES = 1024
HEAD = 134
"""A signed head with its checksum."""
NODE = 33
"""A node of a small subtree: a hash, and a size in one byte."""

Append = Callable[["lmdb.Transaction[bytes]", int], None]


def record(block: int) -> bytes:
    return os.urandom(NODE * completed(block) + 104)


def put_newest(txn: lmdb.Transaction[bytes], block: int) -> None:
    txn.put(key(1, block), record(block))
    txn.put(key(1, block) + b"h", os.urandom(HEAD))


def in_the_tree(txn: lmdb.Transaction[bytes], block: int) -> None:
    put_newest(txn, block)


def beside_it(env: lmdb.Environment, every: int, txn: lmdb.Transaction[bytes], block: int) -> None:
    tree, newest = (env.open_db(name, txn=txn) for name in (b"tree", b"newest"))
    if block % every == 0:
        with txn.cursor(newest) as source, txn.cursor(tree) as target:
            target.putmulti(list(source), append=True)
        txn.drop(newest, delete=False)
    txn.put(key(1, block), record(block), db=newest)
    txn.put(key(1, block) + b"h", os.urandom(HEAD), db=newest)


def folded(size: int, txn: lmdb.Transaction[bytes], block: int) -> None:
    if block % size == 0 and block > BLOCKS:
        places = range(block - size, block)
        records = [txn.pop(key(1, place)) or b"" for place in places]
        for place in places:
            txn.delete(key(1, place) + b"h")
        txn.put(key(1, block - size), b"".join(records))
    put_newest(txn, block)


def fill(env: lmdb.Environment, *, database: bytes | None = None, size: int = 1) -> None:
    """Store the blocks before the single appends, `size` of them in one value."""
    target = None if database is None else env.open_db(database)
    with env.begin(write=True) as txn, txn.cursor(target) as cursor:
        for start in range(0, BLOCKS, size):
            value = b"".join(map(record, range(start, min(start + size, BLOCKS))))
            cursor.put(key(1, start), value, append=True)


def measure(name: str, env: lmdb.Environment, append: Append) -> str:
    sizes = []
    for block in range(BLOCKS, BLOCKS + SINGLES):
        before = written()
        with env.begin(write=True) as txn:
            append(txn, block)
        sizes.append(written() - before)
    return f"| {name} | {mean(sizes):,.0f} | {median(sizes):,.0f} | {max(sizes):,} |"


def environment(path: str, name: str) -> lmdb.Environment:
    return lmdb.open(f"{path}/{name}", map_size=1 << 34, sync=False, metasync=False, max_dbs=2)


def main() -> None:
    """Print the table of the decision record."""
    print("| the newest blocks | mean | median | most |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as path:
        env = environment(path, "tree")
        fill(env)
        print(measure("in the tree", env, in_the_tree))
        for every in (8, 16):
            env = environment(path, f"beside {every}")
            fill(env, database=b"tree")
            env.open_db(b"newest")
            name = f"beside it, moved every {every}"
            print(measure(name, env, partial(beside_it, env, every)))
        for size in (64, 256):
            env = environment(path, f"folded {size}")
            fill(env, size=size)
            print(measure(f"in the tree, folded every {size}", env, partial(folded, size)))


if __name__ == "__main__":
    main()
