"""The handshake of a stream, for the one task that waits for it.

    peer = await handshake.begin()       # who wants to be accepted; None where nobody asks
    await handshake.accept(extra)

Invariant: whoever waits is told who the peer is, or what went wrong.
Must not know who may come, or how long it may take: `net.secure.opening` does.
"""

from __future__ import annotations

import asyncio

from net.errors import NetError
from net.noise import Established, PeerIdentified
from net.secure.line import Line


class Handshake:
    """Brings a line to where both ends have proven who they are."""

    def __init__(self, line: Line) -> None:
        self._line = line
        loop = asyncio.get_running_loop()
        self._identified: asyncio.Future[PeerIdentified | None] = loop.create_future()
        self._established: asyncio.Future[Established] = loop.create_future()

    # The task.

    async def begin(self) -> PeerIdentified | None:
        """Start the line; return who wants to be accepted, None when nobody asks and it is done.

        Raises what `fail` is given.
        """
        self._line.carrier.start(self._line)
        self._line.writer.flush()
        peer = await self._identified
        if peer is None:
            await self._established
        return peer

    async def accept(self, extra: bytes) -> None:
        """Finish the handshake with the peer that `begin` returned."""
        if self._established.done():
            self._established.result()  # raises: there is nobody to accept any more
        self._line.session.accept(extra)
        self._line.dispatch()
        self._line.carrier.resume_reading()
        await self._established

    # The stream.

    def identified(self, peer: PeerIdentified) -> None:
        """Learn who wants to be accepted."""
        if not self._identified.done():
            self._identified.set_result(peer)

    def established(self, peer: Established) -> None:
        """Learn that both ends have proven who they are."""
        if not self._identified.done():
            self._identified.set_result(None)
        if not self._established.done():
            self._established.set_result(peer)

    def fail(self, error: NetError) -> None:
        """Learn that it comes to nothing; what is established stays so."""
        for future in (self._identified, self._established):
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever waits gets it; nobody has to
