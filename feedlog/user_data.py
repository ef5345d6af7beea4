"""Notes on a feed that stay in this store: where a reader got to, what a user called it.

    0(3) || "u" || number(3) || key     value

A mapping from bytes or text to bytes. Text is its UTF-8, so `"a"` and `b"a"` are one
key; iteration gives bytes. Nothing of it is signed, replicated or exported. Each change
is a transaction, or a part of the one that is open. Specified in docs/spec/store.md.

Must not know blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from feedlog import catalog
from feedlog.errors import NotWritable
from feedlog.storage import Storage

MAX_KEY_SIZE = 500
"""Bytes of a key: with its prefix it must fit a key of the map, which has 511 at most."""
MAX_VALUE_SIZE = 1 << 20
"""Bytes of a value: notes, not data; larger things are blocks."""


class UserData(MutableMapping[bytes | str, bytes]):
    """The user data of one feed. Made by `Feed.user_data`."""

    def __init__(self, storage: Storage, number: int, feed_key: bytes, *, read_only: bool) -> None:
        """Take the feed's number in the store and its key."""
        self._storage = storage
        self._number = number
        self._feed_key = feed_key
        self._read_only = read_only
        self._prefix = catalog.user_data_prefix(number)

    def _key(self, key: bytes | str) -> bytes:
        if isinstance(key, str):
            key = key.encode()
        elif not isinstance(key, bytes):
            raise TypeError(f"a key of user data is bytes or str, not {type(key).__name__}")
        if len(key) > MAX_KEY_SIZE:
            raise ValueError(f"a key of user data has at most {MAX_KEY_SIZE} bytes, not {len(key)}")
        return self._prefix + key

    def _refuse_read_only(self) -> None:
        if self._read_only:
            raise NotWritable("the store was opened read-only")

    def __getitem__(self, key: bytes | str) -> bytes:
        """Return a value; raises `KeyError`."""
        value = self._storage.get(self._key(key))
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: bytes | str, value: bytes) -> None:
        """Set a value of up to `MAX_VALUE_SIZE` bytes."""
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"a value of user data is bytes, not {type(value).__name__}")
        value = bytes(value)
        if len(value) > MAX_VALUE_SIZE:
            raise ValueError(
                f"a value of user data has at most {MAX_VALUE_SIZE} bytes, not {len(value)}"
            )
        self._refuse_read_only()
        entry = self._key(key)
        with self._storage.write() as writer:
            catalog.require_feed(writer, self._number, self._feed_key)
            writer.put(entry, value)

    def __delitem__(self, key: bytes | str) -> None:
        """Remove a value; raises `KeyError`."""
        self._refuse_read_only()
        entry = self._key(key)
        with self._storage.write() as writer:
            found = writer.delete(entry)
        if not found:
            raise KeyError(key)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the keys in their order, as they are at this moment."""
        with self._storage.read() as reader:
            keys = [
                key[len(self._prefix) :]
                for key, _ in reader.scan(*catalog.user_data_bounds(self._number))
            ]
        return iter(keys)

    def __len__(self) -> int:
        """Count the keys."""
        return sum(1 for _ in self)
