"""Each error of LMDB and of the system becomes one sentence with the path."""

from __future__ import annotations

from pathlib import Path

import lmdb
import pytest

from feedlog import lmdb_errors
from feedlog.errors import CorruptError, StoreError
from feedlog.lmdb_errors import ROOM_OF_A_FULL_DISK, explain

PATH = Path("/some/store")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (lmdb.DiskError("x"), StoreError, "is full"),
        (OSError(28, "No space left on device"), StoreError, "is full"),
        (lmdb.CorruptedError("x"), CorruptError, "is damaged"),
        (lmdb.PageNotFoundError("x"), CorruptError, "is damaged"),
        (lmdb.InvalidError("x"), CorruptError, "is not a store"),
        (lmdb.VersionMismatchError("x"), StoreError, "another version"),
        (lmdb.PanicError("x"), StoreError, "open the store again"),
        (lmdb.ReadersFullError("x"), StoreError, "too many read transactions"),
        (lmdb.TxnFullError("x"), StoreError, "too large"),
        (lmdb.ReadonlyError("x"), StoreError, "permission"),
        (PermissionError(13, "Permission denied"), StoreError, "permission"),
        (lmdb.Error("/some/store: Permission denied"), StoreError, "permission"),
        (lmdb.Error("is already open in this process"), StoreError, "already open"),
        (lmdb.Error("operate on closed/deleted/dropped object"), StoreError, "is closed"),
        (lmdb.MemoryError("Cannot allocate memory"), StoreError, "does not suffice"),
        (OSError(122, "Disk quota exceeded"), StoreError, "quota"),
        (lmdb.Error("mdb_txn_commit: Input/output error"), StoreError, "cannot be used"),
        (lmdb.Error("what nobody foresaw"), StoreError, "what nobody foresaw"),
    ],
)
def test_an_error_is_explained(
    error: lmdb.Error | OSError, kind: type[StoreError], words: str
) -> None:
    explained = explain(error, PATH)
    assert type(explained) is kind
    assert words in str(explained)
    assert str(PATH) in str(explained)


def test_a_size_that_does_not_fit_is_misuse() -> None:
    assert isinstance(explain(lmdb.BadValsizeError("x"), PATH), ValueError)


def test_a_write_that_was_cut_short_means_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = lmdb.Error("mdb_txn_commit: Input/output error")
    for room, words in ((ROOM_OF_A_FULL_DISK - 1, "is full"), (10**9, "cannot be used")):
        monkeypatch.setattr(lmdb_errors, "room_on_disk", lambda _, room=room: room)
        assert words in str(explain(error, tmp_path))
