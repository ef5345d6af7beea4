"""What the engine asks of a storage: an ordered map of bytes with transactions.

Keys are compared as unsigned bytes. A write transaction is all or nothing, also
after a crash; read transactions see one committed state however long they live.
Specified in docs/spec/store.md.

Knows bytes only. Must not know feeds, blocks or trees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

MAX_KEY_SIZE = 511
"""The longest key in bytes: LMDB's compiled-in limit."""


class Reader(Protocol):
    """One consistent state of the map."""

    @property
    def generation(self) -> int | None:
        """The number of the commit that is shown; None inside of a write transaction."""

    def get(self, key: bytes) -> bytes | None:
        """Return a copy of the value, or None."""

    def last(self, low: bytes, high: bytes) -> tuple[bytes, bytes] | None:
        """Return the entry with the greatest key in [low, high), or None."""

    def scan(
        self, low: bytes, high: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries with keys in [low, high) in order."""


class Writer(Reader, Protocol):
    """The one write transaction; reads see its own writes."""

    @property
    def base(self) -> int | None:
        """The number of the commit that it shows; None once anything was changed."""

    @property
    def committed(self) -> int | None:
        """The number under which it was committed; None before, and if it was undone."""

    def put(self, key: bytes, value: bytes) -> None:
        """Insert or replace one entry."""

    def put_many(self, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Insert or replace entries whose keys are in ascending order."""

    def delete(self, key: bytes) -> bool:
        """Remove one entry; return whether it was there."""

    def delete_range(self, low: bytes, high: bytes) -> int:
        """Remove all entries with keys in [low, high); return how many."""


class Storage(Protocol):
    """An ordered, transactional map of bytes that may outlive the process."""

    def get(self, key: bytes) -> bytes | None:
        """Read one value in a transaction of its own: the short way for single reads."""

    def generation(self) -> int:
        """Return the number of the latest commit, by whichever process."""

    def read(self) -> AbstractContextManager[Reader]:
        """Open a read transaction."""

    def write(self) -> AbstractContextManager[Writer]:
        """Open the write transaction: commits at the end of the block, or aborts on an error.

        Entered again inside itself by the same thread, it joins the outer transaction.
        """

    def check_pages(self) -> None:
        """Look at everything that is stored; raises `CorruptError` for what cannot be."""

    def close(self) -> None:
        """Release everything; further use raises `StoreError`."""


def check_key(key: bytes) -> None:
    """Raise `ValueError` unless the key has 1 to 511 bytes."""
    if not 0 < len(key) <= MAX_KEY_SIZE:
        raise ValueError(f"a key has 1 to {MAX_KEY_SIZE} bytes, not {len(key)}")


def check_keys(items: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise `ValueError` unless all keys have 1 to 511 bytes."""
    for key, _ in items:
        if not 0 < len(key) <= MAX_KEY_SIZE:
            check_key(key)
