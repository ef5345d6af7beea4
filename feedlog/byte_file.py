"""A feed's bytes as one file: its blocks end to end, read by offset.

Whatever takes a binary file reads a feed: `shutil.copyfileobj`, `tarfile`,
`zipfile`. Offsets count the bytes that a reader gets: those of an encrypted feed
are the decrypted ones, and as each envelope is longer than its block by the same
number of bytes, the sizes in the tree convert exactly.

Knows blocks by index and sizes. Must not know storage or keys.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_SIZE = 1 << 16
"""Bytes that a file reads ahead: about one block as files are usually cut."""


class ByteReader:
    """Reads ranges of bytes; keeps the block where the last one ended, for the next."""

    def __init__(
        self,
        size: int,
        locate: Callable[[int], tuple[int, int]],
        block: Callable[[int], bytes],
    ) -> None:
        """Take the number of bytes, the place (block, offset) of each, and the blocks."""
        self.size = size
        self._locate = locate
        self._block = block
        self._index = -1
        self._start = 0
        self._data = b""

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes [offset, offset + length), or fewer where the end comes first."""
        end = min(offset + length, self.size)
        parts = []
        while offset < end:
            self._go_to(offset)
            part = self._data[offset - self._start : end - self._start]
            offset += len(part)
            parts.append(part)
        return b"".join(parts)

    def _go_to(self, offset: int) -> None:
        """Make the block with this byte the present one."""
        following = self._start + len(self._data)
        if self._start <= offset < following:
            return
        if offset == following:
            index, start = self._index + 1, following
        else:
            index, inside = self._locate(offset)
            start = offset - inside
        data = self._block(index)
        while not data:  # empty blocks share their offset with the one that follows
            index += 1
            data = self._block(index)
        self._index, self._start, self._data = index, start, data


class ByteFile(io.RawIOBase):
    """The raw file under the buffer of `open_file`."""

    def __init__(self, reader: ByteReader, release: Callable[[], None]) -> None:
        super().__init__()
        self._reader = reader
        self._release = release
        self._at = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it has positions."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset from the start, the position or the end; return the new position."""
        self._require_open()
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._reader.size}
        if whence not in bases:
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        if bases[whence] + offset < 0:
            raise ValueError(f"position {bases[whence] + offset} is before the start")
        self._at = bases[whence] + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        self._require_open()
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer from the position on; return how many bytes there were."""
        self._require_open()
        with memoryview(buffer).cast("B") as view:
            data = self._reader.read(self._at, len(view))
            view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        """Return everything from the position on."""
        self._require_open()
        data = self._reader.read(self._at, max(self._reader.size - self._at, 0))
        self._at += len(data)
        return data

    def close(self) -> None:
        """Close the file, and with it the state that it read."""
        if not self.closed:
            super().close()
            self._release()

    def _require_open(self) -> None:
        if self.closed:
            raise ValueError("the file is closed")


def open_file(reader: ByteReader, release: Callable[[], None]) -> io.BufferedReader:
    """Return a buffered file; `release` is called once, when it is closed."""
    return io.BufferedReader(ByteFile(reader, release), BUFFER_SIZE)
