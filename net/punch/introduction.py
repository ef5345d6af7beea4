"""How two peers exchange offers: one Noise handshake, whose two messages others carry.

    initiator               whoever carries                responder
    ask(remote_key)      -> first message ->                asked(message), answer(offer)
    finish(reply)        <- second message <-

Each message is one small byte string, so that a relay can bound it, and says nothing to who
carries it: the responder's key is known to the initiator, the offers are encrypted, and the
record keys, which nothing else uses, become the keys of the punch.

Invariant: an offer is believed only from the key that was asked for, or that `allow` would see
(`remote_key`). Specified in docs/spec/punch.md, section 3.
"""

from __future__ import annotations

from random import Random

from feedlog.errors import DecodeError
from feedlog.keys import KeyPair
from net.errors import HandshakeError
from net.noise.handshake import PATTERN_IK, Handshake
from net.punch.hashing import PunchKeys, punch_keys
from net.punch.messages import MAX_OFFER_SIZE, Offer, decode_offer, encode_offer
from net.punch.puncher import Puncher

PROTOCOL = "feedlog/punch/1"
"""The protocol that the initiator names: this handshake opens no stream."""

MAX_MESSAGE_SIZE = 512
"""Bytes of either message: 292 and the offer. A relay passes on no more."""
assert 320 + MAX_OFFER_SIZE <= MAX_MESSAGE_SIZE


class Introduction:
    """One side of the exchange; made by `ask` or `asked`."""

    def __init__(self, handshake: Handshake, *, initiator: bool) -> None:
        self._handshake = handshake
        self._mine: Offer | None = None
        self._theirs: Offer | None = None
        self.initiator = initiator
        self.message = b""
        """What is to be carried to the other side."""

    @classmethod
    def ask(cls, key_pair: KeyPair, remote_key: bytes, mine: Offer) -> Introduction:
        """Begin: `message` is for the owner of `remote_key`."""
        made = cls(
            Handshake(
                key_pair,
                initiator=True,
                remote_key=remote_key,
                protocol=PROTOCOL,
                extra=encode_offer(mine),
            ),
            initiator=True,
        )
        made._mine = mine
        made.message = made._handshake.data_to_send()
        return made

    @classmethod
    def asked(cls, key_pair: KeyPair, message: bytes) -> Introduction:
        """Take the message of an initiator: then `remote_key` says who it is, before any answer.

        Raises `HandshakeError`.
        """
        made = cls(Handshake(key_pair, initiator=False), initiator=False)
        if message[:1] != bytes([PATTERN_IK]):
            raise HandshakeError("an introduction is a handshake with a known key")
        made._read(message)
        if made._handshake.protocol != PROTOCOL:
            raise HandshakeError(f"the handshake is for {made._handshake.protocol!r}")
        return made

    def answer(self, mine: Offer) -> None:
        """Agree: `message` is for the initiator, and a `puncher` can be made."""
        if self.initiator or self._mine is not None:
            raise RuntimeError("only a responder answers, and once")
        self._mine = mine
        self._handshake.accept(encode_offer(mine))
        self.message = self._handshake.data_to_send()

    def finish(self, message: bytes) -> None:
        """Take the responder's answer; raises `HandshakeError`."""
        if not self.initiator or self._theirs is not None:
            raise RuntimeError("only an initiator is answered, and once")
        self._read(message)

    @property
    def remote_key(self) -> bytes:
        """The public key of the other side, proven by the handshake."""
        if self._handshake.peer is None:
            raise RuntimeError("the other side has not been heard yet")
        return self._handshake.peer.public_key

    @property
    def keys(self) -> PunchKeys:
        """The keys of the punch."""
        result = self._handshake.result
        if result is None:
            raise RuntimeError("the introduction is not over")
        return punch_keys(result.send_key, result.receive_key, result.handshake_hash)

    def puncher(self, *, rng: Random, secret: bytes, now: float) -> Puncher:
        """Return the puncher of this side, which begins now."""
        keys = self.keys
        assert self._mine is not None, "the handshake ends with both offers"
        assert self._theirs is not None, "the handshake ends with both offers"
        return Puncher(
            keys,
            self._mine,
            self._theirs,
            initiator=self.initiator,
            rng=rng,
            secret=secret,
            now=now,
        )

    def _read(self, message: bytes) -> None:
        if len(message) > MAX_MESSAGE_SIZE:
            raise HandshakeError(f"introduction of {len(message)} bytes, limit {MAX_MESSAGE_SIZE}")
        if self._handshake.receive_data(message):
            raise HandshakeError("bytes are left over behind an introduction")
        peer = self._handshake.peer
        if peer is None:
            raise HandshakeError("an introduction ends too early")
        try:
            self._theirs = decode_offer(peer.extra)
        except DecodeError as error:
            raise HandshakeError(f"an introduction without an offer: {error}") from error
