"""Each preimage, written out once more by hand."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from blake3 import blake3

from feedlog import hashing
from feedlog.hashing import (
    BLAKE2B,
    BLAKE3,
    SUITES,
    SUITES_BY_NUMBER,
    HashSuite,
    described_root,
)

KEY = bytes(range(32))


def plain_blake3(data: bytes) -> bytes:
    return blake3(data).digest()


def plain_blake2b(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest()


@pytest.mark.parametrize(("suite", "digest"), [(BLAKE3, plain_blake3), (BLAKE2B, plain_blake2b)])
def test_the_tree(suite: HashSuite, digest: object) -> None:
    assert callable(digest)
    assert suite.leaf(b"abc") == digest(b"\0" + b"\3" + bytes(7) + b"abc")
    assert suite.leaf(b"") == digest(bytes(9))
    assert suite.parent(258, b"l" * 32, b"r" * 32) == digest(
        b"\1" + b"\2\1" + bytes(6) + b"l" * 32 + b"r" * 32
    )
    assert suite.tree([]) == digest(b"\2")
    roots = [described_root(1, 5, b"a" * 32), described_root(4, 6, b"b" * 32)]
    assert suite.tree(roots) == digest(
        b"\2"
        + (b"a" * 32 + b"\1" + bytes(7) + b"\5" + bytes(7))
        + (b"b" * 32 + b"\4" + bytes(7) + b"\6" + bytes(7))
    )


def test_what_a_head_signs() -> None:
    signable = hashing.head_signable(KEY, b"t" * 32, 258, 3)
    assert signable == (
        b"feedlog signed head v1\0\0" + KEY + b"t" * 32 + b"\2\1" + bytes(6) + b"\3" + bytes(7)
    )
    assert len(signable) == 104


def test_keys_and_seeds_have_contexts_of_their_own() -> None:
    def derived(context: str, data: bytes) -> bytes:
        return blake3(data, derive_key_context=context).digest()

    assert hashing.manifest_key(b"m") == derived("feedlog v1 feed key from manifest", b"m")
    assert hashing.discovery_key(KEY) == blake3(b"feedlog v1 discovery key", key=KEY).digest()
    assert hashing.feed_seed(KEY, "ä") == derived(
        "feedlog v1 seed of a named feed", KEY + b"\xc3\xa4"
    )
    assert hashing.namespace_secret(KEY, "n") == derived(
        "feedlog v1 secret of a namespace", KEY + b"n"
    )
    assert hashing.key_pair_seed(KEY, "n") == derived(
        "feedlog v1 seed of a named key pair", KEY + b"n"
    )


def test_suites_by_name_and_number() -> None:
    assert SUITES == {"blake3": BLAKE3, "blake2b": BLAKE2B}
    assert SUITES_BY_NUMBER == {1: BLAKE3, 2: BLAKE2B}
