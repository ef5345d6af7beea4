from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings

from feedlog.keys import KeyPair
from net.errors import HandshakeError
from net.noise import identity as module
from net.noise.identity import (
    MAX_EXTRA,
    MAX_PROTOCOL_NAME,
    Identity,
    check_identity,
    make_identity,
    static_private_key,
    static_public_key,
)
from tests.reference.wire import ALICE, BOB

TRANSCRIPT = bytes(64)
STATIC = static_public_key(ALICE.public_key)


def payload(initiator: bool = True, transcript: bytes = TRANSCRIPT) -> bytes:
    return make_identity(
        ALICE,
        initiator=initiator,
        transcript=transcript,
        static_key=STATIC,
        protocol="p",
        extra=b"e",
    )


def negative(public_key: bytes) -> bytes:
    """The other Ed25519 point that maps to the same X25519 key: -A."""
    return public_key[:31] + bytes([public_key[31] ^ 0x80])


def test_private_and_public_halves_belong_together() -> None:
    from_private = x25519_public(static_private_key(ALICE))
    assert from_private == static_public_key(ALICE.public_key)


def x25519_public(private: bytes) -> bytes:
    public: bytes = bindings.crypto_scalarmult_base(private)
    return public


def test_an_identity_is_read_as_it_was_made() -> None:
    identity = check_identity(payload(), initiator=True, transcript=TRANSCRIPT, static_key=STATIC)
    assert (identity.public_key, identity.protocol, identity.extra) == (ALICE.public_key, "p", b"e")


def test_the_negative_key_shares_the_static_key_and_is_refused() -> None:
    assert static_public_key(negative(ALICE.public_key)) == STATIC
    good = module._decode(payload())
    forged = module._encode(Identity(negative(ALICE.public_key), good.signature))
    with pytest.raises(HandshakeError, match="has not signed"):
        check_identity(forged, initiator=True, transcript=TRANSCRIPT, static_key=STATIC)


def test_who_is_wanted_is_taken_and_nobody_else() -> None:
    def check(wanted: bytes) -> Identity:
        return check_identity(
            payload(), initiator=True, transcript=TRANSCRIPT, static_key=STATIC, wanted=wanted
        )

    assert check(ALICE.public_key).public_key == ALICE.public_key
    for other in (negative(ALICE.public_key), BOB.public_key):
        with pytest.raises(HandshakeError, match="not the key that was asked for"):
            check(other)


def test_a_signature_holds_for_one_side_and_one_transcript_only() -> None:
    for made, initiator, transcript in (
        (payload(), False, TRANSCRIPT),
        (payload(), True, b"\x01" * 64),
        (payload(initiator=False), True, TRANSCRIPT),
    ):
        with pytest.raises(HandshakeError, match="has not signed"):
            check_identity(made, initiator=initiator, transcript=transcript, static_key=STATIC)


def test_somebody_elses_identity_does_not_fit_the_static_key() -> None:
    with pytest.raises(HandshakeError, match="does not belong"):
        check_identity(
            payload(),
            initiator=True,
            transcript=TRANSCRIPT,
            static_key=static_public_key(BOB.public_key),
        )


@pytest.mark.parametrize("bad", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32])
def test_a_key_that_is_no_point_is_refused(bad: bytes) -> None:
    with pytest.raises(HandshakeError, match="not a public key"):
        static_public_key(bad)
    forged = module._encode(Identity(bad, bytes(64)))
    with pytest.raises(HandshakeError, match="not a public key"):
        check_identity(forged, initiator=True, transcript=TRANSCRIPT, static_key=STATIC)


def test_fields_of_a_newer_peer_are_survived() -> None:
    good = msgspec.msgpack.decode(payload())
    newer = msgspec.msgpack.encode([*good, {"more": 1}])
    check_identity(newer, initiator=True, transcript=TRANSCRIPT, static_key=STATIC)


@given(st.binary(max_size=300))
def test_bytes_raise_only_handshake_errors(data: bytes) -> None:
    with pytest.raises(HandshakeError):
        check_identity(data, initiator=True, transcript=TRANSCRIPT, static_key=STATIC)


def test_every_truncation_is_refused() -> None:
    whole = payload()
    for size in range(len(whole)):
        with pytest.raises(HandshakeError):
            check_identity(whole[:size], initiator=True, transcript=TRANSCRIPT, static_key=STATIC)


def test_our_own_limits_are_kept() -> None:
    def make(protocol: str, extra: bytes) -> bytes:
        return make_identity(
            ALICE,
            initiator=True,
            transcript=TRANSCRIPT,
            static_key=STATIC,
            protocol=protocol,
            extra=extra,
        )

    make("p" * MAX_PROTOCOL_NAME, b"e" * MAX_EXTRA)
    with pytest.raises(ValueError, match="limit 64"):
        make("p" * (MAX_PROTOCOL_NAME + 1), b"")
    with pytest.raises(ValueError, match="limit 512"):
        make("", b"e" * (MAX_EXTRA + 1))


def test_any_key_pair_maps() -> None:
    for _ in range(20):
        pair = KeyPair.generate()
        assert x25519_public(static_private_key(pair)) == static_public_key(pair.public_key)
