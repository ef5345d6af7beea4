"""One secure stream: the handshake, then records. No I/O.

    receive_data(bytes)   data_to_send() -> bytes   next_event() -> Event | None

A replayed first message of IK opens no stream: the initiator's first record is empty
and proves that it holds the keys of *this* handshake, and the responder reports
`Established` only when it has opened one.

Invariant: after an error the session is dead and raises the same error for ever.
Must not know sockets, clocks or what the plaintext means.
Specified in docs/spec/stream.md, sections 2 and 3.
"""

from __future__ import annotations

from collections import deque

from feedlog.keys import KeyPair
from net.errors import ClosedError, HandshakeError, LimitError, PeerError
from net.hashing import moving_key
from net.noise.events import (
    DataReceived,
    Established,
    Event,
    PeerIdentified,
    StreamEnded,
    StreamMoved,
)
from net.noise.handshake import PATTERN_IK, Handshake
from net.noise.records import RecordOpener, RecordSealer

MAX_EARLY_DATA = 1 << 20
"""Bytes that a peer may send behind its handshake before it is accepted; an owner that
takes time to decide stops reading, so this is one carrier buffer, generously."""


class NoiseSession:
    """One side of one secure stream.

    `remote_key` makes an initiator (IK); `initiator=True` without it uses XX.
    `binding` are bytes that both ends know of the carrier, such as a certificate hash.
    """

    def __init__(
        self,
        key_pair: KeyPair,
        *,
        initiator: bool,
        remote_key: bytes | None = None,
        protocol: str = "",
        extra: bytes = b"",
        binding: bytes = b"",
    ) -> None:
        self.initiator = initiator
        self._handshake = Handshake(
            key_pair,
            initiator=initiator,
            remote_key=remote_key,
            protocol=protocol,
            extra=extra,
            binding=binding,
        )
        self._sealer: RecordSealer | None = None
        self._opener: RecordOpener | None = None
        self._established: Established | None = None
        self._early = bytearray()
        self._outgoing: list[bytes] = []
        self._events: deque[Event] = deque()
        self._failure: PeerError | None = None
        self._end_reported = False
        self._moving_key = b""
        self._flush_handshake()

    @property
    def established(self) -> Established | None:
        """Who the peer is and what the stream is called, once both are proven."""
        return self._established

    @property
    def ended(self) -> bool:
        """Whether the peer has ended its direction."""
        return self._opener is not None and self._opener.closed

    @property
    def send_ended(self) -> bool:
        """Whether we have ended our direction."""
        return self._sealer is not None and self._sealer.closed

    @property
    def moving_key(self) -> bytes:
        """32 bytes that only the two ends of this stream hold; see `net.secure.moving`."""
        assert self._moving_key, "asked for before the keys are there"
        return self._moving_key

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the carrier; they are not kept. Raises `PeerError` for bad ones."""
        if self._failure is not None:
            raise self._failure
        try:
            if self._opener is not None:
                self._open(data)
            else:
                self._shake(data)
        except PeerError as error:
            self._failure = error
            raise

    def receive_end(self) -> None:
        """Take the end of the carrier; raises unless the peer had announced it."""
        if self._failure is not None:
            raise self._failure
        if self._established is None:
            self._failure = HandshakeError(
                "the peer ended the handshake: it refused us, or it is no peer of ours"
            )
            raise self._failure
        if not self.ended:
            raise ClosedError("the connection was cut: bytes may be missing at the end")

    def next_event(self) -> Event | None:
        """Return the oldest event not yet returned."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        """Return, and forget, the bytes for the carrier."""
        outgoing, self._outgoing = self._outgoing, []
        return b"".join(outgoing)

    def accept(self, extra: bytes = b"") -> None:
        """Agree to talk with the peer that `PeerIdentified` named."""
        try:
            self._handshake.accept(extra)
            self._flush_handshake()
            self._start_records()
        except PeerError as error:
            self._failure = error
            raise

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Seal data for the peer; `data` is not kept."""
        if self._sealer is None:
            raise RuntimeError("the handshake is not finished")
        self._outgoing += self._sealer.seal(data)

    def send_end(self) -> None:
        """Tell the peer that no more data follows."""
        if self._sealer is None:
            raise RuntimeError("the handshake is not finished")
        self._outgoing += self._sealer.seal_close()

    def send_moved(self) -> None:
        """Tell the peer that our data goes on elsewhere."""
        if self._sealer is None:
            raise RuntimeError("the handshake is not finished")
        self._outgoing += self._sealer.seal_moved()

    def _flush_handshake(self) -> None:
        data = self._handshake.data_to_send()
        if data:
            self._outgoing.append(data)

    def _shake(self, data: bytes | bytearray | memoryview) -> None:
        undecided = self._handshake.peer is not None
        rest = self._handshake.receive_data(bytes(data))
        self._flush_handshake()
        if len(self._early) + len(rest) > MAX_EARLY_DATA:
            raise LimitError(
                f"more than {MAX_EARLY_DATA} bytes before the stream was accepted", MAX_EARLY_DATA
            )
        self._early += rest
        if self._handshake.result is not None:
            self._start_records()
        elif self._handshake.peer is not None and not undecided:
            peer = self._handshake.peer
            self._events.append(
                PeerIdentified(peer.public_key, self._handshake.protocol, peer.extra)
            )

    def _start_records(self) -> None:
        result = self._handshake.result
        assert result is not None, "records before the keys"
        self._sealer = RecordSealer(result.send_key)
        self._opener = RecordOpener(result.receive_key)
        keys = (result.send_key, result.receive_key)
        self._moving_key = moving_key(*(keys if self.initiator else keys[::-1]))
        replayable = self._handshake.pattern == PATTERN_IK
        if self.initiator and replayable:
            self._outgoing += self._sealer.seal_empty()
        if self.initiator or not replayable:
            self._establish()
        early, self._early = bytes(self._early), bytearray()
        if early:
            self._open(early)

    def _establish(self) -> None:
        if self._established is not None:
            return
        result = self._handshake.result
        assert result is not None, "established before the keys"
        self._established = Established(
            public_key=result.identity.public_key,
            protocol=self._handshake.protocol,
            extra=result.identity.extra,
            handshake_hash=result.handshake_hash,
        )
        self._events.append(self._established)

    def _open(self, data: bytes | bytearray | memoryview) -> None:
        assert self._opener is not None, "records before the keys"
        events = self._events
        for plaintext in self._opener.open(data):
            if self._established is None:
                self._establish()
            if plaintext:
                events.append(DataReceived(plaintext))
        if self._opener.closed and not self._end_reported:
            self._end_reported = True
            self._establish()
            self._events.append(StreamMoved() if self._opener.moved else StreamEnded())
