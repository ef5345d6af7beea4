"""The Noise handshake, message by message and without I/O.

An adapter of the `noiseprotocol` package. IK when the initiator knows whom it wants,
XX otherwise; the first byte on the wire says which, and so does the prologue. Each
message is length-prefixed. What the package raises on bad input (half a dozen
foreign classes) leaves here as `HandshakeError`.

    side       pattern   sends and receives
    initiator  IK        -> 1, <- 2, done
    responder  IK        -> 1, PeerIdentified, accept(), <- 2, done
    initiator  XX        -> 1, <- 2, PeerIdentified, accept(), -> 3, done
    responder  XX        -> 1, <- 2, -> 3, PeerIdentified, accept(), done

Invariant: nothing about the peer is believed before Noise has authenticated it, and
a side that is asked who it is answers only to a peer that completed a key exchange.
Must not know sockets, clocks or records. Specified in docs/spec/stream.md, section 2.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from noise.connection import Keypair, NoiseConnection  # type: ignore[import-untyped]  # no types

from feedlog.keys import KeyPair
from net.errors import HandshakeError
from net.hashing import prologue
from net.noise.identity import (
    Identity,
    check_identity,
    make_identity,
    static_private_key,
    static_public_key,
)
from net.noise.primitives import BACKEND

PATTERN_IK = 0x11
PATTERN_XX = 0x12
"""First byte of a stream: version 1 in the high half, the pattern in the low half."""

NAMES = {
    PATTERN_IK: b"Noise_IK_25519_ChaChaPoly_BLAKE2b",
    PATTERN_XX: b"Noise_XX_25519_ChaChaPoly_BLAKE2b",
}

MAX_HANDSHAKE_MESSAGE = 1024
"""Bytes. The largest we make has 813 (IK 1 with 512 extra); more is never buffered."""

LENGTH_SIZE = 2


def _authentic(step: Callable[[bytes], bytearray], data: bytes) -> bytes:
    """Run one step of the package; the classes that it raises depend on what was wrong.

    A bad tag is InvalidTag, a point of low order ValueError, a short message
    NoiseValueError or IndexError; the package documents no common base.
    """
    try:
        return bytes(step(data))
    except Exception as error:
        raise HandshakeError(f"handshake message is not authentic: {error!r}") from error


class State(enum.Enum):
    """Where a handshake stands."""

    AWAIT_PATTERN = "await pattern"
    AWAIT_FIRST = "await first"
    AWAIT_SECOND = "await second"
    AWAIT_THIRD = "await third"
    DECIDE = "decide"
    DONE = "done"
    FAILED = "failed"


TRANSITIONS = {
    State.AWAIT_PATTERN: {State.AWAIT_FIRST},
    State.AWAIT_FIRST: {State.DECIDE, State.AWAIT_THIRD},
    State.AWAIT_SECOND: {State.DECIDE, State.DONE},
    State.AWAIT_THIRD: {State.DECIDE},
    State.DECIDE: {State.DONE},
    State.DONE: set(),
    State.FAILED: set(),
}
"""Legal successors; every state but DONE may also become FAILED."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished handshake leaves behind."""

    identity: Identity
    handshake_hash: bytes
    send_key: bytes = field(repr=False)
    receive_key: bytes = field(repr=False)


