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

import fcntl
import mmap
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Literal, Protocol, TypeAlias
from weakref import ref

import lmdb

from feedlog.errors import CorruptError, NotWritable, StoreError
from feedlog.lmdb_file import check_data_file

Durability = Literal["durable", "relaxed"]
Transaction: TypeAlias = "lmdb.Transaction[bytes]"

DEFAULT_MAP_SIZE = 2**40
"""Address space reserved for a store: it costs nothing until it is used."""
SMALLEST_DEFAULT_MAP = 2**24
"""Where address space is rationed, halving the default stops here."""
MAX_READERS = 1022
"""Read transactions open at once, in all processes: 64 KiB of lock file."""
READER_TABLE_SIZE = 64 * (MAX_READERS + 2)
PRIVATE_FILE, PRIVATE_DIRECTORY = 0o600, 0o700
"""A store holds a secret key: only its owner may read it."""

DATA_FILE, LOCK_FILE, WRITER_FILE = "data.mdb", "lock.mdb", "writer.lock"
INITIALISED = b"feedlog store\n"
"""What `writer.lock` holds once the data file has been created."""


class Carried(Protocol):
    """A reader as the map sees it."""

    txn: Transaction
    closed: bool
    lost: str | None
    copy: lmdb.Environment | None


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
        self.read_only = read_only
        self.remapping = threading.RLock()
        self._writing = threading.Lock()
        self._under_way = False
        self._readers: set[ref[Carried]] = set()
        self._writer_fd = -1
        try:
            self._require_place(create=create and not read_only)
            self.env = self._open_checked(map_size, durability)
            self.env.reader_check()
        except BaseException as error:
            self._close_writer_file()
            if isinstance(error, lmdb.Error | OSError):
                raise self.explain(error) from error
            raise

    def close(self) -> None:
        """Release the map and the lock file, once other threads have stopped writing."""
        with self._writing:
            self.env.close()
            self._close_writer_file()

    def _close_writer_file(self) -> None:
        if self._writer_fd >= 0:
            os.close(self._writer_fd)
            self._writer_fd = -1

    # Opening

    def _require_place(self, *, create: bool) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(f"{self.path} is a file; a store is a directory")
        if create:
            self.path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        elif not (self.path / DATA_FILE).exists():
            raise StoreError(f"there is no store at {self.path}")

    def _open_checked(self, map_size: int | None, durability: Durability) -> lmdb.Environment:
        if self.read_only:
            check_data_file(self.path / DATA_FILE)
            return self._open(map_size, durability)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._writer_fd = os.open(self.path / WRITER_FILE, flags, PRIVATE_FILE)
        if os.pread(self._writer_fd, len(INITIALISED), 0) == INITIALISED:
            check_data_file(self.path / DATA_FILE)
            return self._open(map_size, durability)
        fcntl.flock(self._writer_fd, fcntl.LOCK_EX)  # of several creators one comes first
        try:
            if os.pread(self._writer_fd, len(INITIALISED), 0) != INITIALISED:
                self._reserve_lock_file()
            env = self._open(map_size, durability)
            os.pwrite(self._writer_fd, INITIALISED, 0)
            if durability == "durable":
                self._sync_directories()
        finally:
            fcntl.flock(self._writer_fd, fcntl.LOCK_UN)
        return env

    def _reserve_lock_file(self) -> None:
        """Give the lock file its room: LMDB writes it through a map, where a full disk kills."""
        data = self.path / DATA_FILE
        if data.exists() and data.stat().st_size > 0:
            check_data_file(data)
        fd = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            os.posix_fallocate(fd, 0, READER_TABLE_SIZE)
        finally:
            os.close(fd)

    def _sync_directories(self) -> None:
        os.fsync(self._writer_fd)
        for directory in (self.path, self.path.parent):
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

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
                raise self.explain(error) from error

    def track(self, reader: Carried) -> ref[Carried]:
        """Carry this reader over whenever the map changes, until `untrack` or its death."""
        handle = ref(reader, self._readers.discard)
        self._readers.add(handle)
        if self._under_way:  # it may have come too late for the list that a remap works on
            with self.remapping:
                reader.txn = self.begin_read()
        return handle

    def untrack(self, handle: ref[Carried]) -> None:
        """Forget a reader that was closed."""
        self._readers.discard(handle)

    # Writing

    def lock_writer(self) -> None:
        """Wait until no other thread and no other process writes."""
        if self.read_only:
            raise NotWritable(f"the store at {self.path} was opened read-only")
        self._writing.acquire()  # a `with` cannot span two methods
        if self._writer_fd < 0:
            self._writing.release()
            raise StoreError(f"the store at {self.path} is closed")
        try:
            fcntl.flock(self._writer_fd, fcntl.LOCK_EX)
        except BaseException as error:
            self._writing.release()
            if isinstance(error, OSError):
                raise self.explain(error) from error
            raise

    def unlock_writer(self) -> None:
        """Let the next writer in."""
        try:
            fcntl.flock(self._writer_fd, fcntl.LOCK_UN)
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
                raise self.explain(error) from error

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
        self._under_way = True
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
                    reader.txn.abort()
        except lmdb.Error as error:
            raise self.explain(error) from error
        finally:
            self._under_way = False

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

    # Errors

    def explain(self, error: lmdb.Error | OSError) -> StoreError | ValueError:
        """Say in one sentence what LMDB or the system meant."""
        return explain(error, self.path)


SENTENCES: tuple[tuple[type[Exception], type[StoreError], str], ...] = (
    (lmdb.DiskError, StoreError, "the disk of the store at {path} is full ({error})"),
    (lmdb.CorruptedError, CorruptError, "the store at {path} is damaged ({error})"),
    (lmdb.PageNotFoundError, CorruptError, "the store at {path} is damaged ({error})"),
    (lmdb.InvalidError, CorruptError, "the file at {path} is not a store ({error})"),
    (lmdb.VersionMismatchError, StoreError, "{path} is of another version of LMDB ({error})"),
    (lmdb.PanicError, StoreError, "writing to {path} failed, open the store again ({error})"),
    (lmdb.ReadersFullError, StoreError, "too many read transactions are open on {path} ({error})"),
    (lmdb.TxnFullError, StoreError, "the transaction is too large for {path} ({error})"),
    (lmdb.ReadonlyError, StoreError, "permission to use the store at {path} was denied ({error})"),
    (PermissionError, StoreError, "permission to use the store at {path} was denied ({error})"),
)
PHRASES = (
    ("already open", "the store at {path} is already open in this process"),
    ("closed/deleted/dropped", "the transaction, or the store at {path}, is closed"),
    ("Permission denied", "permission to use the store at {path} was denied ({error})"),
    ("No space left", "the disk of the store at {path} is full ({error})"),
    ("", "the store at {path} cannot be used ({error})"),
)
"""For errors that py-lmdb and the system tell apart by their text only."""


def explain(error: lmdb.Error | OSError, path: Path) -> StoreError | ValueError:
    """Say in one sentence what LMDB or the system meant."""
    if isinstance(error, lmdb.BadValsizeError):
        return ValueError("a key has 1 to 511 bytes, and a value less than 4 GiB")
    for cause, kind, sentence in SENTENCES:
        if isinstance(error, cause):
            return kind(sentence.format(path=path, error=error))
    sentence = next(sentence for phrase, sentence in PHRASES if phrase in str(error))
    return StoreError(sentence.format(path=path, error=error))


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
