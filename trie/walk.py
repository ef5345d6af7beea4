"""Which blocks a lookup or a listing reads: what a serving peer sends along.

A peer runs the reader's question on its own copy and sends the blocks that were
touched under one multiproof; so the reader's own lookup then finds them all and
costs one round trip. The answer is only a hint about which blocks to send: the
reader verifies each, walks by itself, and asks again for what it still lacks.

The walk ends early where the copy lacks a block, or at the limit. Values in chunks
are named and not read.
"""

from __future__ import annotations

from collections.abc import Callable

from feedlog import BlockMissing
from trie import node as node_format
from trie.node import Node
from trie.nodes import Nodes

DEFAULT_LIMIT = 4096
"""Blocks that one walk names at most: as many ranges as a proof may have."""


class _Enough(Exception):
    """The walk has reached its limit."""


class RecordingNodes(Nodes):
    """Nodes of a shared cache that remember which of them were asked for."""

    def __init__(self, shared: Nodes, limit: int) -> None:
        """Record up to `limit` blocks."""
        super().__init__(shared.source)
        self._shared = shared
        self._limit = limit
        self.header = shared.header
        self.paths = shared.paths
        self.touched = {0: None}
        """Block indexes, in the order in which they were touched."""

    def load(self, index: int) -> Node:
        """Return the node at an index; raises `MalformedNode` where there is none."""
        node = self._shared.load(index)
        self.touch(index)
        return node

    def value(self, node: Node) -> bytes:
        """Touch the chunks of a node's value; return nothing of it."""
        if node.kind == node_format.PUT_CHUNKS:
            first, size = node.run
            for index in range(first, first + node_format.chunks(size)):
                self.touch(index)
        return b""

    def touch(self, index: int) -> None:
        """Record a block."""
        if len(self.touched) >= self._limit and index not in self.touched:
            raise _Enough
        self.touched[index] = None


def walk(shared: Nodes, version: int, read: Callable[[Nodes, Node], None], limit: int) -> list[int]:
    """Return the blocks that `read` touches, from the root of a version on."""
    if version < 1 or limit < 1:
        return []
    try:
        nodes = RecordingNodes(shared, limit)
    except BlockMissing:
        return []
    try:
        if version > 1:
            read(nodes, nodes.load(version - 1))
    except (BlockMissing, _Enough):
        pass
    return list(nodes.touched)
