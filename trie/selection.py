"""The collections that `items`, `keys` and `values` return.

They are Python's own mapping views, narrowed to a query: each iteration looks at
one version, and a second one may see a later. Nothing is read until then.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from trie import listing
from trie.core import State
from trie.keyspace import Keyspace
from trie.listing import Directory, Query
from trie.node import Node
from trie.nodes import Nodes
from trie.walk import DEFAULT_LIMIT, walk


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

    def keys(self) -> Iterator[Any]:
        """Yield the keys."""
        (_, _, _, space), found = self.select()
        for one in found:
            if isinstance(one, Directory):
                yield space.decode_key(one.name, 0)
            else:
                yield space.decode_key(one.key, one.index)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Yield keys with values."""
        (_, _, nodes, space), found = self.select()
        for one in found:
            if isinstance(one, Directory):
                yield space.decode_key(one.name, 0), None
            else:
                yield space.decode_key(one.key, one.index), space.value(nodes, one)


class Items(ItemsView[Any, Any]):
    """Keys with values."""

    def __init__(self, mapping: Mapping[Any, Any], selection: Selection) -> None:
        """Narrow the items of a mapping."""
        super().__init__(mapping)
        self._selection = selection

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._selection)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Yield them."""
        return self._selection.items()

    def __contains__(self, item: object) -> bool:
        """Tell whether a key with a value is among them; goes through all of them."""
        return any(one == item for one in self)

    def walk(self, *, limit: int = DEFAULT_LIMIT) -> list[int]:
        """Return the blocks that an iteration reads; see `View.walk`."""
        return self._selection.walk(limit, values=True)


class Keys(KeysView[Any]):
    """Keys alone."""

    def __init__(self, mapping: Mapping[Any, Any], selection: Selection) -> None:
        """Narrow the keys of a mapping."""
        super().__init__(mapping)
        self._selection = selection

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._selection)

    def __iter__(self) -> Iterator[Any]:
        """Yield them."""
        return self._selection.keys()

    def __contains__(self, key: object) -> bool:
        """Tell whether a key is among them; goes through all of them."""
        return any(one == key for one in self)

    def walk(self, *, limit: int = DEFAULT_LIMIT) -> list[int]:
        """Return the blocks that an iteration reads; see `View.walk`."""
        return self._selection.walk(limit, values=False)


class Values(ValuesView[Any]):
    """Values alone."""

    def __init__(self, mapping: Mapping[Any, Any], selection: Selection) -> None:
        """Narrow the values of a mapping."""
        super().__init__(mapping)
        self._selection = selection

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._selection)

    def __iter__(self) -> Iterator[Any]:
        """Yield them."""
        return (value for _, value in self._selection.items())

    def __contains__(self, value: object) -> bool:
        """Tell whether a value is among them; goes through all of them."""
        return any(one == value for one in self)

    def walk(self, *, limit: int = DEFAULT_LIMIT) -> list[int]:
        """Return the blocks that an iteration reads; see `View.walk`."""
        return self._selection.walk(limit, values=True)
