"""How many bits should a digit of a trie's path have? One to five, simulated up to a million keys.

Keys are random 64-bit hashes, put one at a time. From the order in which they were put follows,
without building anything, which node stands for each subtree: the newest below its prefix. That
gives the nodes that a lookup passes, the pointers of the node that a put would append, and the
hashes of the multiproof over the blocks of a lookup. Bytes are those of docs/spec/trie.md, section
4, for rows; a node's key and value, about 40 bytes, come on top.

docs/adr/0006-trie-digits.md has the table and the decision.

Run by hand: `python -m benchmarks.trie_width [keys]`.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from statistics import fmean

SAMPLE = 300
HASH_BITS = 64
HASH_SIZE = 33
"""A digest and its size in a proof."""
REST = 40
"""Bytes of a node besides its rows: kind, span, a key of 30 bytes, a short value."""

Level = tuple[dict[int, int], Counter[int]]
"""For each prefix of that many digits: the newest key below it, and how many there are."""


def levels_of(hashes: list[int], bits: int) -> list[Level]:
    levels: list[Level] = []
    while not levels or (len(levels[-1][0]) < len(hashes) and len(levels) * bits < HASH_BITS - 4):
        shift = HASH_BITS - bits * len(levels)
        newest = {hashed >> shift: index for index, hashed in enumerate(hashes)}
        levels.append((newest, Counter(hashed >> shift for hashed in hashes)))
    return levels


def passed(levels: list[Level], hashed: int, bits: int) -> list[int]:
    """The nodes of a lookup: each newest one below a prefix of the path."""
    nodes: list[int] = []
    for depth, (newest, _) in enumerate(levels):
        index = newest[hashed >> (HASH_BITS - bits * depth)]
        if not nodes or nodes[-1] != index:
            nodes.append(index)
    return nodes


def rows(levels: list[Level], hashed: int, bits: int, count: int) -> tuple[int, int, int, int]:
    """Rows, pointers, bytes of rows without counters, and bytes of the counters, for a put now."""
    found = pointers = size = counters = 0
    bitmap = ((1 << bits) + 7) // 8 if bits > 1 else 0
    for depth, (newest, keys) in enumerate(levels[1:], 1):
        prefix = hashed >> (HASH_BITS - bits * depth)
        digit = prefix & ((1 << bits) - 1)
        siblings = [prefix - digit + other for other in range(1 << bits) if other != digit]
        distances = [count - newest[sibling] for sibling in siblings if sibling in newest]
        if distances:
            found += 1
            pointers += len(distances)
            size += 1 + bitmap + len(distances) * ((max(distances).bit_length() + 7) // 8)
            extra = sum(keys[sibling] for sibling in siblings) - len(distances)
            counters += max(1, (extra.bit_length() + 6) // 7)
    return found, pointers, size, counters


def proof_hashes(blocks: list[int], count: int) -> int:
    """The uncles of a multiproof, in a tree padded to one root."""
    needed, width, hashes = set(blocks), count, 0
    while width > 1:
        hashes += sum(1 for at in needed if at ^ 1 < width and at ^ 1 not in needed)
        needed = {at >> 1 for at in needed}
        width = (width + 1) >> 1
    return hashes


def main(most: int) -> None:
    rng = random.Random(1)
    hashes = [rng.getrandbits(HASH_BITS) for _ in range(most)]
    print(
        "|   keys | bits | blocks/get | most | rows | pointers | bytes of rows | counters |", end=""
    )
    print("| bytes/get | proof |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    count = 1000
    while count <= most:
        sample = rng.sample(hashes[:count], SAMPLE)
        for bits in range(1, 6):
            levels = levels_of(hashes[:count], bits)
            puts = [rows(levels, hashed, bits, count) for hashed in sample]
            found, pointers, size, counters = (fmean(column) for column in zip(*puts, strict=True))
            lookups = [passed(levels, hashed, bits) for hashed in sample]
            blocks = fmean(map(len, lookups))
            read = blocks * (size + counters + REST)
            uncles = fmean(proof_hashes([0, *lookup], count) for lookup in lookups)
            print(
                f"| {count} | {bits} | {blocks:.1f} | {max(map(len, lookups))} | {found:.1f} "
                f"| {pointers:.0f} | {size:.0f} | {counters:.0f} | {read:.0f} "
                f"| {(read + uncles * HASH_SIZE) / 1000:.1f} kB |",
                flush=True,
            )
        count *= 10


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
