"""The hash and the key exchange of Noise, against the package's own and published vectors."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from noise.backends.default.diffie_hellmans import ED25519  # type: ignore[import-untyped]  # no types
from noise.backends.default.hashes import (  # type: ignore[import-untyped]  # no types
    BLAKE2bHash,
    hmac_hash,
)
from noise.backends.default.keypairs import KeyPair25519  # type: ignore[import-untyped]  # no types
from noise.connection import NoiseConnection  # type: ignore[import-untyped]  # no types

from net.noise.primitives import BACKEND, BLOCK_SIZE, X25519, Blake2b, X25519Keys, hmac_blake2b

THEIRS = BLAKE2bHash()
THEIR_DH = ED25519()

ALICE, BOB = (
    ("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
     "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
    ("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
     "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
)  # fmt: skip
SHARED = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
"""Private and public keys, and the secret that they share: RFC 7748, section 6.1."""

LOW_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
"""Points with which every private key shares zero, in all their encodings below 2**255."""


@given(st.binary(max_size=300))
def test_hashes_are_those_of_the_package(data: bytes) -> None:
    ours = Blake2b()
    assert ours.hash(data) == THEIRS.hash(data)
    assert (ours.hashlen, ours.blocklen) == (THEIRS.hashlen, THEIRS.blocklen)


@given(st.binary(min_size=1, max_size=BLOCK_SIZE), st.binary(max_size=300))
def test_the_hmac_is_that_of_the_package_and_of_the_standard_library(
    key: bytes, data: bytes
) -> None:
    ours = hmac_blake2b(key, data)
    assert ours == hmac_hash(key, data, THEIRS.fn) == hmac.digest(key, data, "blake2b")


def test_a_side_on_it_understands_one_on_the_package() -> None:
    name = b"Noise_NN_25519_ChaChaPoly_BLAKE2b"  # as ours, without static keys
    sides = []
    for initiator, backend in ((True, {"backend": BACKEND}), (False, {})):
        side = NoiseConnection.from_name(name, **backend)
        (side.set_as_initiator if initiator else side.set_as_responder)()
        side.start_handshake()
        sides.append(side)
    left, right = sides
    assert right.read_message(bytes(left.write_message(b"one"))) == b"one"
    assert left.read_message(bytes(right.write_message(b"two"))) == b"two"
    assert left.get_handshake_hash() == right.get_handshake_hash()
    assert right.decrypt(left.encrypt(b"three")) == b"three"


def test_keys_are_those_of_the_rfc() -> None:
    exchange = X25519()
    alice, bob = (X25519Keys.from_private_bytes(bytes.fromhex(one[0])) for one in (ALICE, BOB))
    assert (alice.public_bytes.hex(), bob.public_bytes.hex()) == (ALICE[1], BOB[1])
    assert exchange.dh(alice.private, bob.public).hex() == SHARED
    assert exchange.dh(bob.private, alice.public).hex() == SHARED


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
@example(bytes(32), b"\xff" * 32)
@example(bytes(32), bytes(32))
def test_shared_secrets_are_those_of_the_package(private: bytes, public: bytes) -> None:
    ours, theirs = X25519Keys.from_private_bytes(private), KeyPair25519.from_private_bytes(private)
    assert ours.public_bytes == theirs.public_bytes
    try:
        expected = THEIR_DH.dh(theirs.private, KeyPair25519.from_public_bytes(public).public)
    except ValueError:
        with pytest.raises(RuntimeError):
            X25519().dh(ours.private, public)
    else:
        assert X25519().dh(ours.private, X25519Keys.from_public_bytes(public).public) == expected


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_point_of_low_order_is_refused(point: str) -> None:
    keys = X25519().generate_keypair()
    with pytest.raises(RuntimeError):
        X25519().dh(keys.private, X25519Keys.from_public_bytes(bytes.fromhex(point)).public)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    for make in (X25519Keys.from_private_bytes, X25519Keys.from_public_bytes):
        with pytest.raises(ValueError, match=f"32 bytes, not {size}"):
            make(bytes(size))


def test_generated_keys_differ() -> None:
    assert X25519().generate_keypair().private != X25519().generate_keypair().private
