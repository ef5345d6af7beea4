"""The hash of Noise by the standard library, against the package's own."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st
from noise.backends.default.hashes import (  # type: ignore[import-untyped]  # no types
    BLAKE2bHash,
    hmac_hash,
)
from noise.connection import NoiseConnection  # type: ignore[import-untyped]  # no types

from net.noise.primitives import BACKEND, BLOCK_SIZE, Blake2b, hmac_blake2b

THEIRS = BLAKE2bHash()


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
