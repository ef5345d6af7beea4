"""Bytes of a remote feed as a file that is awaited: `Remote.open` returns one.

    async with await remote.open(offset, length) as file:
        head = await file.read(16)
        async for chunk in file: ...

The file is the range as it was when it was opened: what is appended later is not in it.
Blocks come when they are read, and those after them are on their way by then.

Invariant: a read that fails, or is cancelled, leaves the position where it was.
Must not know peers, proofs or encryption: it gets whole blocks, and places of bytes.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Self

Block = Callable[[int], Awaitable[bytes]]
"""Returns a block, and sees that those after it are on their way."""
Locate = Callable[[int], Awaitable[tuple[int, int]]]
"""Returns the block with a byte of the feed, and the offset inside it."""


class RemoteFile:
    """A range of bytes, seekable and read-only; positions count from its start.

    For one reader at a time. Made by `Remote.open`.
    """

    def __init__(
        self, start: int, size: int, *, block: Block, locate: Locate, closed: Callable[[], None]
    ) -> None:
        self.size = size
        """Bytes in the file."""
        self._block, self._locate, self._on_closed = block, locate, closed
        self._first = start
        self._at = 0
        self._closed = False
        # The block at hand, and where in the feed it starts.
        self._index = -1
        self._start = 0
        self._data = b""

    def __repr__(self) -> str:
        return f"<RemoteFile {self._at} of {self.size}>"

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset from the start, the position or the end; return the new position."""
        self._require_open()
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}
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

    async def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, fewer only where the file ends; all that is left by default.

        Raises `DeadlineError` when a block does not come, `ClosedError` when the feed was
        truncated since the file was opened.
        """
        self._require_open()
        stop = self.size if size < 0 else min(self.size, self._at + size)
        at, parts = self._at, []
        while at < stop:
            part = await self._part(at, stop)
            parts.append(part)
            at += len(part)
        self._at = max(at, self._at)
        return b"".join(parts)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield what is left, as it comes: at most a block at a time."""
        self._require_open()
        while self._at < self.size:
            part = await self._part(self._at, self.size)
            self._at += len(part)
            yield part

    async def _part(self, at: int, stop: int) -> bytes:
        """Return the bytes from `at` up to `stop`, or the end of the block there."""
        offset = self._first + at
        following = self._start + len(self._data)
        if not self._start <= offset < following:
            if self._index >= 0 and offset == following:
                index, start = self._index + 1, following
            else:
                index, inside = await self._locate(offset)
                start = offset - inside
            data = await self._block(index)
            while not data:  # empty blocks share their offset with the one that follows
                index += 1
                data = await self._block(index)
            self._index, self._start, self._data = index, start, data
        return self._data[offset - self._start : self._first + stop - self._start]

    async def close(self) -> None:
        """Ask for nothing more of it; what has come stays in the store."""
        if not self._closed:
            self._closed = True
            self._data = b""
            self._on_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _require_open(self) -> None:
        if self._closed:
            raise ValueError("the file is closed")
