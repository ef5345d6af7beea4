"""The directory of a store: its files before LMDB opens them and after it has closed them.

    data.mdb     LMDB's pages
    lock.mdb     LMDB's table of readers and its writer's mutex; may be deleted when nobody is here
    writer.lock  the writer's flock; holds one line: `feedlog store 1 SIZE MTIME`

SIZE and MTIME (nanoseconds) are those of data.mdb when a store was last closed. A store
that was not closed, or whose file was changed or copied since, has others: then the
first process to open it walks all its pages, unless they are too many to do it in
passing. LMDB would need no such check after a crash of the process. It is for what
LMDB trusts and should not: a power cut with relaxed durability, a disk, a bad copy.

Each process that has the store open holds a shared flock on the directory; whoever gets
an exclusive one is alone, and creates or checks while others wait.

Invariant: a data file that LMDB opens through here has sound meta pages and is as long
as they say. Must not know transactions. Specified in docs/spec/store.md, "Files".
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feedlog.errors import StoreError
from feedlog.lmdb_file import latest_meta, reaches_its_last_page
from feedlog.lmdb_walk import walk

DATA_FILE, LOCK_FILE, WRITER_FILE = "data.mdb", "lock.mdb", "writer.lock"
PRIVATE_FILE, PRIVATE_DIRECTORY = 0o600, 0o700
"""A store holds a secret key: only its owner may read it."""
MAX_READERS = 1022
"""Read transactions open at once, in all processes: 64 KiB of lock file."""
READER_TABLE_SIZE = 64 * (MAX_READERS + 2)
MAX_WALK_SIZE = 64 * 2**20
"""The largest data file that is walked at opening: a third of a second."""
RECORD = "feedlog store 1 {size} {mtime}"
RECORD_SIZE = 64


class StoreDirectory:
    """An existing directory, and the locks that this process holds in it."""

    def __init__(self, path: Path, *, create: bool, read_only: bool) -> None:
        self.path = path
        self.data = path / DATA_FILE
        self._read_only = read_only
        if path.exists() and not path.is_dir():
            raise StoreError(f"{path} is a file; a store is a directory")
        if create and not read_only:
            path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        elif not self.data.exists():
            raise StoreError(f"there is no store at {path}")
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._writer_fd = -1

    @contextmanager
    def opening(self, *, durable: bool) -> Iterator[None]:
        """Check, or prepare to create, what the body then opens with LMDB."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            fcntl.flock(self._fd, fcntl.LOCK_SH)
            alone = False
        if not self._read_only:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._writer_fd = os.open(self.path / WRITER_FILE, flags, PRIVATE_FILE)
        record = self._recorded()
        new = record is None and (not self.data.exists() or self.data.stat().st_size == 0)
        if not new:
            self._check(record, alone=alone)
        if alone and not self._read_only:
            self._reserve_lock_file()
        yield
        if new:
            self._record()
            if durable:
                sync_paths(self.path / WRITER_FILE, self.path, self.path.parent)
        if alone:
            fcntl.flock(self._fd, fcntl.LOCK_SH)

    def close(self) -> None:
        """Note how LMDB left its files, and release the locks."""
        if self._writer_fd >= 0:
            self._record()
        self.release()

    def release(self) -> None:
        """Release the locks."""
        if self._writer_fd >= 0:
            os.close(self._writer_fd)
            self._writer_fd = -1
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def lock_writer(self) -> None:
        """Wait until no other process writes."""
        if self._writer_fd < 0:
            raise StoreError(f"the store at {self.path} is closed")
        fcntl.flock(self._writer_fd, fcntl.LOCK_EX)

    def unlock_writer(self) -> None:
        """Let the next writer in."""
        fcntl.flock(self._writer_fd, fcntl.LOCK_UN)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Hold the writer's lock, also in a process that only reads."""
        fd = os.open(self.path / WRITER_FILE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _check(self, record: str | None, *, alone: bool) -> None:
        meta = latest_meta(self.data)
        if reaches_its_last_page(self.data, meta):
            known = record == self._state() or self.data.stat().st_size > MAX_WALK_SIZE
            if known or not alone:
                return
        walk(self.data)
        if self._writer_fd >= 0:
            self._record()

    def _reserve_lock_file(self) -> None:
        """Give the lock file its room: LMDB writes it through a map, where a full disk kills."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(self.path / LOCK_FILE, flags, PRIVATE_FILE)
        except FileExistsError:
            return
        try:
            os.pwrite(fd, bytes(READER_TABLE_SIZE), 0)
        finally:
            os.close(fd)

    def _recorded(self) -> str | None:
        """Return what `writer.lock` says; None if the store was never created."""
        try:
            text = (self.path / WRITER_FILE).read_bytes()
        except FileNotFoundError:
            return None
        return text.decode(errors="replace").strip() or None

    def _record(self) -> None:
        """Note the state of the data file, unless somebody is changing it."""
        try:
            fcntl.flock(self._writer_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        try:
            os.pwrite(self._writer_fd, self._state().ljust(RECORD_SIZE - 1).encode() + b"\n", 0)
        finally:
            fcntl.flock(self._writer_fd, fcntl.LOCK_UN)

    def _state(self) -> str:
        stat = self.data.stat()
        return RECORD.format(size=stat.st_size, mtime=stat.st_mtime_ns)


def sync_paths(*paths: Path) -> None:
    """Bring files, and the names in directories, to the disk."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
