"""What the transactions of both storages do alike: joining blocks and chunked scans.

A `with storage.write()` inside another one of the same thread joins it: only the
outermost commits, and an error that passes through any of them leaves nothing.

A scan holds no cursor between two entries. It reads a chunk ahead, hands it out and
seeks anew after the last key; so it survives a memory map that moved under it, and a
writer's scan sees what the writer changed between two entries.

Must not know where the entries are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Protocol, TypeVar

Entry = tuple[bytes, bytes]
Chunk = tuple[list[Entry], bool]
"""Entries in the order of the scan, and whether there may be more after them."""
ReadChunk = Callable[[bytes, bytes, bool, int], Chunk]
"""Reads up to so many entries: `(low, high, reverse, entries)`."""

FIRST_CHUNK = 8
"""Entries that a scan reads ahead at first: many scans are left early."""
LARGEST_CHUNK = 256
"""Entries that it reads ahead at most; each chunk doubles."""


class OpenWriter(Protocol):
    """The part of a writer that its block looks after."""

    thread: int
    broken: bool


WriterT = TypeVar("WriterT", bound=OpenWriter)


class OneWriter(Protocol[WriterT]):
    """A storage as its write blocks see it."""

    writer: WriterT | None

    def begin_write(self) -> WriterT:
        """Wait for other writers, then begin."""

    def end_write(self, writer: WriterT, *, silent: bool) -> None:
        """Commit, or abort if the writer is broken; `silent` if an error is on its way already."""


class WriteBlock(Generic[WriterT]):
    """One `with storage.write()`."""

    __slots__ = ("_joined", "_storage")

    def __init__(self, storage: OneWriter[WriterT]) -> None:
        self._storage = storage
        self._joined = False

    def __enter__(self) -> WriterT:
        writer = self._storage.writer
        if writer is not None and writer.thread == threading.get_ident():
            self._joined = True
            return writer
        return self._storage.begin_write()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        writer = self._storage.writer
        assert writer is not None, "a write block ended after its transaction"
        if kind is not None:
            writer.broken = True
        if not self._joined:
            self._storage.end_write(writer, silent=kind is not None)


def scan_chunks(
    read: ReadChunk, low: bytes, high: bytes, reverse: bool, changes: Callable[[], int]
) -> Iterator[Entry]:
    """Yield the entries of [low, high); a new `changes()` voids what was read ahead."""
    size, more = FIRST_CHUNK, True
    while more:
        entries, more = read(low, high, reverse, size)
        seen = changes()
        for entry in entries:
            yield entry
            if reverse:
                high = entry[0]
            else:
                low = entry[0] + b"\0"
            if changes() != seen:
                more = True
                break
        size = min(2 * size, LARGEST_CHUNK)
