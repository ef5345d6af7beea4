"""What LMDB and the system say, in one sentence for the user.

Knows error classes, texts, and how much room a disk has. Must not know transactions.
"""

from __future__ import annotations

import os
from pathlib import Path

import lmdb

from feedlog.errors import CorruptError, StoreError

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
    ("a forked child", "{path} was open when this process was forked; open it after, or spawn"),
    ("Permission denied", "permission to use the store at {path} was denied ({error})"),
    ("No space left", "the disk of the store at {path} is full ({error})"),
    ("quota exceeded", "the disk quota of the store at {path} is used up ({error})"),
    ("Cannot allocate memory", "memory or address space does not suffice for {path} ({error})"),
    ("", "the store at {path} cannot be used ({error})"),
)
"""For errors that LMDB's binding and the system tell apart by their text only."""


ROOM_OF_A_FULL_DISK = 2**20
"""LMDB calls it an I/O error when a disk took only a part; then there is less room than this."""


def room_on_disk(path: Path) -> int:
    """Return how many bytes may still be written beside `path`."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return ROOM_OF_A_FULL_DISK
    return disk.f_bavail * disk.f_frsize


def explain(error: lmdb.Error | OSError, path: Path) -> StoreError | ValueError:
    """Return the error to raise; `ValueError` where the caller's key or value does not fit."""
    if isinstance(error, lmdb.BadValsizeError):
        return ValueError("a key has 1 to 511 bytes, and a value less than 4 GiB")
    for cause, kind, sentence in SENTENCES:
        if isinstance(error, cause):
            return kind(sentence.format(path=path, error=error))
    if "Input/output error" in str(error) and room_on_disk(path) < ROOM_OF_A_FULL_DISK:
        return StoreError(f"the disk of the store at {path} is full ({error})")
    sentence = next(sentence for phrase, sentence in PHRASES if phrase in str(error))
    return StoreError(sentence.format(path=path, error=error))
