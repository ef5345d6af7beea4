"""The storage in memory: a sorted dictionary with transactions.

For tests and short-lived use; it keeps the contract of storage.py and passes the same
conformance suite as LMDB.

The dictionary holds the newest state, also what is not committed yet. Everyone who
must see an older one keeps an undo log: the open write transaction, to roll back, and
each open reader. Before a key changes, its old value goes into all logs that have none
for it. Somebody's state is his log laid over the dictionary. So reading costs nothing
extra as long as nobody writes, and a change costs one log entry per open reader.

Invariant: (dictionary, overlaid with the writer's log) is the latest commit.
Knows bytes only. Must not know feeds, blocks or trees. One lock guards each step.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from heapq import merge
from typing import Self
from weakref import WeakSet

from sortedcontainers import SortedDict  # type: ignore[import-untyped]  # it has no annotations

from feedlog.errors import StoreError
from feedlog.storage import check_key, check_keys
from feedlog.transaction import Chunk, Entry, WriteBlock, scan_chunks


class UndoLog:
    """Old values of the keys that changed since a moment; None where there was no entry."""

    __slots__ = ("__weakref__", "closed", "old")

    def __init__(self, old: SortedDict) -> None:
        self.old = old
        self.closed = False


class MemoryReader:
    """One committed state. Used by one thread at a time, ended by leaving the `with` block."""

    __slots__ = ("_log", "_storage", "generation")

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self._log, self.generation = storage.open_log()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the transaction."""
        self._storage.close_log(self._log)

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None."""
        return self._storage.value(key, self._log)

    def last(self, low: bytes, high: bytes) -> Entry | None:
        """Return the entry with the greatest key in [low, high), or None."""
        entries, _ = self._chunk(low, high, True, 1)
        return entries[0] if entries else None

    def scan(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[Entry]:
        """Yield the entries with keys in [low, high) in order."""
        return scan_chunks(self._chunk, low, high, reverse, lambda: 0)

    def _chunk(self, low: bytes, high: bytes, reverse: bool, size: int) -> Chunk:
        return self._storage.chunk(low, high, reverse, size, self._log)


class MemoryWriter:
    """The write transaction. Used by the thread that opened it."""

    generation = None

    __slots__ = ("_changes", "_number", "_storage", "broken", "committed", "log", "thread")

    def __init__(self, storage: MemoryStorage, base: int) -> None:
        self._storage = storage
        self._number = base
        self._changes = 0
        self.committed: int | None = None
        self.log = UndoLog(SortedDict())
        self.thread = threading.get_ident()
        self.broken = False

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None."""
        self._require_open()
        return self._storage.value(key, None)

    def last(self, low: bytes, high: bytes) -> Entry | None:
        """Return the entry with the greatest key in [low, high), or None."""
        entries, _ = self._chunk(low, high, True, 1)
        return entries[0] if entries else None

    def scan(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[Entry]:
        """Yield the entries with keys in [low, high) in order; changes made meanwhile are seen."""
        return scan_chunks(self._chunk, low, high, reverse, lambda: self._changes)

    @property
    def base(self) -> int | None:
        """The number of the commit that is shown; None once anything was changed."""
        return None if self._changes else self._number

    def put(self, key: bytes, value: bytes) -> None:
        """Insert or replace one entry."""
        self.put_many(((key, value),))

    def put_many(self, items: Sequence[Entry]) -> None:
        """Insert or replace entries."""
        check_keys(items)
        for key, value in items:
            self._change(key, bytes(value))

    def delete(self, key: bytes) -> bool:
        """Remove one entry; return whether it was there."""
        return self._change(key, None)

    def delete_range(self, low: bytes, high: bytes) -> int:
        """Remove all entries with keys in [low, high); return how many."""
        return sum(self._change(key, None) for key, _ in list(self.scan(low, high)))

    def _change(self, key: bytes, value: bytes | None) -> bool:
        self._require_open()
        self._changes += 1
        return self._storage.change(key, value)

    def _chunk(self, low: bytes, high: bytes, reverse: bool, size: int) -> Chunk:
        self._require_open()
        return self._storage.chunk(low, high, reverse, size, None)

    def _require_open(self) -> None:
        if self.log.closed:
            raise StoreError("the transaction is closed")


class MemoryStorage:
    """A sorted map of bytes that ends with the process."""

    def __init__(self) -> None:
        self.writer: MemoryWriter | None = None
        self._map = SortedDict()
        self._logs: WeakSet[UndoLog] = WeakSet()
        self._step = threading.RLock()
        self._writing = threading.Lock()
        self._closed = False
        self._commits = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: bytes) -> bytes | None:
        """Read one value of the latest commit."""
        with self._step:
            return self.value(key, None if self.writer is None else self.writer.log)

    def generation(self) -> int:
        """Return the number of the latest commit."""
        self._require_open()
        return self._commits

    def read(self) -> MemoryReader:
        """Open a read transaction on the latest commit."""
        return MemoryReader(self)

    def write(self) -> AbstractContextManager[MemoryWriter]:
        """Open the write transaction: commits at the end of the block, or aborts on an error."""
        return WriteBlock(self)

    def check_pages(self) -> None:
        """There are no pages."""
        self._require_open()

    def close(self) -> None:
        """Release everything; further use raises `StoreError`."""
        if self.writer is not None and self.writer.thread == threading.get_ident():
            raise ValueError("close() inside of the write transaction")
        with self._writing, self._step:
            self._closed = True
            self._map.clear()

    # For the transactions of this module and their blocks

    def begin_write(self) -> MemoryWriter:
        """Wait for other writers, then begin."""
        self._writing.acquire()
        with self._step:
            if self._closed:
                self._writing.release()
                raise StoreError("the store is closed")
            self.writer = MemoryWriter(self, self._commits)
            self._logs.add(self.writer.log)
            return self.writer

    def end_write(self, writer: MemoryWriter, *, silent: bool) -> None:
        """Keep what was written, or undo it if anything failed."""
        with self._step:
            self.close_log(writer.log)
            if writer.broken:
                for key, value in writer.log.old.items():
                    self.change(key, value)
            else:
                self._commits += 1
                writer.committed = self._commits
            self.writer = None
            self._writing.release()
        if writer.broken and not silent:
            raise StoreError("nothing was written, because a part of the transaction failed")

    def open_log(self) -> tuple[UndoLog, int]:
        """Begin to remember the state of the latest commit; return its number, too."""
        with self._step:
            self._require_open()
            log = UndoLog(SortedDict() if self.writer is None else self.writer.log.old.copy())
            self._logs.add(log)
            return log, self._commits

    def close_log(self, log: UndoLog) -> None:
        """Forget a state."""
        with self._step:
            log.closed = True
            self._logs.discard(log)

    def value(self, key: bytes, log: UndoLog | None) -> bytes | None:
        """Return the value of `key` in the state that `log` remembers, or in the newest one."""
        if not key:
            check_key(key)
        with self._step:
            self._require_open(log)
            if log is not None and key in log.old:
                old: bytes | None = log.old[key]
                return old
            value: bytes | None = self._map.get(key)
            return value

    def chunk(
        self, low: bytes, high: bytes, reverse: bool, size: int, log: UndoLog | None
    ) -> Chunk:
        """Return up to `size` entries of [low, high) in a state, and whether there may be more."""
        entries: list[Entry] = []
        with self._step:
            self._require_open(log)
            if low >= high:
                return entries, False
            old = SortedDict() if log is None else log.old
            keys = merge(
                self._map.irange(low, high, (True, False), reverse),
                old.irange(low, high, (True, False), reverse),
                reverse=reverse,
            )
            previous = None
            for key in keys:
                value = old[key] if key in old else self._map[key]
                if key == previous or value is None:
                    continue
                previous = key
                entries.append((key, value))
                if len(entries) == size:
                    return entries, True
        return entries, False

    def change(self, key: bytes, value: bytes | None) -> bool:
        """Set or remove an entry of the newest state; return whether it was there."""
        with self._step:
            before = self._map.get(key)
            for log in self._logs:
                log.old.setdefault(key, before)
            if value is not None:
                self._map[key] = value
            elif before is not None:
                del self._map[key]
            return before is not None

    def _require_open(self, log: UndoLog | None = None) -> None:
        if self._closed:
            raise StoreError("the store is closed")
        if log is not None and log.closed:
            raise StoreError("the transaction is closed")
