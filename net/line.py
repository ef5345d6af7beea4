"""A line: one carrier with the Noise session that runs over it.

What a secure stream reads from and writes to. A stream has one line, and two while it
moves from one carrier to another (`net.moving`): then it writes on the new one already
and reads what the old one still brings.

    carrier -> Line.data_received -> session -> LineOwner.line_received

Invariant: after the first fault of the peer its bytes are dropped, and the owner is told
once that the line is lost, last of all calls.
Must not know what the bytes mean, or which of its owner's lines it is.
"""

from __future__ import annotations

from typing import Protocol

from net.carriers.base import Carrier
from net.errors import NetError, PeerError
from net.noise import DataReceived, Established, NoiseSession, PeerIdentified, StreamEnded


class LineOwner(Protocol):
    """What a line tells. No call is awaited."""

    def line_identified(self, peer: PeerIdentified) -> None:
        """Learn who wants to be accepted; nothing is read until reading is resumed."""

    def line_established(self, peer: Established) -> None:
        """Learn that the handshake is done."""

    def line_received(self, data: bytes) -> None:
        """Take the plaintext of one record."""

    def line_ended(self) -> None:
        """Learn that the peer has ended its direction."""

    def line_failed(self, error: NetError) -> None:
        """Learn what the peer did wrong, or that the line was cut; the carrier is aborted."""

    def line_lost(self, line: Line, error: Exception | None) -> None:
        """Learn that the carrier is gone."""

    def line_paused(self, line: Line) -> None:
        """Learn that the carrier has enough to send."""

    def line_resumed(self, line: Line) -> None:
        """Learn that the carrier has room."""

    def flush(self) -> None:
        """Hand what was written meanwhile to the carrier."""


class Line:
    """The receiver of one carrier."""

    def __init__(self, carrier: Carrier, session: NoiseSession, owner: LineOwner) -> None:
        self.carrier = carrier
        self.session = session
        self.owner = owner
        self._failed = False

    def data_received(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes of the carrier."""
        if self._failed:
            return
        try:
            self.session.receive_data(data)
        except PeerError as error:
            self.dispatch()
            self._fail(error)
        else:
            self.dispatch()

    def carrier_ended(self) -> None:
        """Learn that the carrier carries no more to us."""
        if not self._failed:
            try:
                self.session.receive_end()
            except NetError as error:
                self._fail(error)

    def carrier_lost(self, error: Exception | None) -> None:
        """Learn that the carrier is gone."""
        self._failed = True
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
                    owner.line_ended()
        owner.flush()

    def _fail(self, error: NetError) -> None:
        self._failed = True
        self.carrier.abort()
        self.owner.line_failed(error)
