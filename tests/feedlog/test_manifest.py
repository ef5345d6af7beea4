from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import DecodeError, KeyPair, Manifest
from feedlog.hashing import BLAKE2B, BLAKE3
from feedlog.manifest import MAX_SIGNERS

SIGNERS = tuple(KeyPair.from_seed(bytes([i]) * 32).public_key for i in range(MAX_SIGNERS + 1))
THREE = Manifest(SIGNERS[:3], quorum=2)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    count = draw(st.integers(1, MAX_SIGNERS))
    signers = draw(st.permutations(SIGNERS))[:count]
    quorum = draw(st.integers(1, count))
    return Manifest(tuple(signers), quorum, draw(st.sampled_from([BLAKE3, BLAKE2B])))


@given(manifests())
def test_there_and_back(manifest: Manifest) -> None:
    data = manifest.to_bytes()
    assert len(data) == 4 + 32 * len(manifest.signers)
    assert Manifest.from_bytes(data) == manifest


@given(manifests(), manifests())
def test_the_key_commits_to_every_part(one: Manifest, other: Manifest) -> None:
    assert len(one.key()) == 32
    assert (one.key() == other.key()) == (one == other)


def test_the_bytes() -> None:
    assert THREE.to_bytes() == b"\1\1\2\3" + b"".join(SIGNERS[:3])


def test_parts_that_make_no_manifest() -> None:
    for parts, message in (
        (((), 1), "1 to 32 signers, not 0"),
        ((SIGNERS, 1), "1 to 32 signers, not 33"),
        ((SIGNERS[:1] * 2, 1), "must be different"),
        (((bytes(31),), 1), "32 bytes, not 31"),
        ((SIGNERS[:2], 0), "a quorum of 0 of 2 is not possible"),
        ((SIGNERS[:2], 3), "a quorum of 3 of 2 is not possible"),
    ):
        signers, quorum = parts
        with pytest.raises(ValueError, match=message):
            Manifest(signers, quorum)


def test_bytes_that_make_no_manifest() -> None:
    good = THREE.to_bytes()
    for data, message in (
        (b"", "0 bytes are too few"),
        (good[:3], "3 bytes are too few"),
        (b"\2" + good[1:], "version 2 is not known"),
        (b"\1\x07" + good[2:], "hash suite 7 is not known"),
        (b"\1\1\0" + good[3:], "a quorum of 0 of 3"),
        (b"\1\1\4" + good[3:], "a quorum of 4 of 3"),
        (good[:-1], "99 bytes do not hold 3 signers"),
        (good + b"\0", "101 bytes do not hold 3 signers"),
        (b"\1\1\1\0", "1 to 32 signers, not 0"),
        (b"\1\1\1\x21" + b"".join(SIGNERS), "1 to 32 signers, not 33"),
        (b"\1\1\1\2" + SIGNERS[0] * 2, "must be different"),
    ):
        with pytest.raises(DecodeError, match=message):
            Manifest.from_bytes(data)


@given(st.binary(max_size=120))
def test_any_bytes_are_a_manifest_or_a_decode_error(data: bytes) -> None:
    for candidate in (data, b"\1\1\1\1" + data):
        with contextlib.suppress(DecodeError):
            assert Manifest.from_bytes(candidate).to_bytes() == candidate
