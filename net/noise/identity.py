"""How an Ed25519 identity takes part in a Noise handshake.

Peers are known by Ed25519 keys, Noise computes with X25519 keys. The static Noise
key is the identity's key mapped to the Montgomery curve, so whoever knows an
identity knows the static key to use with IK. The map is two to one: A and -A share
one static key. So each side sends its identity in the encrypted payload, the other
maps it and compares it with the static key that Noise has proven, and a signature
by the identity over the transcript settles which of the two it is.
Specified in docs/spec/stream.md, section 2.3.

The sole caller of the curve map. Must not know message patterns or framing.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError

from feedlog.keys import KeyPair, verify
from net.errors import HandshakeError
from net.hashing import identity_signable

MAX_PROTOCOL_NAME = 64
"""Characters of a protocol name."""
MAX_EXTRA = 512
"""Bytes for the layer above; with them every handshake message stays under 1024 bytes."""

Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class Identity(msgspec.Struct, array_like=True, frozen=True):
    """Payload of the handshake message by which a side makes itself known.

    A longer array from a newer peer is understood as far as it is known here.
    """

    public_key: Key
    signature: Signature
    protocol: Annotated[str, msgspec.Meta(max_length=MAX_PROTOCOL_NAME)] = ""
    extra: Annotated[bytes, msgspec.Meta(max_length=MAX_EXTRA)] = b""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Identity).decode


def static_private_key(key_pair: KeyPair) -> bytes:
    """Return the X25519 private key (32 bytes) of an identity."""
    secret: bytes = bindings.crypto_sign_ed25519_sk_to_curve25519(
        key_pair.seed + key_pair.public_key
    )
    return secret


def static_public_key(public_key: bytes) -> bytes:
    """Return the X25519 public key (32 bytes) of an identity.

    Raises `HandshakeError` for bytes that are not a point of the prime-order group. Others name
    such keys, also of themselves: some points outside of it have signatures that verify.
    """
    try:
        mapped: bytes = bindings.crypto_sign_ed25519_pk_to_curve25519(public_key)
    except (CryptoError, TypeError) as error:
        raise HandshakeError(f"not a public key: {public_key.hex()[:80]}") from error
    return mapped


def make_identity(
    key_pair: KeyPair,
    *,
    initiator: bool,
    transcript: bytes,
    static_key: bytes,
    protocol: str,
    extra: bytes,
) -> bytes:
    """Return the payload in which `key_pair` makes itself known, whose static key that is."""
    if len(protocol) > MAX_PROTOCOL_NAME:
        raise ValueError(f"protocol name has {len(protocol)} characters, limit {MAX_PROTOCOL_NAME}")
    if len(extra) > MAX_EXTRA:
        raise ValueError(f"extra has {len(extra)} bytes, limit {MAX_EXTRA}")
    signature = key_pair.sign(identity_signable(initiator, transcript, static_key))
    return _encode(Identity(key_pair.public_key, signature, protocol, extra))


def check_identity(
    payload: bytes,
    *,
    initiator: bool,
    transcript: bytes,
    static_key: bytes,
    wanted: bytes | None = None,
) -> Identity:
    """Return the identity in a peer's payload; `static_key` is what Noise has proven.

    `wanted` is the public key that was asked for, and of which that static key was made.
    Raises `HandshakeError` unless the identity parses, is the one that is wanted or maps to
    the static key, and has signed.
    """
    try:
        identity = _decode(payload)
    except msgspec.MsgspecError as error:
        raise HandshakeError(f"identity does not parse: {error}") from error
    except UnicodeDecodeError as error:
        raise HandshakeError("identity names its protocol in bytes that are not text") from error
    if wanted is None:
        _check_static_key(identity, static_key)
    elif identity.public_key != wanted:
        raise HandshakeError(
            f"peer is {identity.public_key.hex()[:16]}, not the key that was asked for"
        )
    signable = identity_signable(initiator, transcript, static_key)
    if not verify(identity.public_key, signable, identity.signature):
        raise HandshakeError(f"identity {identity.public_key.hex()[:16]} has not signed")
    return identity


def _check_static_key(identity: Identity, static_key: bytes) -> None:
    if static_public_key(identity.public_key) != static_key:
        raise HandshakeError(
            f"identity {identity.public_key.hex()[:16]} does not belong to the static key"
        )
