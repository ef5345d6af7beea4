"""The collections that `items`, `keys` and `values` return.

They are Python's own mapping views, narrowed to a query: each iteration looks at
one version, and a second one may see a later. Nothing is read until then.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    ItemsView,
    Iterator,
    KeysView,
    Mapping,
    MappingView,
    ValuesView,
)
from typing import Any, TypedDict

from trie import listing
from trie.core import State
from trie.keyspace import Keyspace
from trie.listing import Directory, Query
from trie.node import Node
from trie.nodes import Nodes
from trie.walk import DEFAULT_LIMIT, walk


class How(TypedDict, total=False):
    """What `items`, `keys` and `values` take besides the prefix; see `View.items`."""

    recursive: bool
    reverse: bool
    after: Any
    limit: int | None


class Selection:
    """A query on whatever version is asked for."""

    __slots__ = ("_look", "_nodes", "_query", "_where")

    def __init__(
        self,
        look: Callable[[], State],
        where: Callable[[], tuple[int, Keyspace]],
        nodes: Nodes,
        query: Query,
    ) -> None:
        """Take what gives the version to look at, with its root or alone, and the query."""
        self._look = look
        self._where = where
        self._nodes = nodes
        self._query = query

    def __len__(self) -> int:
        """Return the number of entries."""
        _, root, nodes, _ = self._look()
        return listing.length(nodes, root, self._query)

    def select(self) -> tuple[State, Iterator[Node | Directory]]:
        """Return one version and what the query selects of it."""
        state = self._look()
        return state, listing.select(state.nodes, state.root, self._query)

    def walk(self, limit: int, *, values: bool) -> list[int]:
        """Return the blocks that an iteration reads, up to `limit`, as far as they are held."""
        version, _ = self._where()

        def read(recording: Nodes, root: Node) -> None:
            for one in listing.select(recording, root, self._query):
                if values and isinstance(one, Node):
                    recording.value(one)

        return walk(self._nodes, version, read, limit)

    def entries(self, *, values: bool) -> Iterator[tuple[Any, Any]]:
        """Yield keys with values, or with None where no values are wanted."""
        (_, _, nodes, space), found = self.select()
        for one in found:
            if isinstance(one, Directory):
                yield space.decode_key(one.name, 0), None
            else:
                key = space.decode_key(one.key, one.index)
                yield key, space.value(nodes, one) if values else None


class _Narrowed(MappingView):
    """One of Python's views of a mapping, narrowed to a selection."""

    reads_values = True

    def __init__(self, mapping: Mapping[Any, Any], selection: Selection) -> None:
        """Narrow a view of a mapping."""
        super().__init__(mapping)
        self._selection = selection

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._selection)

    def __iter__(self) -> Iterator[Any]:
        """Yield keys with values."""
        return self._selection.entries(values=self.reads_values)

    def __contains__(self, one: object) -> bool:
        """Tell whether something is among them; goes through all of them."""
        return any(other == one for other in self)

    def walk(self, *, limit: int = DEFAULT_LIMIT) -> list[int]:
        """Return the blocks that an iteration reads; see `View.walk`."""
        return self._selection.walk(limit, values=self.reads_values)


class Items(_Narrowed, ItemsView[Any, Any]):
    """Keys with values."""


class Keys(_Narrowed, KeysView[Any]):
    """Keys alone."""

    reads_values = False

    def __iter__(self) -> Iterator[Any]:
        """Yield the keys."""
        return (key for key, _ in super().__iter__())


class Values(_Narrowed, ValuesView[Any]):
    """Values alone."""

    def __iter__(self) -> Iterator[Any]:
        """Yield the values."""
        return (value for _, value in super().__iter__())
