"""Tree nodes of one fork that proofs have used lately.

The nodes near the roots are in nearly every proof. Within a fork a node that is
stored never changes and never goes away: so it need not be read, checked and
decoded again, whatever was appended or cleared in between. A new fork begins
with nothing; whoever still reads an older one, as a snapshot may, reads it from
the store.

Bounded: nodes live in two generations. When the young one is full it becomes the
old one, and what nobody asked for meanwhile goes with the old one before it.

Invariant: what is kept was read from a committed state; an open transaction, which
may still be undone, must not read through this. Must not know entries or storage.
"""

from __future__ import annotations

from collections.abc import Callable

from feedlog.flat_tree import NodeIndex
from feedlog.merkle import TreeNode

CAPACITY = 8192
"""Nodes in one generation: both take some 4 MB of memory when they are full, and hold what it
takes to prove some 3,000 scattered blocks again and again."""
LARGEST_QUERY = 256
"""Nodes asked for at once; more are a bulk transfer, of which nothing is asked for twice."""

Generation = dict[NodeIndex, TreeNode]
ReadNodes = Callable[[list[NodeIndex]], list[TreeNode]]


class NodeCache:
    """Reads nodes through a memory of those read before. Threads may share it."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        """Begin with nothing."""
        self._kept: tuple[int, Generation, Generation] = (0, {}, {})
        """The fork, and its young and old nodes: replaced as a whole, and never emptied."""

    def nodes(self, fork: int, indexes: list[NodeIndex], read: ReadNodes) -> list[TreeNode]:
        """Return the nodes of a fork, of which those not known are read in one call."""
        known, young, old = self._kept
        if fork < known or len(indexes) > LARGEST_QUERY:
            return read(indexes)
        if fork > known:
            young, old = {}, {}
            self._kept = fork, young, old
        elif len(young) >= CAPACITY:
            young, old = {}, young
            self._kept = fork, young, old
        missing = [index for index in indexes if index not in young]
        if missing:
            for index in missing:
                if index in old:
                    young[index] = old[index]
            unknown = [index for index in missing if index not in young]
            young.update(zip(unknown, read(unknown), strict=True))
        return [young[index] for index in indexes]
