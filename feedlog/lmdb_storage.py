"""The storage on disk: one LMDB environment with one unnamed database in it.

One unnamed database, because each named one would cost every commit one more dirty
page. Every value carries a checksum (checksum.py), the map grows by itself
(lmdb_map.py), the data file is checked before LMDB maps it (lmdb_directory.py).
Specified in docs/spec/store.md; the reasons are in docs/adr/0001-lmdb-storage.md.

Invariant: `writer` is set exactly while this process holds the writer's locks.
Knows bytes only. Must not know feeds, blocks or trees.
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self, get_args

import lmdb

from feedlog.checksum import unseal
from feedlog.errors import StoreError
from feedlog.lmdb_map import Durability, MappedEnvironment
from feedlog.lmdb_transactions import LmdbReader, LmdbWriter
from feedlog.lmdb_walk import walk
from feedlog.transaction import WriteBlock


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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: bytes) -> bytes | None:
        """Read one value in a transaction of its own: the short way for single reads."""
        try:
            txn = self._mapped.begin()
            sealed = txn.get(key)
            txn.abort()
        except lmdb.Error:
            with LmdbReader(self._mapped) as reader:  # the careful way, which explains errors
                return reader.get(key)
        return None if sealed is None else unseal(key, sealed)

    def generation(self) -> int:
        """Return the number of the latest commit, by whichever process."""
        try:
            txn = self._mapped.begin()
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

    def check_pages(self) -> None:
        """Check the structure of the data file; raise `CorruptError` at the first fault.

        Takes some 5 s a gigabyte, in which nobody else writes. It does not read the
        values: each is checked against its checksum whenever it is read.
        """
        writer = self.writer
        if writer is not None and writer.thread == threading.get_ident():
            walk(self._mapped.data_file)  # the locks are held, and nothing is committed meanwhile
            return
        with self._mapped.quiet():
            walk(self._mapped.data_file)

    def copy_to(self, path: str | os.PathLike[str]) -> None:
        """Write a compacted copy of the latest commit to a new directory, as a store.

        This is a backup while others read and write, and the way to give freed pages
        back to the system: a data file itself never shrinks.
        """
        self._mapped.copy_to(Path(path))

    def close(self) -> None:
        """Release everything; further use raises `StoreError`."""
        if self.writer is not None and self.writer.thread == threading.get_ident():
            raise ValueError("close() inside of the write transaction")
        self._mapped.close()
