"""The decoded nodes of one trie, over whatever holds its blocks.

Keeps decoded nodes in two generations: a hit in the young one costs a dictionary
look-up and no bookkeeping; when the young one is full it becomes the old one, and
what is still used moves up. So at most `2 * capacity` nodes are held, and the
least recently used half goes first.

Invariant: a node in the cache is the block at its index in the fork that the
cache was filled from. Must not know what a lookup is for, nor wait for blocks: a
block that is not held raises the source's `BlockMissing`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

from trie import node as node_format
from trie.header import Header
from trie.node import Node
from trie.path import Paths, digit, parting

DEFAULT_CAPACITY = 16384
"""Nodes in one generation: about 20 MB when full of nodes of a large trie."""


class BlockSource(Protocol):
    """What the trie asks of a feed, a snapshot of one, or the blocks of a proof."""

    @property
    def length(self) -> int:
        """How many blocks there are."""

    def __getitem__(self, index: int, /) -> bytes:
        """Return a block; raises `BlockMissing` where it is not held."""


class Nodes:
    """Nodes by block index."""

    def __init__(self, source: BlockSource, *, capacity: int = DEFAULT_CAPACITY) -> None:
        """Read from a source, keeping at most two generations of `capacity` nodes."""
        self.source = source
        self.capacity = capacity
        self.young: dict[int, Node] = {}
        self._old: dict[int, Node] = {}

    @cached_property
    def header(self) -> Header:
        """The trie's header; raises `NotATrie`."""
        return Header.from_bytes(self.source[0])

    @cached_property
    def paths(self) -> Paths:
        """Where this trie's keys lie."""
        return Paths(self.header)

    def load(self, index: int) -> Node:
        """Return the node at an index; raises `MalformedNode` where there is none."""
        node = self.young.get(index)
        if node is None:
            node = self._old.get(index)
            if node is None:
                node = node_format.decode(index, self.source[index])
                node.place(self.paths.path(node.key))
            self.keep(node)
        return node

    def keep(self, node: Node) -> None:
        """Put a node into the cache."""
        young = self.young
        if len(young) >= self.capacity:
            self._old = young
            young = self.young = {}
        young[node.index] = node

    def forget(self) -> None:
        """Empty the cache: the blocks are no longer those that filled it."""
        self.young = {}
        self._old = {}
        self.__dict__.pop("header", None)
        self.__dict__.pop("paths", None)

    def value(self, node: Node) -> bytes:
        """Return a live node's value, fetching its chunks if it has any."""
        if node.kind != node_format.PUT_CHUNKS:
            return node.value
        first, size = node.run
        pieces = []
        for index in range(first, first + node_format.chunks(size)):
            piece = min(size, node_format.CHUNK_SIZE)
            block = self.source[index]
            pieces.append(node_format.decode_chunk(index, block, piece))
            size -= piece
        return b"".join(pieces)

    def follow(self, node: Node, level: int, at_digit: int, index: int) -> Node:
        """Return the node that the pointer of `node` at a level and digit leads to.

        Raises `MalformedNode` unless its path is that of `node` up to the level, and
        has the digit there: so levels rise along every walk, and it ends within the
        digits of one key.
        """
        child = self.load(index)
        if (
            parting(node.path, node.word, child.path, child.word) != level
            or digit(child.path, level) != at_digit
        ):
            raise child.misplaced()
        return child
