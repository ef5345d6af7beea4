"""A man in the middle of a TCP connection: he counts, records, cuts and alters what passes.

He knows where one message of the handshake or one record ends and the next begins, as
anybody can who reads docs/spec/stream.md, and no more than that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Self

from net.addresses import Address
from net.discovery import PeerAddress

Alter = Callable[[int, bytes], bytes | None]
"""Given a message's number, both directions counted together, and the message: returns what is
passed on, or None to cut the connection."""


class Known:
    """A discovery that knows one peer, at an address that need not be its own."""

    def __init__(self, public_key: bytes, address: Address) -> None:
        self.peer = PeerAddress(public_key, (address,))

    async def announce(self, *_: object) -> int:
        return 1

    async def unannounce(self, _: bytes) -> int:
        return 1

    async def lookup(self, _: bytes) -> AsyncGenerator[PeerAddress]:
        yield self.peer

    async def close(self) -> None:
        pass


class Eavesdropper:
    """Listens at `address` and passes on to `target` what `alter` lets through."""

    def __init__(self, target: Address, alter: Alter | None = None) -> None:
        self.target = target
        self.alter = alter
        self.count = 0
        """Messages of the latest connection, both directions."""
        self.sent = bytearray()
        """What the client of the latest connection has sent."""
        self.passing = asyncio.Event()
        """While it is clear, everything is held back."""
        self.passing.set()
        self.address: Address = ("", 0)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = self._server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.count = 0
        self.sent = bytearray()
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            there_reader, there_writer = await asyncio.open_connection(*self.target)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._carry(reader, there_writer, client=True))
                    group.create_task(self._carry(there_reader, writer, client=False))
            except* (OSError, asyncio.IncompleteReadError, EOFError):
                pass
            finally:
                for end in (writer, there_writer):
                    end.transport.abort()

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, client: bool
    ) -> None:
        lead = await source.readexactly(1) if client else b""
        handshake = True
        while True:
            kind = b"" if handshake else await source.readexactly(1)
            size = await source.readexactly(2)
            message = lead + kind + size + await source.readexactly(int.from_bytes(size, "little"))
            lead, handshake = b"", False
            await self.passing.wait()
            number, self.count = self.count, self.count + 1
            passed = message if self.alter is None else self.alter(number, message)
            if passed is None:
                raise EOFError("cut")
            if client:
                self.sent += passed
            sink.write(passed)
            await sink.drain()
