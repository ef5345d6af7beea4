"""The facade: a trie in a feed, as a mutable mapping.

Every write is one transaction of the feed's store: it reads the latest version,
checks its condition, merges its changes and appends them. So any number of
processes may write one trie, and of several conditional writes that contradict
each other exactly one succeeds.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from secrets import token_bytes
from typing import Any

from feedlog import Feed
from trie import history
from trie.batch import Batch
from trie.codecs import named
from trie.core import Core
from trie.diff import diff
from trie.errors import ConditionFailed
from trie.get import find
from trie.header import HASH_BITS, HASH_KEY_SIZE, Header, Order
from trie.node import PUT_CHUNKS, Node
from trie.nodes import DEFAULT_CAPACITY
from trie.pending import Pending
from trie.view import View
from trie.write import Change, Run

_RAISE = object()


class Trie(View, MutableMapping[Any, Any]):
    """A key-value database inside a feed; behaves as a dict."""

    def __init__(
        self,
        feed: Feed,
        *,
        order: Order | None = None,
        key_codec: str | None = None,
        value_codec: str | None = None,
        metadata: bytes | None = None,
        hash_key: bytes | None = None,
        hash_bits: int | None = None,
        cache_size: int = DEFAULT_CAPACITY,
    ) -> None:
        """Open the trie in a feed; the first write to an empty feed makes one.

        The options are fixed then, in block 0: `order` ("hash", or "key" for ranges),
        `key_codec` ("text" by default) and `value_codec` ("bytes") of "bytes", "text",
        "json", "msgpack", and `metadata`, up to 64 KiB of the application's own. For a
        trie that exists they must agree with it (`ValueError`), as far as given.
        `hash_key` (32 bytes, random by default) and `hash_bits` are for tests.
        `cache_size` is about how many decoded nodes are kept in memory.
        """
        template = Header(
            order=order or "hash",
            keys=named(key_codec or "text"),
            values=named(value_codec or "bytes"),
            hash_key=token_bytes(HASH_KEY_SIZE) if hash_key is None else hash_key,
            hash_bits=HASH_BITS if hash_bits is None else hash_bits,
            metadata=metadata or b"",
        )
        core = Core(feed, template, cache_size=cache_size)
        super().__init__(core, pinned=None, names=())
        if feed.length and feed.has(0):
            _check_options(core.nodes.header, order, key_codec, value_codec, metadata)

    # One key.

    def put(
        self, key: Any, value: Any, *, if_version: int | None = None, if_absent: bool = False
    ) -> int:
        """Set the value of a key; return the version that has it.

        With `if_version`: only if the key has a value that was written in that version or
        before, as `entry(key).version` tells, and not since. With `if_absent`: only if it has
        none. Raises `ConditionFailed`, and writes nothing, otherwise. Raises `TypeError` or
        `ValueError` for what the codecs and limits do not allow, `NotWritable` for
        somebody else's feed.
        """
        with self.feed.transaction() as source:
            pending = Pending(self._core, source, source.head)
            space = self._keyspace(pending.nodes.header)
            raw, data = space.encode_key(key), space.encode_value(value)
            path = pending.nodes.paths.path(raw)
            if if_version is not None or if_absent:
                node = find(pending.nodes, pending.root, path)
                _check_condition(key, node, if_version, if_absent=if_absent)
            return pending.write([(path, raw, data)])

    def delete(self, key: Any, *, if_version: int | None = None) -> int:
        """Delete a key; return the version that lacks it. Raises `KeyError`, and as `put` does."""
        with self.feed.transaction() as source:
            pending = Pending(self._core, source, source.head)
            raw = self._keyspace(pending.nodes.header).encode_key(key)
            path = pending.nodes.paths.path(raw)
            node = find(pending.nodes, pending.root, path)
            _check_condition(key, node, if_version, if_absent=False)
            if node is None:
                raise KeyError(key)
            return pending.write([(path, raw, None)])

    def __setitem__(self, key: Any, value: Any) -> None:
        """Set the value of a key."""
        self.put(key, value)

    def __delitem__(self, key: Any) -> None:
        """Delete a key; raises `KeyError`."""
        self.delete(key)

    def pop(self, key: Any, default: Any = _RAISE) -> Any:
        """Delete a key and return its value, or `default`; raises `KeyError` without one."""
        with self.batch() as batch:
            return batch.pop(key) if default is _RAISE else batch.pop(key, default)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key, which is set to `default` if it is absent."""
        with self.batch() as batch:
            return batch.setdefault(key, default)

    # Many keys.

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Collect changes: all become visible at the end of the block, or none after an error.

        Other writers to the store wait meanwhile.
        """
        with self.feed.transaction() as source:
            pending = Pending(self._core, source, source.head)
            batch = Batch(pending, self._keyspace(pending.nodes.header))
            yield batch
            pending.write(batch.changes())

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Set many keys in one batch, as `dict.update` does."""
        with self.batch() as batch:
            batch.update(other, **more)

    def clear(self) -> None:
        """Delete all keys, in one batch."""
        with self.batch() as batch:
            for key in list(batch):
                del batch[key]

    def undo(self, writes: int = 1) -> int:
        """Take back the last writes by a new one; return its version.

        Every key gets the value that it had before them, in one batch. The history keeps
        all of it; so undoing twice does it again. Raises `ValueError` if there were fewer.
        """
        if writes < 0:
            raise ValueError(f"a number of writes to undo is not negative, got {writes}")
        with self.feed.transaction() as source:
            pending = Pending(self._core, source, source.head)
            before = pending.version
            for undone in range(writes):
                if before < 2:
                    raise ValueError(f"there are {undone} writes to undo, not {writes}")
                before = history.previous(pending.nodes, before)
            then = pending.nodes.load(before - 1) if before > 1 else None
            changes = [
                _restore(now, old) for now, old in diff(pending.nodes, pending.root, then, b"")
            ]
            return pending.write(changes)

    # Parts.

    def sub(
        self, name: str | bytes, *, key_codec: str | None = None, value_codec: str | None = None
    ) -> Trie:
        """Return the keys that begin with `name` and "/" as a trie of its own; see `View.sub`."""
        part = Trie.__new__(Trie)
        View.__init__(
            part, self._core, pinned=None, names=self._named(name, key_codec, value_codec)
        )
        return part


def _restore(now: Node | None, old: Node | None) -> Change:
    node = old or now
    assert node is not None, "a difference has a side"
    value: bytes | Run | None = None
    if old is not None:
        value = old.run if old.kind == PUT_CHUNKS else old.value
    return node.path, node.key, value


def _check_condition(
    key: Any, node: Node | None, if_version: int | None, *, if_absent: bool
) -> None:
    version = None if node is None else node.index + 1
    if if_absent and version is not None:
        raise ConditionFailed(key, version, "its absence")
    if if_version is not None and (version is None or version > if_version):
        raise ConditionFailed(key, version, f"nothing after version {if_version}")


def _check_options(
    header: Header,
    order: str | None,
    key_codec: str | None,
    value_codec: str | None,
    metadata: bytes | None,
) -> None:
    for what, given, found in (
        ("order", order, header.order),
        ("key_codec", key_codec, header.keys.name),
        ("value_codec", value_codec, header.values.name),
        ("metadata", metadata, header.metadata),
    ):
        if given is not None and given != found:
            raise ValueError(f"the trie was made with {what}={found!r}, not {given!r}")
