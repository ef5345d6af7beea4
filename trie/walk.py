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
from contextlib import suppress

from feedlog import BlockMissing
from trie import node as node_format
from trie.node import Node
from trie.nodes import Nodes

DEFAULT_LIMIT = 4096
"""Blocks that one walk names at most: as many ranges as a proof may have."""

Read = Callable[[Nodes, Node], None]
"""A lookup or listing, given nodes and a root."""


class _Enough(Exception):
    """The walk has reached its limit."""


class RecordingNodes(Nodes):
    """Nodes of a shared cache that remember which of them were asked for."""

    def __init__(self, shared: Nodes, limit: int | None) -> None:
        """Record up to `limit` blocks, or all of them."""
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
        if self._limit is not None and len(self.touched) >= self._limit:
            raise _Enough
        self.touched[index] = None


def walk(shared: Nodes, version: int, read: Read, limit: int) -> list[int]:
    """Return the blocks that `read` touches in a version, as far as copy and limit go."""
    if version < 1 or limit < 1:
        return []
    nodes = RecordingNodes(shared, limit)
    with suppress(BlockMissing, _Enough):
        _run(nodes, version, read)
    return list(nodes.touched)


def touched(shared: Nodes, version: int, read: Read) -> list[int]:
    """Return all blocks that `read` touches in a version; raises `BlockMissing`."""
    nodes = RecordingNodes(shared, None)
    _run(nodes, version, read)
    return list(nodes.touched)


def _run(nodes: RecordingNodes, version: int, read: Read) -> None:
    if version > 1:
        read(nodes, nodes.load(version - 1))
