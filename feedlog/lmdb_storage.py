"""The storage on disk: one LMDB environment with one unnamed database in it.

One unnamed database, because each named one would cost every commit one more dirty
page. Every value carries a checksum (checksum.py), the map grows by itself
(lmdb_map.py), damaged files are found before LMDB maps them (lmdb_file.py).
Specified in docs/spec/store.md; the reasons are in docs/adr/0001-lmdb-storage.md.

Growth. A writer holds an flock on `writer.lock` for as long as its transaction lasts,
and journals what it does. When the map is full it aborts, maps more, begins anew and
replays the journal. Nobody can have written in between, because of the flock, so
everything that the caller read in the transaction is still true.

Invariants: only bytes leave this module, never views of the map; what a reader shows
does not change; nothing of a transaction in which anything failed is committed.
Knows bytes only. Must not know feeds, blocks or trees.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Never, Self, cast, get_args
from weakref import ref

import lmdb

from feedlog.checksum import seal, unseal
from feedlog.errors import StoreError
from feedlog.lmdb_errors import explain
from feedlog.lmdb_map import Durability, MappedEnvironment, Transaction
from feedlog.storage import check_key
from feedlog.transaction import Chunk, Entry, WriteBlock, scan_chunks

CHUNK_BYTES = 64 * 1024
"""A scan reads no further ahead once it holds so many bytes."""

Operation = tuple[Callable[..., Any], tuple[Any, ...]]


class LmdbReader:
    """One committed state. Used by one thread at a time, ended by leaving the `with` block."""

    __slots__ = ("__weakref__", "_handle", "_mapped", "closed", "copy", "lost", "txn")

    def __init__(self, mapped: MappedEnvironment) -> None:
        self._mapped = mapped
        self.closed = False
        self.lost: str | None = None
        self.copy: lmdb.Environment | None = None
        self.txn: Transaction
        self._handle = mapped.begin_reader(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the transaction: the pages of its state may be used again."""
        self.closed = True
        self._mapped.untrack(self._handle)
        self.txn.abort()

    def get(self, key: bytes) -> bytes | None:
        """Return a copy of the value, or None."""
        while True:
            txn = self.txn
            try:
                sealed = txn.get(key)
                break
            except lmdb.Error as error:
                self._raise_unless_carried(txn, error)
        return None if sealed is None else unseal(key, sealed)

    def last(self, low: bytes, high: bytes) -> Entry | None:
        """Return the entry with the greatest key in [low, high), or None."""
        entries, _ = self._chunk(low, high, True, 1)
        return entries[0] if entries else None

    def scan(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[Entry]:
        """Yield the entries with keys in [low, high) in order."""
        return scan_chunks(self._chunk, low, high, reverse, unchanged)

    def _chunk(self, low: bytes, high: bytes, reverse: bool, size: int) -> Chunk:
        while True:
            txn = self.txn
            try:
                entries, more = read_chunk(txn, low, high, reverse, size)
                break
            except lmdb.Error as error:
                self._raise_unless_carried(txn, error)
        return [(key, unseal(key, sealed)) for key, sealed in entries], more

    def _raise_unless_carried(self, txn: Transaction, error: lmdb.Error) -> None:
        with self._mapped.remapping:  # a remap in another thread has ended
            if self.lost is not None:
                raise StoreError(self.lost) from error
            if self.txn is txn:
                raise explain(error, self._mapped.path) from error


class EndedTransaction:
    """Stands where a transaction was: whatever is asked of it, it is closed."""

    def abort(self) -> None:
        """Nothing is left to undo."""

    def __getattr__(self, name: str) -> Never:
        raise lmdb.Error(f"{name} on a closed/deleted/dropped transaction")


ENDED = cast("Transaction", EndedTransaction())


class LmdbWriter:
    """The write transaction. Used by the thread that opened it."""

    __slots__ = ("_journal", "_mapped", "_txn", "broken", "thread")

    def __init__(self, mapped: MappedEnvironment) -> None:
        self._mapped = mapped
        self._journal: list[Operation] = []
        self._txn = mapped.begin_write()
        self.thread = threading.get_ident()
        self.broken = False

    def get(self, key: bytes) -> bytes | None:
        """Return a copy of the value, or None."""
        try:
            sealed = self._txn.get(key)
        except lmdb.Error as error:
            raise self._failure(error) from error
        return None if sealed is None else unseal(key, sealed)

    def last(self, low: bytes, high: bytes) -> Entry | None:
        """Return the entry with the greatest key in [low, high), or None."""
        entries, _ = self._chunk(low, high, True, 1)
        return entries[0] if entries else None

    def scan(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[Entry]:
        """Yield the entries with keys in [low, high) in order; changes made meanwhile are seen."""
        return scan_chunks(self._chunk, low, high, reverse, self._journal.__len__)

    def put(self, key: bytes, value: bytes) -> None:
        """Insert or replace one entry."""
        check_key(key)
        self._journal.append((LmdbWriter._put, (key, value)))
        try:
            self._txn.put(key, seal(key, value))
        except lmdb.MapFullError:
            pass
        except lmdb.Error as error:
            raise self._failure(error) from error
        else:
            return
        self._replay()

    def put_many(self, items: Sequence[Entry]) -> None:
        """Insert or replace entries; ascending keys make it fast."""
        for key, _ in items:
            check_key(key)
        self._apply(LmdbWriter._put_many, tuple(items))

    def delete(self, key: bytes) -> bool:
        """Remove one entry; return whether it was there."""
        deleted: bool = self._apply(LmdbWriter._delete, key)
        return deleted

    def delete_range(self, low: bytes, high: bytes) -> int:
        """Remove all entries with keys in [low, high); return how many."""
        count: int = self._apply(LmdbWriter._delete_range, low, high)
        return count

    def commit(self) -> None:
        """Make everything permanent, or raise and leave nothing."""
        while True:
            try:
                self._txn.commit()
            except lmdb.MapFullError:
                pass
            except lmdb.Error as error:
                raise self._failure(error) from error
            else:
                break
            self._replay()
        self._txn = ENDED

    def abort(self) -> None:
        """Leave nothing.

        Dropping the last reference aborts at once. `Transaction.abort` would wait for a
        moment in which no other thread reads, which busy readers may never leave.
        """
        handle = ref(self._txn)
        self._txn = ENDED
        held_by_a_traceback = handle()
        if held_by_a_traceback is not None:
            held_by_a_traceback.abort()

    # Operations as the journal repeats them

    def _put(self, key: bytes, value: bytes) -> None:
        self._txn.put(key, seal(key, value))

    def _put_many(self, items: Sequence[Entry]) -> None:
        with self._txn.cursor() as cursor:
            cursor.putmulti((key, seal(key, value)) for key, value in items)

    def _delete(self, key: bytes) -> bool:
        return self._txn.delete(key)

    def _delete_range(self, low: bytes, high: bytes) -> int:
        count = 0
        with self._txn.cursor() as cursor:
            found = cursor.set_range(low)
            while found and cursor.key() < high:
                cursor.delete()
                count += 1
                found = bool(cursor.key())  # the next entry has moved here; no key is empty
        return count

    def _apply(self, operation: Callable[..., Any], *arguments: object) -> Any:
        self._journal.append((operation, arguments))
        try:
            return operation(self, *arguments)
        except lmdb.MapFullError:
            pass
        except lmdb.Error as error:
            raise self._failure(error) from error
        return self._replay()

    def _replay(self) -> Any:
        """Map more and do everything again; return what the last operation returned."""
        self.broken = True
        result = None
        while self.broken:
            self.abort()
            self._mapped.grow()
            self._txn = self._mapped.begin_write()
            try:
                for operation, arguments in self._journal:
                    result = operation(self, *arguments)
                self.broken = False
            except lmdb.MapFullError:
                continue
            except lmdb.Error as error:
                raise self._failure(error) from error
        return result

    def _chunk(self, low: bytes, high: bytes, reverse: bool, size: int) -> Chunk:
        try:
            entries, more = read_chunk(self._txn, low, high, reverse, size)
        except lmdb.Error as error:
            raise self._failure(error) from error
        return [(key, unseal(key, sealed)) for key, sealed in entries], more

    def _failure(self, error: lmdb.Error) -> StoreError | ValueError:
        self.broken = True
        return explain(error, self._mapped.path)


class LmdbStorage:
    """A directory with an LMDB environment in it."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "durable",
        read_only: bool = False,
        map_size: int | None = None,
        create: bool = True,
    ) -> None:
        if durability not in get_args(Durability):
            raise ValueError(f"durability is 'durable' or 'relaxed', not {durability!r}")
        if map_size is not None and map_size <= 0:
            raise ValueError(f"map_size is a positive number of bytes, not {map_size}")
        self.path = Path(path)
        self.durability = durability
        self.read_only = read_only
        self.writer: LmdbWriter | None = None
        self._mapped = MappedEnvironment(
            self.path,
            durability=durability,
            read_only=read_only,
            map_size=map_size,
            create=create,
        )
        self._begin = self._mapped.env.begin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: bytes) -> bytes | None:
        """Read one value in a transaction of its own: the short way for single reads."""
        try:
            txn = self._begin()
            sealed = txn.get(key)
            txn.abort()
        except lmdb.Error:
            with LmdbReader(self._mapped) as reader:  # the careful way, which explains errors
                return reader.get(key)
        return None if sealed is None else unseal(key, sealed)

    def generation(self) -> int:
        """Return the number of the latest commit, by whichever process."""
        try:
            txn = self._begin()
            generation = txn.id()
            txn.abort()
        except lmdb.Error:
            with self._mapped.remapping:  # the careful way, which explains errors
                txn = self._mapped.begin_read()
                generation = txn.id()
                txn.abort()
        return generation

    def read(self) -> LmdbReader:
        """Open a read transaction on the latest commit."""
        return LmdbReader(self._mapped)

    def write(self) -> AbstractContextManager[LmdbWriter]:
        """Open the write transaction: commits at the end of the block, or aborts on an error."""
        return WriteBlock(self)

    def begin_write(self) -> LmdbWriter:
        """Begin the outermost write transaction; `WriteBlock` calls this."""
        self._mapped.lock_writer()
        try:
            self.writer = LmdbWriter(self._mapped)
        except BaseException:
            self._mapped.unlock_writer()
            raise
        return self.writer

    def end_write(self, writer: LmdbWriter, *, silent: bool) -> None:
        """Commit, or abort if anything failed; `silent` when an error is on its way already."""
        try:
            if not writer.broken:
                writer.commit()
            else:
                writer.abort()
                if not silent:
                    raise StoreError(
                        "nothing was written, because a part of the transaction failed"
                    )
        finally:
            self.writer = None
            self._mapped.unlock_writer()

    def sync(self) -> None:
        """Bring all commits to the disk; needed with relaxed durability only."""
        self._mapped.sync()

    def close(self) -> None:
        """Release everything; further use raises `StoreError`."""
        if self.writer is not None and self.writer.thread == threading.get_ident():
            raise ValueError("close() inside of the write transaction")
        self._mapped.close()


def unchanged() -> int:
    """Say to a scan that its entries do not change: a reader's."""
    return 0


def read_chunk(txn: Transaction, low: bytes, high: bytes, reverse: bool, size: int) -> Chunk:
    """Return up to `size` sealed entries of [low, high), and whether there may be more."""
    entries: list[Entry] = []
    room = CHUNK_BYTES
    with txn.cursor() as cursor:
        if not (_seek_before(cursor, high) if reverse else cursor.set_range(low)):
            return entries, False
        for key, sealed in cursor.iterprev() if reverse else cursor.iternext():
            if key < low or key >= high:
                return entries, False
            entries.append((key, sealed))
            room -= len(sealed)
            if len(entries) >= size or room <= 0:
                return entries, True
    return entries, False


def _seek_before(cursor: lmdb.Cursor[bytes], high: bytes) -> bool:
    return cursor.prev() if cursor.set_range(high) else cursor.last()
