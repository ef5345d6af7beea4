"""What all views of one trie share: the feed, its decoded nodes and the latest root.

A view asks for the `State` of a version and works on that to the end; so no method
sees two versions. When the feed's fork changes, everything remembered is dropped.

Invariant: what is remembered was read from committed blocks of the present fork.
"""

from __future__ import annotations

from typing import NamedTuple

from feedlog import BlockMissing, Feed
from trie.errors import TrieError
from trie.header import Header
from trie.keyspace import Keyspace
from trie.node import Node
from trie.nodes import Nodes


class State(NamedTuple):
    """One version, ready to be read."""

    version: int
    root: Node | None
    nodes: Nodes
    space: Keyspace


class Core:
    """One trie in one feed."""

    def __init__(self, feed: Feed, template: Header, *, cache_size: int) -> None:
        """Read the trie in a feed; `template` stands for the header while there is none."""
        self.feed = feed
        self.template = template
        self.nodes = Nodes(feed, capacity=cache_size)
        self.fork = 0
        self._committed = 0
        self._written: tuple[Node, bytes] | None = None
        self._root_version = 0
        self._root: Node | None = None

    def latest(self) -> int:
        """Return the feed's length, dropping what belongs to an older fork."""
        head = self.feed.head
        if head is None:
            return 0
        if head.fork != self.fork:
            self._reset(head.fork)
        self._committed = head.length
        return head.length

    def _reset(self, fork: int) -> None:
        self.fork = fork
        self.nodes.forget()
        self._root_version, self._root = 0, None
        self._committed = 0
        self._written = None

    def committed(self, fork: int, length: int) -> int:
        """Return how many of the blocks that a transaction sees are known to be committed."""
        if fork != self.fork:
            self.latest()
            if fork != self.fork:
                return 0  # truncated inside of this transaction
        written = self._written
        if written is not None:
            node, block = written
            self._written = None
            if node.index + 1 == length and self._holds(node.index, block):
                self.nodes.keep(node)
                self._committed = length
        return min(self._committed, length)

    def wrote(self, node: Node, block: bytes) -> None:
        """Remember a root that was appended, and may yet be taken back with its transaction."""
        self._written = node, block

    def _holds(self, index: int, block: bytes) -> bool:
        """Tell whether the feed has a block, committed."""
        try:
            return self.feed[index] == block
        except (IndexError, BlockMissing):
            return False

    def header(self, version: int) -> Header:
        """Return the header of the trie, or the one that it will get."""
        return self.nodes.header if version else self.template

    def root(self, version: int) -> Node | None:
        """Return the node from which a version's keys are reached; None if it has none.

        Raises `ValueError` if the version lies inside a batch, where nobody can look.
        """
        if version != self._root_version:
            if version < 2:
                return None
            node = self.nodes.load(version - 1)
            if not node.span:
                raise ValueError(f"version {version} lies inside a batch")
            self._root_version, self._root = version, node
        return self._root

    def latest_root(self, version: int) -> Node | None:
        """Return the root of the latest version, whose writer owes us that there is one."""
        try:
            return self.root(version)
        except ValueError as error:
            raise TrieError(f"the feed ends where no write does: {error}") from None
