"""Roots of an append-only tree.

Keeps the roots of the perfect subtrees and nothing else, so appending a block
reads no storage: a new leaf merges with the roots to its left as a binary
counter carries. Specified in docs/spec/feed.md, section 2.

Invariant: nodes run left to right and their spans tile [0, length).
Knows indexes and hashes. Must not know files or signatures.
"""

from __future__ import annotations

from collections.abc import Iterable

from feedlog.hashing import LEAF, PARENT, HashSuite

TreeNode = tuple[int, bytes]
"""A node's size (bytes of all blocks below it) and its hash (32 bytes)."""


class Roots:
    """The roots of the first `length` blocks of a feed."""

    __slots__ = ("length", "nodes", "suite")

    def __init__(self, suite: HashSuite, length: int = 0, nodes: Iterable[TreeNode] = ()) -> None:
        """Take the roots of `length` blocks from left to right."""
        self.suite = suite
        self.length = length
        self.nodes = list(nodes)
        assert len(self.nodes) == length.bit_count(), "roots do not tile the feed"

    def copy(self) -> Roots:
        """Return roots that can grow on their own."""
        return Roots(self.suite, self.length, self.nodes)

    @property
    def byte_length(self) -> int:
        """Bytes of all blocks together."""
        return sum(size for size, _ in self.nodes)

    def tree_hash(self) -> bytes:
        """Return the hash (32 bytes) that a head signs."""
        roots = []
        start, rest = 0, self.length
        for size, digest in self.nodes:
            width = 1 << (rest.bit_length() - 1)
            roots.append((2 * start + width - 1, size, digest))  # as flat_tree.roots counts
            start += width
            rest -= width
        return self.suite.tree(roots)

    def extend(self, blocks: Iterable[bytes]) -> list[list[TreeNode]]:
        """Append blocks; return, for each, the nodes that it completes, leaf first.

        This is the engine's innermost loop, for writers and verifiers alike, so
        the two hashes are written out here instead of calling the suite's methods.
        """
        digest = self.suite.digest
        nodes = self.nodes
        length = self.length
        completed = []
        for block in blocks:
            size = len(block)
            node = (size, digest(LEAF + size.to_bytes(8, "little") + block))
            column = [node]
            carry = length
            while carry & 1:
                left_size, left = nodes.pop()
                size += left_size
                node = (size, digest(PARENT + size.to_bytes(8, "little") + left + node[1]))
                column.append(node)
                carry >>= 1
            nodes.append(node)
            completed.append(column)
            length += 1
        self.length = length
        return completed
