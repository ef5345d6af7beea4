"""The read and write transactions of the storage on disk.

A reader shows one state for all its life, also when the map moves under it. A writer
journals what it does. When the map is full it aborts, maps more, begins anew and
replays the journal. Nobody can have written in between, because of the writer's lock,
so everything that the caller read in the transaction is still true.

Invariants: only bytes leave this module, never views of the map; nothing of a
transaction in which anything failed is committed. Specified in docs/spec/store.md.
Knows bytes only. Must not know files, locks or feeds.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable, Iterator, Sequence
from operator import lt
from typing import Any, Self
from weakref import ref

import lmdb

from feedlog.checksum import seal, seal_many, unseal
from feedlog.errors import StoreError
from feedlog.lmdb_errors import explain
from feedlog.lmdb_map import ENDED, MappedEnvironment, Transaction
from feedlog.storage import check_key, check_keys
from feedlog.transaction import Chunk, Entry, scan_chunks

CHUNK_BYTES = 64 * 1024
"""A scan reads no further ahead once it holds so many bytes."""

RUN_LENGTH = 256
"""So many new entries in a row are worth making room for: some ten pages."""

FEW = 4
"""So many entries are put one by one: that is cheaper than a cursor for all of them."""

Operation = tuple[Callable[..., Any], tuple[Any, ...]]


class LmdbReader:
    """One committed state. Used by one thread at a time, ended by leaving the `with` block."""

    __slots__ = ("__weakref__", "_handle", "_mapped", "closed", "copy", "generation", "lost", "txn")

    def __init__(self, mapped: MappedEnvironment) -> None:
        self._mapped = mapped
        self.closed = False
        self.lost: str | None = None
        self.copy: lmdb.Environment | None = None
        self.txn: Transaction
        self.generation: int
        self._handle = mapped.begin_reader(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the transaction: the pages of its state may be used again."""
        self.closed = True
        self._mapped.untrack(self._handle)
        self.txn = ENDED  # the last reference; an aborted transaction would keep its reader slot

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


class LmdbWriter:
    """The write transaction. Used by the thread that opened it."""

    generation = None

    __slots__ = ("_journal", "_mapped", "_number", "broken", "committed", "thread", "txn")

    def __init__(self, mapped: MappedEnvironment) -> None:
        self._mapped = mapped
        self._journal: list[Operation] = []
        self.txn = mapped.begin_write()
        self._number = self.txn.id()
        self.committed: int | None = None
        self.thread = threading.get_ident()
        self.broken = False
        mapped.writer = self

    def get(self, key: bytes) -> bytes | None:
        """Return a copy of the value, or None."""
        try:
            sealed = self.txn.get(key)
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

    @property
    def base(self) -> int | None:
        """The number of the commit that is shown; None once anything was changed."""
        return None if self._journal else self._number - 1

    def put(self, key: bytes, value: bytes) -> None:
        """Insert or replace one entry."""
        check_key(key)
        self._journal.append((LmdbWriter._put, (key, value)))
        try:
            self.txn.put(key, seal(key, value))
        except lmdb.MapFullError:
            pass
        except lmdb.Error as error:
            raise self._failure(error) from error
        else:
            return
        self._replay()

    def put_many(self, items: Sequence[Entry]) -> None:
        """Insert or replace entries; ascending keys make it fast."""
        check_keys(items)
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
                self.txn.commit()
            except lmdb.MapFullError:
                pass
            except lmdb.Error as error:
                raise self._failure(error) from error
            else:
                break
            self._replay()
        self.txn = ENDED
        self.committed = self._number

    def abort(self) -> None:
        """Leave nothing.

        Dropping the last reference aborts at once. `Transaction.abort` would wait for a
        moment in which no other thread reads, which busy readers may never leave.
        """
        handle = ref(self.txn)
        self.txn = ENDED
        held_by_a_traceback = handle()
        if held_by_a_traceback is not None:
            held_by_a_traceback.abort()

    # Operations as the journal repeats them

    def _put(self, key: bytes, value: bytes) -> None:
        self.txn.put(key, seal(key, value))

    def _put_many(self, items: Sequence[Entry]) -> None:
        if len(items) <= FEW:
            for key, value in items:
                self.txn.put(key, seal(key, value))
            return
        keys, values = [key for key, _ in items], [value for _, value in items]
        entries = zip(keys, seal_many(keys, values), strict=True)
        with self.txn.cursor() as cursor:
            aside = lift_followers(cursor, items)
            # Behind the last key of all, MDB_APPEND fills each page to the end: without it a
            # split takes the last entry along, which leaves 5 % of the space unused.
            behind_all = ascending(keys) and not cursor.set_range(keys[0])
            cursor.putmulti(entries, append=behind_all)
            cursor.putmulti(aside)

    def _delete(self, key: bytes) -> bool:
        return self.txn.delete(key)

    def _delete_range(self, low: bytes, high: bytes) -> int:
        count = 0
        with self.txn.cursor() as cursor:
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
            self.txn = self._mapped.begin_write()
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
            entries, more = read_chunk(self.txn, low, high, reverse, size)
        except lmdb.Error as error:
            raise self._failure(error) from error
        return [(key, unseal(key, sealed)) for key, sealed in entries], more

    def _failure(self, error: lmdb.Error) -> StoreError | ValueError:
        self.broken = True
        return explain(error, self._mapped.path)


def unchanged() -> int:
    """Say to a scan that its entries do not change: a reader's."""
    return 0


def ascending(keys: Sequence[bytes]) -> bool:
    """Tell whether there are keys and each is greater than the one before.

    LMDB takes the caller's word for it and drops, silently, what is out of order.
    """
    return bool(keys) and all(map(lt, keys, keys[1:]))


def lift_followers(cursor: lmdb.Cursor[bytes], items: Sequence[Entry]) -> list[Entry]:
    """Remove and return the entries that share a page with the place where `items` go.

    LMDB splits a page in halves when something is put into its middle, but leaves it
    full when something is put behind its end. A run of new keys in front of others of
    the same page would leave every page of the run half empty. So the others, a page
    full of them at most, are put back behind the run.
    """
    followers: list[Entry] = []
    if len(items) < RUN_LENGTH or not cursor.set_range(items[0][0]):
        return followers
    room = mmap.PAGESIZE
    for key, sealed in cursor.iternext():
        if key <= items[-1][0] or len(sealed) > mmap.PAGESIZE // 4:
            return []  # not a run, or a value too large to move in passing
        followers.append((key, sealed))
        room -= len(key) + len(sealed)
        if room <= 0:
            break
    for key, _ in followers:
        cursor.set_key(key)
        cursor.delete()
    return followers


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
