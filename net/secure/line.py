"""A line: one carrier with the Noise session that runs over it.

What a secure stream reads from and writes to; while it moves it has two (`net.secure.lines`).

    carrier -> Line.data_received -> session -> LineOwner.line_received
    carrier <- Writer.flush       <- session <- Writer.seal

Invariant: after the first fault of the peer its bytes are dropped, and the owner is told
once that the line is lost, last of all calls.
Must not know what the bytes mean, or which of its owner's lines it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from net.carriers.base import Carrier
from net.errors import NetError, PeerError
from net.noise import (
    DataReceived,
    Established,
    NoiseSession,
    PeerIdentified,
    StreamEnded,
    StreamMoved,
)
from net.secure.writer import Writer


class LineOwner(Protocol):
    """What a line tells. No call is awaited."""

    def line_identified(self, peer: PeerIdentified) -> None:
        """Learn who wants to be accepted; nothing is read until reading is resumed."""

    def line_established(self, peer: Established) -> None:
        """Learn that the handshake is done."""

    def line_received(self, data: bytes) -> None:
        """Take the plaintext of one record."""

    def line_ended(self, line: Line) -> None:
        """Learn that the peer has ended its direction."""

    def line_moved(self, line: Line) -> None:
        """Learn that the peer's direction goes on over another line."""

    def line_failed(self, line: Line, error: NetError) -> None:
        """Learn what the peer did wrong, or that the line was cut; the carrier is aborted."""

    def line_lost(self, line: Line, error: Exception | None) -> None:
        """Learn that the carrier is gone."""

    def line_paused(self, line: Line) -> None:
        """Learn that the carrier has enough to send."""

    def line_resumed(self, line: Line) -> None:
        """Learn that the carrier has room."""


class Line:
    """The receiver of one carrier."""

    def __init__(self, carrier: Carrier, session: NoiseSession, owner: LineOwner) -> None:
        self.carrier = carrier
        self.session = session
        self.writer = Writer(carrier, session)
        self.owner = owner
        self.on_lost: list[Callable[[], None]] = []
        """Called when the carrier is gone, before the owner."""
        self._failed = False
        self._held = False
        self._end_due = False
        self._end_seen = False
        self._retired = False

    def data_received(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes of the carrier."""
        if self._failed:
            return
        try:
            self.session.receive_data(data)
        except PeerError as error:
            if not self._held:
                self.dispatch()
            self._fail(error)
        else:
            if not self._held:
                self.dispatch()

    def carrier_ended(self) -> None:
        """Learn that the carrier carries no more to us."""
        self._end_seen = True
        if self._retired:
            self.carrier.close()
        elif self._held:
            self._end_due = True
        elif not self._failed:
            try:
                self.session.receive_end()
            except NetError as error:
                self._fail(error)

    def carrier_lost(self, error: Exception | None) -> None:
        """Learn that the carrier is gone."""
        self._failed = True
        self.writer.close()
        for call in self.on_lost:
            call()
        self.owner.line_lost(self, error)

    def pause_writing(self) -> None:
        """Learn that the carrier has enough to send."""
        self.owner.line_paused(self)

    def resume_writing(self) -> None:
        """Learn that the carrier has room."""
        self.owner.line_resumed(self)

    def dispatch(self) -> None:
        """Tell the owner what the session has made of the bytes."""
        owner = self.owner
        while (event := self.session.next_event()) is not None:
            if isinstance(event, DataReceived):  # by far the most
                owner.line_received(event.data)
                continue
            match event:
                case PeerIdentified():
                    self.carrier.pause_reading()
                    owner.line_identified(event)
                case Established():
                    owner.line_established(event)
                case StreamEnded():
                    owner.line_ended(self)
                case StreamMoved():
                    owner.line_moved(self)
        self.writer.flush()

    # A stream that moves.

    def hold(self) -> None:
        """Keep what comes, at most what the carrier has read already, until `release`."""
        self._held = True
        self.carrier.pause_reading()

    def release(self) -> None:
        """Tell the owner what was kept, and go on; reading is the owner's to resume."""
        self._held = False
        self.dispatch()
        if self._end_due:
            self._end_due = False
            self.carrier_ended()

    def retire(self) -> None:
        """Close the carrier as soon as the other end has all of it."""
        self._retired = True
        if self._end_seen:
            self.carrier.close()

    def drop(self) -> None:
        """End the carrier at once and tell no more of what comes by it."""
        self._failed = True
        self.carrier.abort()

    def _fail(self, error: NetError) -> None:
        self.drop()
        self.owner.line_failed(self, error)
