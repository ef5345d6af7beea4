"""Readers and writers on LMDB: what they hold, and how they let go."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from feedlog.errors import StoreError
from feedlog.lmdb_directory import MAX_READERS
from feedlog.lmdb_storage import LmdbStorage
from feedlog.lmdb_transactions import CHUNK_BYTES, RUN_LENGTH, LmdbReader, read_chunk

END = b"\xff" * 8


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LmdbStorage]:
    with LmdbStorage(tmp_path / "store", durability="relaxed") as made:
        yield made


def test_too_many_readers_are_a_store_error(tmp_path: Path) -> None:
    with LmdbStorage(tmp_path / "store") as storage:
        readers: list[LmdbReader] = []
        with pytest.raises(StoreError, match="too many read transactions"):
            readers.extend(storage.read() for _ in range(MAX_READERS + 1))
        assert len(readers) == MAX_READERS
        for reader in readers:
            reader.close()
        assert storage.get(b"k") is None


def test_a_scan_reads_ahead_no_more_than_a_few_pages(storage: LmdbStorage) -> None:
    with storage.write() as w:
        w.put_many([(b"%03d" % i, bytes(CHUNK_BYTES // 4)) for i in range(100)])
    with storage.read() as r:
        entries, more = read_chunk(r.txn, b"", END, False, 100)
        assert (len(entries), more) == (4, True)
        assert len(list(r.scan(b"", END))) == 100


def test_a_rollback_does_not_wait_for_busy_readers(storage: LmdbStorage) -> None:
    """LMDB's binding would wait for a moment in which none of them reads."""
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            storage.get(b"k")

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()

    def fail() -> None:
        with storage.write() as w:
            w.put(b"k", b"v")
            raise KeyError

    try:
        for _ in range(200):
            with pytest.raises(KeyError):
                fail()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert storage.get(b"k") is None


def test_a_transaction_in_which_lmdb_failed_is_not_committed(storage: LmdbStorage) -> None:
    class Failing:
        def put(self, *_: object) -> None:
            raise lmdb.DiskError("no room")

    def write() -> None:
        with storage.write() as w:
            w.put(b"a", b"1")
            real, w.txn = w.txn, Failing()  # type: ignore[assignment]  # a disk that fails
            with pytest.raises(StoreError, match="is full"):
                w.put(b"b", b"2")
            w.txn = real
            w.put(b"c", b"3")

    with pytest.raises(StoreError, match="nothing was written"):
        write()
    assert [storage.get(key) for key in (b"a", b"b", b"c")] == [None] * 3
    with storage.write() as w:
        w.put(b"a", b"1")
    assert storage.get(b"a") == b"1"


def leaf_pages(path: Path, before: int) -> int:
    """Append 5000 entries in batches in front of `before` others; return the leaves."""
    with LmdbStorage(path, durability="relaxed") as storage:
        with storage.write() as w:
            w.put_many([(b"later%04d" % i, bytes(100)) for i in range(before)])
        for first in range(0, 5000, 500):
            with storage.write() as w:
                w.put_many([(b"%08d" % i, bytes(100)) for i in range(first, first + 500)])
        return storage._mapped.env.stat()["leaf_pages"]


def test_a_run_fills_its_pages_wherever_it_goes(tmp_path: Path) -> None:
    alone = leaf_pages(tmp_path / "alone", 0)
    assert leaf_pages(tmp_path / "before", 10) < 1.05 * alone + 5


@pytest.mark.parametrize(
    "later",
    [
        [],
        [(b"l%04d" % i, b"later") for i in range(500)],
        [(b"l", bytes(50_000)), (b"m", b"")],
        [(b"k%05d" % (RUN_LENGTH // 2), b"in the middle"), (b"l", b"")],
        [(b"k%05d" % (RUN_LENGTH - 1), b"replaced"), (b"l", b"")],
    ],
)
def test_what_comes_after_a_run_stays(
    storage: LmdbStorage, later: list[tuple[bytes, bytes]]
) -> None:
    run = [(b"k%05d" % i, b"run") for i in range(RUN_LENGTH)]
    with storage.write() as w:
        w.put_many(later)
        w.put_many(run)
    with storage.read() as r:
        assert list(r.scan(b"", END)) == sorted((dict(later) | dict(run)).items())
    storage.check_pages()
