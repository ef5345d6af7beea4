"""What is written to one line: sealed at once, handed to the carrier with all else of the turn.

    writer.seal(data)     # it leaves when this turn of the event loop is over, or by
    writer.flush()        # at once
    writer.end()          # or writer.leave(), for what goes on over another line

Invariant: records leave in the order in which they were sealed; no more than `SEAL_CHUNK` and
one piece wait, and none longer than a turn; nothing is handed to a carrier that is gone.
Must not know who writes, or whether there are other lines.
"""

from __future__ import annotations

import asyncio

from net.carriers.base import Carrier
from net.noise import NoiseSession

SEAL_CHUNK = 256 << 10
"""Bytes sealed before they are handed to the carrier: four records a system call."""


class Writer:
    """Our direction of one line."""

    def __init__(self, carrier: Carrier, session: NoiseSession) -> None:
        self.flush_due = False
        """Whether `flush` will be called without `seal` seeing to it. Whoever seals several
        pieces sets it and flushes after the last."""
        self._carrier = carrier
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._unflushed = 0
        self._closed = False

    def seal(self, data: bytes | bytearray | memoryview) -> None:
        """Seal at most `SEAL_CHUNK` bytes, to be sent in this turn of the event loop."""
        self._session.send(data)
        self._unflushed += len(data)
        if self._unflushed >= SEAL_CHUNK:
            self.flush()
        elif not self.flush_due:
            # Writes of one turn of the event loop leave in one system call.
            self.flush_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Hand to the carrier what the session has to send."""
        self.flush_due = False
        self._unflushed = 0
        if self._closed:
            return
        if data := self._session.data_to_send():
            self._carrier.write(data)

    def end(self) -> None:
        """Send that our direction ends here."""
        self._session.send_end()
        self.flush()
        self._carrier.write_end()

    def leave(self) -> None:
        """Send that our direction goes on over another line, unless it has ended."""
        if not self._session.send_ended:
            self._session.send_moved()
            self.flush()
            self._carrier.write_end()

    def close(self) -> None:
        """Learn that the carrier is gone."""
        self._closed = True
