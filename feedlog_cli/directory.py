"""A directory of files as two feeds: the contents, and a trie that finds them.

The data feed holds the files end to end, each cut into blocks; a file starts a new
block. The trie, on a feed of its own, maps each path to where its blocks are:

    "asyncio/events.py" -> {"block": 1043, "count": 1, "size": 28904, "hash": "5d1e..."}

`block` is the first block in the data feed, `count` how many there are (0 for an empty
file), `size` the bytes in all of them, `hash` the BLAKE3-256 of the file in hexadecimal.
The trie's header names the data feed (`metadata` below), so that the trie's key is the
only one that a reader needs. Both feeds are signed: that a block is the publisher's is
known when it arrives, and the hash is there to compare copies without fetching.

Specified in docs/spec/directory.md. Knows the format only. Must not know stores,
file systems or peers.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Self

import msgspec
from blake3 import blake3

from feedlog_cli.errors import CommandError

BLOCK_SIZE = 16 * 4096 - 16 - 4
"""Bytes in every block of a file but the last: 65516.

LMDB keeps a large value in pages of 4096 bytes behind a header of 16, and the store adds a
checksum of 4. This many bytes fill sixteen pages to the last byte; 64 KiB would need a
seventeenth.
"""

MAGIC = b"feedlog/directory/1\n"
"""With the 32 bytes of the data feed's key, the metadata in the header of the trie."""

KEY_SIZE = 32
MAX_BLOCKS = 2**40

HexHash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_BLOCKS)]
Size = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class FileEntry(msgspec.Struct, frozen=True):
    """The value of a path."""

    block: Count
    count: Count
    size: Size
    hash: HexHash

    @property
    def blocks(self) -> range:
        """The blocks of the data feed that make up the file."""
        return range(self.block, self.block + self.count)

    def to_value(self) -> dict[str, Any]:
        """Return the value to store in the trie."""
        return msgspec.structs.asdict(self)

    @classmethod
    def from_value(cls, path: str, value: Any) -> Self:
        """Parse a value of the trie; raises `CommandError`, for the publisher may be anybody."""
        try:
            entry = msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            raise CommandError(f"the entry of {path!r} describes no file: {error}") from None
        if entry.size and not entry.count:
            raise CommandError(f"the entry of {path!r} has {entry.size} bytes in no blocks")
        return entry


def metadata(data_key: bytes) -> bytes:
    """Return what the trie's header says: that this is a directory, and where its data is."""
    return MAGIC + data_key


def data_key(header_metadata: bytes) -> bytes | None:
    """Return the key of the data feed, or None for a trie that is no directory."""
    if header_metadata.startswith(MAGIC) and len(header_metadata) == len(MAGIC) + KEY_SIZE:
        return header_metadata[len(MAGIC) :]
    return None


class Digest:
    """Counts and hashes the blocks of a file, one after the other."""

    def __init__(self) -> None:
        self.count = 0
        self.size = 0
        self._hasher = blake3()

    def update(self, block: bytes) -> None:
        """Take the next block."""
        self.count += 1
        self.size += len(block)
        self._hasher.update(block)

    @property
    def hash(self) -> str:
        """The hash of all blocks so far, as an entry has it."""
        return self._hasher.hexdigest()

    def check(self, path: str, entry: FileEntry) -> None:
        """Raise `CommandError` unless the blocks are the file that the entry describes."""
        if self.size != entry.size:
            what = f"{self.size} bytes, not {entry.size}"
        elif self.hash != entry.hash:
            what = "another hash"
        else:
            return
        raise CommandError(f"the publisher's index is wrong: {path} has {what}")


def safe_path(path: str) -> PurePosixPath:
    """Return a path of the trie as one that stays below the directory it is joined to.

    Raises `CommandError` for one that would leave it, or that no file system has.
    """
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise CommandError(f"the path {path[:200]!r} would not stay inside the directory")
    return PurePosixPath(path)
