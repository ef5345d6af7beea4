"""A carrier with something that is kept for it: a punched way, a socket of its own.

    carrier = HeldCarrier(inner, release, Medium.PUNCHED_QUIC, "192.0.2.1:4000")

Bytes pass through untouched. When the inner carrier is gone, however that came,
`release` is called, once.

Invariant: `release` is called exactly once for a carrier that was started or ended.
Must not know what is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from net.addresses import Address
from net.carriers.base import Carrier, Receiver
from net.carriers.medium import Medium


class HeldCarrier:
    """One carrier, and what to do when it is gone."""

    def __init__(
        self, inner: Carrier, release: Callable[[], None], medium: Medium, where: str
    ) -> None:
        self.medium = medium
        self.description = f"{medium} {where}"
        self._inner = inner
        self._release: Callable[[], None] | None = release
        self._started = False

    @property
    def binding(self) -> bytes:
        """What both ends know of the inner carrier's keys."""
        return self._inner.binding

    @property
    def address(self) -> Address | None:
        """Where the other end is."""
        return self._inner.address

    def start(self, receiver: Receiver) -> None:
        """Begin to deliver."""
        self._started = True
        self._inner.start(_Watch(receiver, self._gone))

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._inner.write(data)

    def write_end(self) -> None:
        """Send the end of this direction."""
        self._inner.write_end()

    def pause_reading(self) -> None:
        """Deliver no more until `resume_reading`."""
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again."""
        self._inner.resume_reading()

    def close(self) -> None:
        """Send what was written, then end."""
        self._inner.close()
        self._end()

    def abort(self) -> None:
        """End at once."""
        self._inner.abort()
        self._end()

    def _end(self) -> None:
        if not self._started:  # nobody will be told: in the next turn it has sent its farewell
            asyncio.get_running_loop().call_soon(self._gone)

    def _gone(self) -> None:
        if self._release is not None:
            release, self._release = self._release, None
            release()


class _Watch:
    """Passes everything on, and sees the last call."""

    def __init__(self, receiver: Receiver, gone: Callable[[], None]) -> None:
        self._receiver = receiver
        self._gone = gone
        self.data_received = receiver.data_received
        self.carrier_ended = receiver.carrier_ended
        self.pause_writing = receiver.pause_writing
        self.resume_writing = receiver.resume_writing

    def carrier_lost(self, error: Exception | None) -> None:
        """Learn that the carrier is gone."""
        self._gone()
        self._receiver.carrier_lost(error)
