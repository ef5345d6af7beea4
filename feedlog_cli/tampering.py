"""Turns one bit of a stored block, as a dishonest peer would: for demonstrations and tests.

The store's own checksum is made to fit again, so the store finds nothing wrong and serves
the block. What gives it away is the Merkle tree: its hashes are under the writer's
signature. That is the point of showing it.

Finds the block by its bytes among the values of the store, so as not to know how a store
lays out its entries. Must not be used on a store that another process has open.
"""

from __future__ import annotations

from pathlib import Path

from feedlog import Store
from feedlog.lmdb_storage import LmdbStorage
from feedlog_cli.errors import CommandError

NEEDLE = 64
"""Bytes by which a block is recognised: no two blocks share them by chance."""


def flip_bit(store: Path, key: bytes, block: int) -> None:
    """Turn the lowest bit of a block's middle byte.

    Raises `CommandError` where no value of the store holds the block alone.
    """
    original = stored_block(store, key, block)
    middle = len(original) // 2
    needle = original[middle : middle + NEEDLE]
    for entry, value in values_with(store, needle) if needle else ():
        at = value.index(needle)
        turned = value[:at] + bytes((value[at] ^ 1,)) + value[at + 1 :]
        replace(store, entry, turned)
        if stored_block(store, key, block) != original:
            return
        replace(store, entry, value)  # these were bytes of another block that is much like it
    raise CommandError(f"block {block} has no bits that could be turned")


def stored_block(store: Path, key: bytes, block: int) -> bytes:
    """Return the bytes that a store has for a block."""
    with Store(store, create=False) as opened:
        return opened.feed(key=key)[block]


def values_with(store: Path, needle: bytes) -> list[tuple[bytes, bytes]]:
    """Return the entries of the store's map whose values contain some bytes."""
    with LmdbStorage(store, create=False) as storage, storage.read() as reader:
        return [entry for entry in reader.scan(b"", b"\xff" * 64) if needle in entry[1]]


def replace(store: Path, entry: bytes, value: bytes) -> None:
    """Give an entry another value, with the checksum that belongs to it."""
    with LmdbStorage(store, create=False) as storage, storage.write() as writer:
        writer.put(entry, value)
