"""The LMDB environment of a store, and the memory map that grows under it.

LMDB works in a map of fixed size. This module opens it, takes the writer's locks, and
maps more when a writer runs out or when another process has grown the file. Remapping
ends every read transaction of this process, so each open reader is carried over:

- one that shows the latest commit begins anew, on the same state;
- an older one gets a compacted copy of its state in a temporary directory whose files
  are unlinked at once, and reads on there until it is closed. (It cannot happen to a
  store with the default map, which is larger than the disk.)

Invariants: a reader shows one state for all its life, or raises `StoreError`; the map
never changes its size while this process has a write transaction open.
Knows transactions and locks. Must not know keys or values. docs/spec/store.md, "Growth".
"""

from __future__ import annotations

import mmap
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal, Never, Protocol, TypeAlias, cast
from weakref import WeakSet, ref

import lmdb

from feedlog.errors import NotWritable, StoreError
from feedlog.lmdb_directory import (
    DATA_FILE,
    MAX_READERS,
    PRIVATE_DIRECTORY,
    PRIVATE_FILE,
    StoreDirectory,
    sync_paths,
)
from feedlog.lmdb_errors import explain

Durability = Literal["durable", "relaxed"]
Transaction: TypeAlias = "lmdb.Transaction[bytes]"

DEFAULT_MAP_SIZE = 2**40
"""Address space reserved for a store: it costs nothing until it is used."""
SMALLEST_DEFAULT_MAP = 2**24
"""Where address space is rationed, halving the default stops here."""


class EndedTransaction:
    """Stands where a transaction was: whatever is asked of it, it is closed."""

    def abort(self) -> None:
        """Nothing is left to undo."""

    def __getattr__(self, name: str) -> Never:
        raise lmdb.Error(f"{name} on a closed/deleted/dropped transaction")


ENDED = cast("Transaction", EndedTransaction())


class Carried(Protocol):
    """A reader as the map sees it."""

    txn: Transaction
    generation: int
    closed: bool
    lost: str | None
    copy: lmdb.Environment | None


class Writing(Protocol):
    """The writer as the map sees it."""

    txn: Transaction
    broken: bool


