"""Every byte string that the network hashes or signs, built in one place.

Each use has a context of its own, so that nothing made for one purpose passes for
another. Specified in docs/spec/stream.md.

Knows byte strings only. Must not know sockets, streams or messages.
"""

from __future__ import annotations

from blake3 import blake3

IDENTITY_CONTEXT = b"feedlog v1 noise identity"
CAPABILITY_CONTEXT = b"feedlog v1 channel capability"
PROLOGUE_CONTEXT = b"feedlog v1 noise prologue"
MOVING_KEY_CONTEXT = b"feedlog v1 moving key"
MOVING_NAME_CONTEXT = b"feedlog v1 moving name"
MOVING_PROOF_CONTEXT = b"feedlog v1 moving proof"

INITIATOR = b"\x00"
RESPONDER = b"\x01"


def role(initiator: bool) -> bytes:
    """Return the byte that stands for a side, so that neither side's proof serves the other."""
    return INITIATOR if initiator else RESPONDER


def identity_signable(initiator: bool, transcript: bytes, static_key: bytes) -> bytes:
    """Return what an identity signs to claim its Noise static key in one handshake.

    `context || role || static key(32) || handshake hash before the message(64)`.
    """
    return IDENTITY_CONTEXT + role(initiator) + static_key + transcript


def prologue(pattern: int, binding: bytes) -> bytes:
    """Return the Noise prologue: `context || pattern byte || channel binding`."""
    return PROLOGUE_CONTEXT + bytes([pattern]) + binding


def capability(feed_key: bytes, handshake_hash: bytes, initiator: bool) -> bytes:
    """Return the proof (32 bytes) that one side of one stream holds a feed's key.

    Keyed with the feed key, and bound to the stream and to the side: it cannot be
    replayed on another stream nor sent back to the one who made it.
    """
    message = CAPABILITY_CONTEXT + role(initiator) + handshake_hash
    return blake3(message, key=feed_key).digest()


def moving_key(initiator_key: bytes, responder_key: bytes) -> bytes:
    """Return what only the two ends of a stream hold, from the keys of its two directions."""
    return blake3(MOVING_KEY_CONTEXT + initiator_key + responder_key).digest()


def moving_name(key: bytes) -> bytes:
    """Return the 16 bytes by which one end tells the other which stream shall move."""
    return blake3(MOVING_NAME_CONTEXT, key=key).digest(16)


def moving_proof(key: bytes, handshake_hash: bytes, initiator: bool) -> bytes:
    """Return one end's proof that a stream goes on over the one with that handshake hash.

    Bound to the new stream and to the side in the old one: no proof serves twice, nor back.
    """
    return blake3(MOVING_PROOF_CONTEXT + role(initiator) + handshake_hash, key=key).digest()
