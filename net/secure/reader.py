"""What has come over a stream, for the one task that reads it.

    reader.received(data); reader.end(); reader.fail(error)     # the stream
    await reader.read(65536)                                    # the task

Invariant: `full` is called when more than `READ_HIGH` bytes wait, and `drained` when fewer
than `READ_LOW` do again, in turns: so what waits is bounded by that and one read of the carrier.
Must not know where the bytes come from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from net.errors import NetError
from net.secure.inbox import Inbox

READ_HIGH = 1 << 20
"""Bytes read and not taken above which the carrier is told to stop."""
READ_LOW = 256 << 10


class Reader:
    """Bytes in the order in which they came, then the end, or an error."""

    def __init__(self, full: Callable[[], None], drained: Callable[[], None]) -> None:
        self._inbox = Inbox()
        self._full, self._drained = full, drained
        self._is_full = False
        self._ended = False
        self._error: NetError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __bool__(self) -> bool:
        return bool(self._inbox)

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self._inbox.size

    # The stream.

    def received(self, data: bytes) -> None:
        """Keep bytes until they are read."""
        self._inbox.put(data)
        if self._inbox.size > READ_HIGH and not self._is_full:
            self._is_full = True
            self._full()
        self._wake()

    def end(self) -> None:
        """Learn that nothing more comes; what is here can be read."""
        self._ended = True
        self._wake()

    def fail(self, error: NetError) -> None:
        """Have reads raise, once what is here has been read. The first error counts."""
        if self._error is None:
            self._error = error
        self._wake()

    def clear(self) -> None:
        """Forget what is here."""
        self._inbox.clear()

    # The task.

    async def read(self, n: int = -1) -> bytes:
        """Return up to `n` bytes, at least one unless the stream has ended; all for -1."""
        if n == 0:
            return b""
        if n < 0:
            everything: list[bytes] = []
            while part := await self.read(READ_HIGH):
                everything.append(part)
            return b"".join(everything)
        while not self._inbox and not self._ended:
            if self._error is not None:
                raise self._error
            await self._wait()
        return self.take(n)

    async def readexactly(self, n: int) -> bytes:
        """Return `n` bytes; raises `asyncio.IncompleteReadError` if the stream ends before."""
        parts: list[bytes] = []
        missing = n
        while missing:
            part = await self.read(missing)
            if not part:
                raise asyncio.IncompleteReadError(b"".join(parts), n)
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take(self, n: int) -> bytes:
        """Return up to `n` bytes of those that are here."""
        data = self._inbox.take(n)
        if self._is_full and self._inbox.size < READ_LOW:
            self._is_full = False
            self._drained()
        return data

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("another task is reading this stream")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