class MappedEnvironment:
    """One open environment, with at most one writer in it over all processes."""

    def __init__(
        self,
        path: Path,
        *,
        durability: Durability,
        read_only: bool,
        map_size: int | None,
        create: bool,
    ) -> None:
        self.path = path
        self.data_file = path / DATA_FILE
        self.read_only = read_only
        self._durability = durability
        self.remapping = threading.RLock()
        self.writer: Writing | None = None
        self._writing = threading.Lock()
        self._remaps = 0
        self._closed = self._orphaned = False
        self._readers: set[ref[Carried]] = set()
        try:
            self._directory = StoreDirectory(path, create=create, read_only=read_only)
            try:
                with self._directory.opening(durable=durability == "durable"):
                    self.env = self._open(map_size, durability)
                self.env.reader_check()
            except BaseException:
                self._directory.release()
                raise
        except (lmdb.Error, OSError) as error:
            raise explain(error, path) from error
        self.begin = self.env.begin
        watch_forks().add(self)

    def orphan(self) -> None:
        """In a forked child: let go of what belongs to the parent, without touching it.

        LMDB's reader slots and both locks are shared with the parent from here on:
        using them would take its pages away under its feet, closing them its locks.
        """
        self._closed = self._orphaned = True
        ABANDONED.append(self.env)
        self.env = cast("lmdb.Environment", ForkedEnvironment())
        self.begin = self.env.begin
        self.remapping, self._writing = threading.RLock(), threading.Lock()
        for handle in self._readers:
            reader = handle()
            if reader is not None:
                reader.txn = ENDED
        if self.writer is not None:
            self.writer.txn, self.writer.broken = ENDED, True
        self._directory.release()

    def close(self) -> None:
        """Release the map and the locks, once other threads have stopped writing."""
        with self._writing:
            try:
                if self._durability == "relaxed":
                    self.sync()
            finally:
                self._closed = True
                self.env.close()
                self._directory.close()

    def sync(self) -> None:
        """Bring all commits to the disk."""
        if self.read_only or self._closed:
            return
        try:
            self.env.sync(True)
        except lmdb.Error as error:
            raise explain(error, self.path) from error

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Keep all writers out, also where this store was opened read-only."""
        if self._closed:
            raise StoreError(f"the store at {self.path} is closed")
        with self._writing, self._directory.quiet():
            yield

    def copy_to(self, path: Path) -> None:
        """Write a compacted copy of the latest commit into a new or empty directory."""
        try:
            path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise StoreError(f"{path} is not empty; a copy needs a directory of its own")
            try:
                self.env.copy(os.fspath(path), compact=True)
                (path / DATA_FILE).chmod(PRIVATE_FILE)
                sync_paths(path / DATA_FILE, path)
            except BaseException:
                (path / DATA_FILE).unlink(missing_ok=True)
                raise
        except (lmdb.Error, OSError) as error:
            raise explain(error, path) from error

    # Opening

    def _open(self, map_size: int | None, durability: Durability) -> lmdb.Environment:
        size = map_size or min(DEFAULT_MAP_SIZE, sys.maxsize // 4 + 1)
        while True:
            try:
                return lmdb.Environment(
                    os.fspath(self.path),
                    map_size=round_up(size),
                    readonly=self.read_only,
                    create=False,
                    mode=PRIVATE_FILE,
                    sync=durability == "durable",
                    max_readers=MAX_READERS,
                    max_spare_txns=1,
                    lib_version=0,
                )
            except lmdb.MemoryError:
                if map_size is not None or size <= SMALLEST_DEFAULT_MAP:
                    raise
                # Where half fits, a quarter leaves room for everything else.
                size //= 2
                while size > SMALLEST_DEFAULT_MAP and not can_map(2 * size):
                    size //= 2

    # Reading

    def begin_read(self) -> Transaction:
        """Begin a read transaction on the latest commit."""
        try:
            return self.env.begin()
        except lmdb.Error:
            pass
        with self.remapping:  # whatever another thread was doing to the map has ended
            try:
                return self._adopting_begin(write=False)
            except lmdb.Error as error:
                raise explain(error, self.path) from error

    def begin_reader(self, reader: Carried) -> ref[Carried]:
        """Begin a reader, and carry it over whenever the map changes, until `untrack` or its death.

        A remap in another thread may end the transaction between its begin and its
        entry in the list of readers. The count of remaps tells: it is odd during one.
        """
        before = self._remaps
        reader.txn = txn = self.begin_read()
        with suppress(lmdb.Error):  # a remap may have ended it already
            reader.generation = txn.id()
        handle = ref(reader, self._readers.discard)
        self._readers.add(handle)
        if before & 1 or before != self._remaps:
            with self.remapping:
                reader.txn, reader.copy, reader.lost = self.begin_read(), None, None
                reader.generation = reader.txn.id()
        return handle

    def untrack(self, handle: ref[Carried]) -> None:
        """Forget a reader that was closed."""
        self._readers.discard(handle)

    # Writing

    def lock_writer(self) -> None:
        """Wait until no other thread and no other process writes."""
        if self.read_only:
            raise NotWritable(f"the store at {self.path} was opened read-only")
        if self._orphaned:
            raise explain(FORKED, self.path)
        self._writing.acquire()  # a `with` cannot span two methods
        try:
            self._directory.lock_writer()
        except BaseException as error:
            self._writing.release()
            if isinstance(error, OSError):
                raise explain(error, self.path) from error
            raise

    def unlock_writer(self) -> None:
        """Let the next writer in."""
        if self._orphaned:
            return  # in the middle of a fork: the locks are the parent's
        try:
            self._directory.unlock_writer()
        finally:
            self._writing.release()

    def begin_write(self) -> Transaction:
        """Begin the write transaction; the writer's locks are held."""
        try:
            return self.env.begin(write=True)
        except lmdb.Error:
            pass
        with self.remapping:
            try:
                return self._adopting_begin(write=True)
            except lmdb.Error as error:
                raise explain(error, self.path) from error

    # Remapping

    def grow(self) -> None:
        """Double the map; the writer's locks are held and its transaction has ended."""
        with self.remapping:
            size = self.env.info()["map_size"]
            larger = round_up(2 * size)
            if not can_map(larger):
                raise StoreError(
                    f"the store at {self.path} is full: its map of {size} bytes "
                    f"cannot be grown to {larger} in this process's address space"
                )
            self._remap(larger)

    def _adopting_begin(self, *, write: bool) -> Transaction:
        while True:
            try:
                return self.env.begin(write=write)
            except lmdb.MapResizedError:
                self._remap(0)

    def _remap(self, size: int) -> None:
        """Map `size` bytes, or what the file asks for if 0, and carry readers over."""
        self._remaps += 1
        try:
            readers = [reader for handle in list(self._readers) if (reader := handle())]
            latest = self.env.info()["last_txnid"]
            places = [(reader, self._place_for(reader, latest)) for reader in readers]
            self.env.set_mapsize(size)
            for reader, place in places:
                if place is None:
                    continue
                reader.txn = place.begin()
                if reader.closed:
                    reader.txn = ENDED
        except lmdb.Error as error:
            raise explain(error, self.path) from error
        finally:
            self._remaps += 1

    def _place_for(self, reader: Carried, latest: int) -> lmdb.Environment | None:
        """Return where to read the reader's state after the remap; None if it needs nothing."""
        try:
            if reader.copy is not None:
                return None  # it was carried over before, and does not use the map
            if reader.txn.id() == latest:
                return self.env
            reader.copy = self._private_copy(reader.txn)
        except (lmdb.Error, OSError) as error:
            reader.lost = f"the map of {self.path} grew and this state could not be kept: {error}"
            return None
        return reader.copy

    def _private_copy(self, txn: Transaction) -> lmdb.Environment:
        directory = tempfile.mkdtemp(prefix="feedlog-")
        try:
            self.env.copy(directory, compact=True, txn=txn)
            size = round_up((Path(directory) / DATA_FILE).stat().st_size)
            return lmdb.Environment(directory, map_size=size, readonly=True, lock=False)
        finally:
            shutil.rmtree(directory)


FORKED = lmdb.Error("a forked child")


class ForkedEnvironment:
    """Stands where the environment of the parent process was."""

    def close(self) -> None:
        """Nothing here is open."""

    def begin(self, **_: object) -> Never:
        """Say why there are no transactions."""
        raise FORKED


ABANDONED: list[lmdb.Environment] = []
"""Environments of the parent: LMDB would clear the parent's reader slots if they were freed."""


@cache
def watch_forks() -> WeakSet[MappedEnvironment]:
    """Return the set of open environments, which a forked child must not use."""
    environments: WeakSet[MappedEnvironment] = WeakSet()

    def orphan_all() -> None:
        for environment in list(environments):
            environment.orphan()

    os.register_at_fork(after_in_child=orphan_all)
    return environments


def can_map(size: int) -> bool:
    """Return whether the process has so much address space left."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ).close()
    except (OSError, OverflowError, ValueError):
        return False
    return True


def round_up(size: int) -> int:
    """Return `size` as a whole number of pages."""
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
