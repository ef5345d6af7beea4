"""What `diff` returns: the keys that differ between two versions, with both of their states.

Nothing is read until one iterates, and each iteration looks at one version of either
side. Like a listing it can say which blocks it would read, so that a serving peer can
send them, and it goes on after a key where an earlier one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from trie.core import Core, State
from trie.diff import Pair, diff
from trie.entries import Difference
from trie.header import Header
from trie.keyspace import Keyspace
from trie.node import Node
from trie.nodes import Nodes
from trie.walk import DEFAULT_LIMIT, walk


@dataclass(frozen=True, slots=True)
class Differences(Iterable[Difference]):
    """The differences under a prefix, in the order of paths. Made by `View.diff`."""

    core: Core
    look: Callable[[], State]
    """Gives the version on the left."""
    where: Callable[[], tuple[int, Keyspace]]
    """The same without its root."""
    keyspace: Callable[[Header], Keyspace]
    other: int
    """The version on the right."""
    prefix: str | bytes
    after: Any
    """The key after which to go on, or None."""
    limit: int | None

    def __iter__(self) -> Iterator[Difference]:
        """Yield them; raises `ValueError` for a version on the right that is inside a batch."""
        _, left, nodes, _ = self.look()
        right = self.core.root(self.other)
        if left is None and right is None:
            return
        space = self.keyspace(nodes.header)
        for mine, yours in self._pairs(nodes, left, right, space):
            either = mine or yours
            assert either is not None, "a difference has a side"
            yield Difference(
                space.decode_key(either.key, either.index),
                None if mine is None else space.entry(nodes, mine),
                None if yours is None else space.entry(nodes, yours),
            )

    def walk(self, *, limit: int = DEFAULT_LIMIT) -> list[int]:
        """Return the blocks that an iteration reads; see `View.walk`."""
        version, space = self.where()

        def read(nodes: Nodes, root: Node) -> None:
            right = nodes.load(self.other - 1) if self.other > 1 else None
            for pair in self._pairs(nodes, root, right, space):
                for node in filter(None, pair):
                    nodes.value(node)

        return walk(self.core.nodes, version, read, limit)

    def _pairs(
        self, nodes: Nodes, left: Node | None, right: Node | None, space: Keyspace
    ) -> Iterator[Pair]:
        after = b"" if self.after is None else nodes.paths.path(space.encode_key(self.after))
        found = (
            pair
            for subtree in nodes.paths.subtrees(space.encode_prefix(self.prefix))
            for pair in diff(nodes, left, right, subtree, after)
        )
        return found if self.limit is None else islice(found, self.limit)
