"""The tree as it grows: its roots, and the nodes that new blocks complete.

Keeps the roots of the perfect subtrees and nothing else, so appending a block
reads no storage: a new leaf merges with the roots to its left as a binary
counter carries. Specified in docs/spec/feed.md, section 2.

Blocks are hashed level by level: all their leaves, then all parents of these,
up to the roots. Python's price for a step is paid once a level, and what is left
of a batch's cost is two calls of the hash function a block.

Invariant: roots run left to right and their spans tile [0, length).
Knows indexes and hashes. Must not know files or signatures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import add

from feedlog import flat_tree
from feedlog.flat_tree import NodeIndex
from feedlog.hashing import LEAF, PARENT, HashSuite, described_root

TreeNode = tuple[int, bytes]
"""A node's size (bytes of all blocks below it) and its hash (32 bytes)."""

Level = tuple[int, list[int], list[bytes]]
"""Adjacent nodes of one level: how many are to their left, their sizes, their hashes."""


class Run:
    """The nodes that the adjacent blocks [start, stop) complete, by level, leaves first."""

    __slots__ = ("levels", "start", "stop")

    def __init__(self, start: int, stop: int, levels: list[Level]) -> None:
        """Take the levels, of which each holds all of its nodes that the blocks complete."""
        self.start = start
        self.stop = stop
        self.levels = levels

    def get(self, index: int) -> TreeNode | None:
        """Return a node, or None for one that the blocks do not complete."""
        level = flat_tree.level(index)
        if level >= len(self.levels):
            return None
        left, sizes, hashes = self.levels[level]
        at = flat_tree.offset(index) - left
        return (sizes[at], hashes[at]) if 0 <= at < len(sizes) else None

    def column(self, block: int) -> list[TreeNode]:
        """Return the nodes that one of the blocks completes, its leaf first."""
        if self.stop - self.start == 1:
            return [(sizes[0], hashes[0]) for _, sizes, hashes in self.levels]
        column = []
        for level, (left, sizes, hashes) in enumerate(self.levels):
            if block + 1 & (1 << level) - 1:
                break
            at = (block >> level) - left
            if not 0 <= at < len(sizes):
                break
            column.append((sizes[at], hashes[at]))
        return column

    def nodes(self) -> Iterator[tuple[NodeIndex, TreeNode]]:
        """Yield all nodes with their indexes, level by level."""
        for level, (left, sizes, hashes) in enumerate(self.levels):
            for offset, node in enumerate(zip(sizes, hashes, strict=True), left):
                yield flat_tree.node(level, offset), node


class Roots:
    """The roots of the first `length` blocks of a feed."""

    __slots__ = ("_described", "byte_length", "length", "nodes", "suite")

    def __init__(self, suite: HashSuite, length: int = 0, nodes: Sequence[TreeNode] = ()) -> None:
        """Take the roots of `length` blocks from left to right."""
        self.suite = suite
        self.length = length
        self.nodes = list(nodes)
        self.byte_length = sum([size for size, _ in self.nodes])
        """Bytes of all blocks together."""
        self._described: list[bytes] = []
        """What the tree's hash says of the first roots; most of them outlive an append."""
        assert len(self.nodes) == length.bit_count(), "roots do not tile the feed"

    def copy(self) -> Roots:
        """Return roots that can grow on their own."""
        copy = object.__new__(Roots)
        copy.suite, copy.length, copy.byte_length = self.suite, self.length, self.byte_length
        copy.nodes, copy._described = self.nodes.copy(), self._described.copy()
        return copy

    def tree_hash(self) -> bytes:
        """Return the hash (32 bytes) that a head signs."""
        new = []
        stop = self.length
        for size, digest in reversed(self.nodes[len(self._described) :]):
            width = stop & -stop
            new.append(described_root(2 * stop - width - 1, size, digest))
            stop -= width
        new.reverse()
        self._described += new
        return self.suite.tree(self._described)

    def extend(self, blocks: Sequence[bytes]) -> Run:
        """Append blocks; return the nodes that they complete."""
        if len(blocks) == 1:
            return self._append(blocks[0])
        start = left = self.length
        self.length += len(blocks)
        levels: list[Level] = []
        lasting: list[TreeNode] = []
        sizes, hashes = _leaves(self.suite, blocks)
        self.byte_length += sum(sizes)
        while sizes:
            levels.append((left, sizes, hashes))
            if left & 1:
                size, digest = self.nodes.pop()
                sizes, hashes = [size, *sizes], [digest, *hashes]
            if len(sizes) & 1:
                lasting.append((sizes[-1], hashes[-1]))
            sizes, hashes = _parents(self.suite, sizes, hashes)
            left >>= 1
        del self._described[len(self.nodes) :]
        self.nodes += reversed(lasting)
        return Run(start, self.length, levels)

    def _append(self, block: bytes) -> Run:
        """Append one block: for its two hashes, the lists of `extend` would cost as much again."""
        start, new, nodes = self.length, self.suite.new, self.nodes
        size = len(block)
        self.byte_length += size
        digest = new(LEAF + size.to_bytes(8, "little") + block).digest()
        levels: list[Level] = [(start, [size], [digest])]
        carry = start
        while carry & 1:
            left_size, left = nodes.pop()
            size += left_size
            digest = new(PARENT + size.to_bytes(8, "little") + left + digest).digest()
            carry >>= 1
            levels.append((carry, [size], [digest]))
        del self._described[len(nodes) :]
        nodes.append((size, digest))
        self.length = start + 1
        return Run(start, start + 1, levels)


def subtree(suite: HashSuite, start: int, blocks: Sequence[bytes]) -> tuple[TreeNode, Run]:
    """Return the root and all nodes of a perfect subtree, given its blocks from `start` on."""
    levels: list[Level] = []
    sizes, hashes = _leaves(suite, blocks)
    levels.append((start, sizes, hashes))
    while len(sizes) > 1:
        sizes, hashes = _parents(suite, sizes, hashes)
        levels.append((start >> len(levels), sizes, hashes))
    return (sizes[0], hashes[0]), Run(start, start + len(blocks), levels)


def _leaves(suite: HashSuite, blocks: Sequence[bytes]) -> tuple[list[int], list[bytes]]:
    """Return the sizes and hashes of blocks, as `HashSuite.leaf` gives them."""
    new = suite.new
    sizes = list(map(len, blocks))
    if _alike(sizes):
        prefix = LEAF + sizes[0].to_bytes(8, "little")
        return sizes, [new(prefix + block).digest() for block in blocks]
    return sizes, [
        new(LEAF + size.to_bytes(8, "little") + block).digest()
        for size, block in zip(sizes, blocks, strict=True)
    ]


def _parents(
    suite: HashSuite, sizes: list[int], hashes: list[bytes]
) -> tuple[list[int], list[bytes]]:
    """Return the nodes above each pair, as `HashSuite.parent` gives them; an odd one has none."""
    new = suite.new
    sizes = list(map(add, sizes[0::2], sizes[1::2]))
    pairs = zip(hashes[0::2], hashes[1::2])  # noqa: B905 - an odd one at the end is left out
    if _alike(sizes):
        prefix = PARENT + sizes[0].to_bytes(8, "little")
        return sizes, [new(prefix + left + right).digest() for left, right in pairs]
    return sizes, [
        new(PARENT + size.to_bytes(8, "little") + left + right).digest()
        for size, (left, right) in zip(sizes, pairs, strict=True)
    ]


def _alike(sizes: list[int]) -> bool:
    return bool(sizes) and sizes.count(sizes[0]) == len(sizes)