class Handshake:
    """One side of one handshake.

    `receive_data` takes bytes and returns those that belong to the records behind
    the handshake; `data_to_send` gives what to send; `peer` is set when the peer
    has identified itself, and `result` when all is done.
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
        if remote_key is not None and not initiator:
            raise ValueError("only an initiator chooses its peer")
        self.initiator = initiator
        self.protocol = protocol
        self.peer: Identity | None = None
        self.result: Result | None = None
        self.state = State.AWAIT_SECOND if initiator else State.AWAIT_PATTERN
        self._key_pair = key_pair
        self._remote_key = remote_key
        self._extra = extra
        self._binding = binding
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._pattern = 0
        if initiator:
            self._begin(PATTERN_XX if remote_key is None else PATTERN_IK)
            self._outgoing.append(self._pattern)
            self._write(identified=self._pattern == PATTERN_IK)

    @property
    def knows_peer(self) -> bool:
        """Whether this side chose its peer (IK initiator), so that no decision is asked."""
        return self._remote_key is not None

    def settled(self) -> bool:
        """Whether the peer has nothing more to say in this handshake."""
        return self.state in {State.DECIDE, State.DONE}

    @property
    def pattern(self) -> int:
        """The pattern byte; 0 until it is known."""
        return self._pattern

    def receive_data(self, data: bytes | memoryview) -> bytes:
        """Take bytes of the peer; return what follows the handshake.

        Raises `HandshakeError`, after which the handshake stays failed.
        """
        if self.settled():
            return bytes(data)
        if self.state is State.FAILED:
            raise HandshakeError("the handshake has failed")
        self._incoming += data
        try:
            self._parse()
        except HandshakeError:
            self._become(State.FAILED)
            self._incoming.clear()
            self._outgoing.clear()
            raise
        if not self.settled():
            return b""
        rest = bytes(self._incoming)
        self._incoming.clear()
        return rest

    def data_to_send(self) -> bytes:
        """Return, and forget, the bytes to send now."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def accept(self, extra: bytes = b"") -> None:
        """Agree to talk with `peer`; `extra` travels to it where a message is still due."""
        if self.state is not State.DECIDE:
            raise RuntimeError(f"nothing to accept while the handshake is: {self.state.value}")
        if extra:
            self._extra = extra
        if self.initiator or self._pattern == PATTERN_IK:
            self._write(identified=True)
        self._finish()

    def _become(self, state: State) -> None:
        assert state is State.FAILED or state in TRANSITIONS[self.state], (self.state, state)
        self.state = state

    def _begin(self, pattern: int) -> None:
        self._pattern = pattern
        noise = NoiseConnection.from_name(NAMES[pattern], backend=BACKEND)
        if self.initiator:
            noise.set_as_initiator()
        else:
            noise.set_as_responder()
        noise.set_prologue(prologue(pattern, self._binding))
        noise.set_keypair_from_private_bytes(Keypair.STATIC, static_private_key(self._key_pair))
        if self._remote_key is not None:
            noise.set_keypair_from_public_bytes(
                Keypair.REMOTE_STATIC, static_public_key(self._remote_key)
            )
        noise.start_handshake()
        self._noise = noise
        # The connection drops its state when it finishes; the peer's static key is in it.
        self._handshake_state = noise.noise_protocol.handshake_state
        self._symmetric_state = noise.noise_protocol.symmetric_state

    def _transcript(self) -> bytes:
        return bytes(self._symmetric_state.h)

    def _parse(self) -> None:
        if self.state is State.AWAIT_PATTERN:
            if not self._incoming:
                return
            pattern = self._incoming[0]
            if pattern not in NAMES:
                raise HandshakeError(f"stream begins with byte {pattern:#04x}: not a handshake")
            del self._incoming[0]
            self._begin(pattern)
            self._become(State.AWAIT_FIRST)
        while not self.settled():
            message = self._next_message()
            if message is None:
                return
            self._read(message)

    def _next_message(self) -> bytes | None:
        if len(self._incoming) < LENGTH_SIZE:
            return None
        length = int.from_bytes(self._incoming[:LENGTH_SIZE], "little")
        if length > MAX_HANDSHAKE_MESSAGE:
            raise HandshakeError(
                f"handshake message has {length} bytes, limit {MAX_HANDSHAKE_MESSAGE}"
            )
        end = LENGTH_SIZE + length
        if len(self._incoming) < end:
            return None
        message = bytes(self._incoming[LENGTH_SIZE:end])
        del self._incoming[:end]
        return message

    def _read(self, message: bytes) -> None:
        transcript = self._transcript()
        payload = _authentic(self._noise.read_message, message)
        if self.state is State.AWAIT_FIRST and self._pattern == PATTERN_XX:
            self._write(identified=True)
            self._become(State.AWAIT_THIRD)
            return
        identity = check_identity(
            payload,
            initiator=not self.initiator,
            transcript=transcript,
            static_key=bytes(self._handshake_state.rs.public_bytes),
            wanted=self._remote_key,
        )
        self.peer = identity
        if not self.knows_peer:
            if not self.initiator:
                self.protocol = identity.protocol
            self._become(State.DECIDE)
        else:
            self._finish()

    def _write(self, *, identified: bool) -> None:
        payload = b""
        if identified:
            payload = make_identity(
                self._key_pair,
                initiator=self.initiator,
                transcript=self._transcript(),
                static_key=self._handshake_state.s.public_bytes,
                protocol=self.protocol if self.initiator else "",
                extra=self._extra,
            )
        message = _authentic(self._noise.write_message, payload)
        self._outgoing += len(message).to_bytes(LENGTH_SIZE, "little")
        self._outgoing += message

    def _finish(self) -> None:
        assert self.peer is not None, "finished without a peer"
        protocol = self._noise.noise_protocol
        self.result = Result(
            identity=self.peer,
            handshake_hash=bytes(self._noise.get_handshake_hash()),
            send_key=bytes(protocol.cipher_state_encrypt.k),
            receive_key=bytes(protocol.cipher_state_decrypt.k),
        )
        self._become(State.DONE)
        # Ephemeral keys must not outlive the handshake, or there is no forward secrecy.
        del self._noise, self._handshake_state, self._symmetric_state
