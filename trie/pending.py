"""A version of the trie in the making: what one write transaction reads and appends.

Inside a transaction the feed may hold blocks that are not committed and never will
be, at indexes where others will stand later. Their nodes are kept here and go with
the transaction; what is known to be committed is read through the shared cache.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from feedlog import Head
from trie.core import Core
from trie.errors import TrieError
from trie.node import Node
from trie.nodes import BlockSource, Nodes
from trie.write import Change, merge

PENDING_CAPACITY = 4096
"""Nodes that one transaction keeps of what others have not seen."""

MANY_OBJECTS = 1000
"""Changes from which on a write keeps the garbage collector at rest."""


class PendingNodes(Nodes):
    """Committed nodes from the shared cache, the transaction's own from the transaction."""

    def __init__(self, shared: Nodes, source: BlockSource, committed: int) -> None:
        """Share the nodes before `committed`."""
        super().__init__(source, capacity=PENDING_CAPACITY)
        self._shared = shared
        self._committed = committed
        if committed:
            self.header = shared.header
            self.paths = shared.paths

    def load(self, index: int) -> Node:
        """Return the node at an index; raises `MalformedNode` where there is none."""
        return self._shared.load(index) if index < self._committed else super().load(index)


class Pending:
    """The version that a write transaction found, and the way to the next."""

    def __init__(self, core: Core, source: BlockSource, head: Head | None) -> None:
        """Read `source`, the feed as the transaction sees it, and its head there."""
        self._core = core
        self.version = head.length if head else 0
        committed = core.committed(head.fork if head else 0, self.version)
        self.nodes: Nodes = PendingNodes(core.nodes, source, committed)
        if not self.version:
            self.nodes.header = core.template
        self.root: Node | None = None
        if self.version > 1:
            self.root = self.nodes.load(self.version - 1)
            if not self.root.span:
                raise TrieError(f"the feed ends inside a batch, at version {self.version}")

    def write(self, changes: Sequence[Change]) -> int:
        """Append what makes the changes; return the version that shows them."""
        if not changes:
            return self.version
        header = None if self.version else self._core.template.to_bytes()
        with collector_at_rest(len(changes)):
            written = merge(self.nodes, self.root, changes, start=self.version, header=header)
            appended = self._core.feed.extend(written.blocks)
        assert appended.start == self.version, "the transaction keeps other writers out"
        self._core.wrote(written.root, written.blocks[-1])
        return appended.stop


@contextmanager
def collector_at_rest(objects: int) -> Iterator[None]:
    """Keep the cyclic garbage collector from running while many objects are made.

    A large batch makes several objects a key and none of them is garbage, yet each few
    thousand make the collector go through all that the process holds: half of the time.
    """
    if objects < MANY_OBJECTS or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
