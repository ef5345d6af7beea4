"""What every carrier is: an ordered, unauthenticated stream of bytes between two ends.

A carrier pushes what arrives into a receiver, as asyncio's transports do, because a
stream that waits for each piece in a task pays two turns of the event loop for it.

    carrier.start(receiver)   then receiver.data_received(data)*   receiver.carrier_ended()?
                              and last, always, receiver.carrier_lost(error or None)

Rules that every carrier keeps (tests/net/carriers/test_conformance.py runs them on each):
- nothing is delivered before `start`, and nothing between `pause_reading` and
  `resume_reading` but what had been read already; so unread bytes stay bounded.
- the data given to `data_received` is valid during the call only.
- `write` never waits; beyond `HIGH_WATER` unsent bytes the receiver is told to pause,
  below `LOW_WATER` to resume.
- `close` delivers what was written and then ends; `abort` drops it.

Must not know Noise, or what the bytes mean.
"""

from __future__ import annotations

from typing import Protocol

from net.addresses import Address
from net.carriers.medium import Medium

HIGH_WATER = 256 << 10
"""Unsent bytes above which the writer is told to pause. Four records: enough to keep a
link busy while the next are sealed, little enough that urgent messages are not late."""
LOW_WATER = 64 << 10


class Receiver(Protocol):
    """What a carrier tells about itself. Calls come from the event loop, none is awaited."""

    def data_received(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes of the other end; they are valid during the call only."""

    def carrier_ended(self) -> None:
        """Learn that the other end writes no more."""

    def carrier_lost(self, error: Exception | None) -> None:
        """Learn that the carrier is gone; the last call."""

    def pause_writing(self) -> None:
        """Learn that unsent bytes pile up."""

    def resume_writing(self) -> None:
        """Learn that they have gone."""


class Carrier(Protocol):
    """An ordered stream of bytes to one other end."""

    @property
    def medium(self) -> Medium:
        """What the bytes travel over."""

    @property
    def description(self) -> str:
        """Which way the bytes go, for people: `tcp 192.0.2.1:4000`."""

    @property
    def address(self) -> Address | None:
        """Where the other end is, as far as we see; None where that means nothing."""

    @property
    def binding(self) -> bytes:
        """Bytes that both ends know of the carrier's own keys; empty where it has none."""

    def start(self, receiver: Receiver) -> None:
        """Begin to deliver; called once."""

    def write(self, data: bytes) -> None:
        """Send bytes; they are not changed by the caller afterwards."""

    def write_end(self) -> None:
        """Send the end of this direction behind what was written."""

    def pause_reading(self) -> None:
        """Deliver no more until `resume_reading`."""

    def resume_reading(self) -> None:
        """Deliver again."""

    def close(self) -> None:
        """Send what was written, then end."""

    def abort(self) -> None:
        """End at once."""
