"""Several changes that become visible together, and are seen inside before.

A batch holds the write transaction of the feed's store while its `with` block runs:
what it reads cannot change under it, and other writers wait. It keeps the last
state of each key that it changed; at the end all of them go into one merge and one
append. An error that leaves the block leaves nothing behind.

Reading lays the changes over the version that the transaction found.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from operator import itemgetter
from typing import Any

from trie import listing
from trie.get import find
from trie.keyspace import Keyspace
from trie.listing import Query
from trie.node import Node
from trie.pending import Pending, collector_at_rest
from trie.write import Change, Run

_UNCHANGED = object()


class Batch(MutableMapping[Any, Any]):
    """The trie inside of a batch: a mutable mapping. Made by `Trie.batch`."""

    def __init__(self, pending: Pending, space: Keyspace) -> None:
        """Change what a transaction found."""
        self._pending = pending
        self._space = space
        self._changes: dict[bytes, bytes | Run | None] = {}

    def __getitem__(self, key: Any) -> Any:
        """Return the value of a key, as this batch would leave it; raises `KeyError`."""
        raw = self._space.encode_key(key)
        changed = self._changes.get(raw, _UNCHANGED)
        if changed is _UNCHANGED:
            node = self._old(raw)
            if node is None:
                raise KeyError(key)
            return self._space.value(self._pending.nodes, node)
        if changed is None:
            raise KeyError(key)
        assert isinstance(changed, bytes), "runs come from undo, which reads nothing"
        return self._space.decode_value(changed, self._pending.version)

    def __contains__(self, key: object) -> bool:
        """Tell whether a key has a value, as this batch would leave it."""
        raw = self._space.encode_key(key)
        changed = self._changes.get(raw, _UNCHANGED)
        return self._old(raw) is not None if changed is _UNCHANGED else changed is not None

    def __setitem__(self, key: Any, value: Any) -> None:
        """Set the value of a key."""
        self._changes[self._space.encode_key(key)] = self._space.encode_value(value)

    def __delitem__(self, key: Any) -> None:
        """Delete a key; raises `KeyError`."""
        raw = self._space.encode_key(key)
        if key not in self:
            raise KeyError(key)
        if self._old(raw) is None:
            del self._changes[raw]  # it was put in this batch: nobody will have seen it
        else:
            self._changes[raw] = None

    put = __setitem__
    delete = __delitem__

    def __iter__(self) -> Iterator[Any]:
        """Yield the keys, as this batch would leave them: first the old ones."""
        pending, space = self._pending, self._space
        for node in listing.select(pending.nodes, pending.root, Query(space.prefix)):
            assert isinstance(node, Node), "a recursive listing has no directories"
            if node.key not in self._changes:
                yield space.decode_key(node.key, node.index)
        for raw, value in list(self._changes.items()):
            if value is not None:
                yield space.decode_key(raw, pending.version)

    def __len__(self) -> int:
        """Return the number of keys, as this batch would leave them."""
        pending = self._pending
        old = listing.length(pending.nodes, pending.root, Query(self._space.prefix))
        for raw, value in self._changes.items():
            old += (value is not None) - (self._old(raw) is not None)
        return old

    def _old(self, raw: bytes) -> Node | None:
        pending = self._pending
        return find(pending.nodes, pending.root, pending.nodes.paths.path(raw))

    def changes(self) -> list[Change]:
        """Return what to merge, in the order of paths."""
        changes = self._changes
        with collector_at_rest(len(changes)):
            paths = self._pending.nodes.paths.paths(changes)
            return sorted(zip(paths, changes, changes.values(), strict=True), key=_path)


_path = itemgetter(0)
