"""Every byte string that feedlog hashes or signs, built in one place.

The tree uses the preimages of Hypercore 10 and 11 with the hash function as a
parameter, so that with BLAKE2b-256 the same code gives Hypercore's tree hashes
(tests/vectors/hypercore_tree.json). Everything outside the tree is BLAKE3, each
use under a context of its own. Specified in docs/spec/feed.md, section 2.

Knows byte strings only. Must not know tree indexes, storage or keys' meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Protocol

from blake3 import blake3

HASH_SIZE = 32

LEAF = b"\x00"
PARENT = b"\x01"
TREE = b"\x02"

HEAD_CONTEXT = b"feedlog signed head v1\x00\x00"
MANIFEST_CONTEXT = "feedlog v1 feed key from manifest"
DISCOVERY_CONTEXT = b"feedlog v1 discovery key"
KEY_PAIR_CONTEXT = "feedlog v1 seed of a named key pair"
FEED_SEED_CONTEXT = "feedlog v1 seed of a named feed"
NAMESPACE_CONTEXT = "feedlog v1 secret of a namespace"

assert len(HEAD_CONTEXT) == 24


class Hash(Protocol):
    """What hashlib and its like make of bytes."""

    def digest(self) -> bytes:
        """Return the hash: 32 bytes of every suite here."""


@dataclass(frozen=True, slots=True)
class HashSuite:
    """A hash function for trees, under the number by which manifests name it."""

    number: int
    name: str
    new: Callable[[bytes], Hash]
    """Hash any bytes."""

    def digest(self, data: bytes) -> bytes:
        """Map any bytes to 32 bytes."""
        return self.new(data).digest()

    def leaf(self, block: bytes) -> bytes:
        """Hash one block: `H(0 || u64le size || block)`."""
        return self.digest(LEAF + len(block).to_bytes(8, "little") + block)

    def parent(self, size: int, left: bytes, right: bytes) -> bytes:
        """Hash two subtrees: `H(1 || u64le size of both || left || right)`."""
        return self.digest(PARENT + size.to_bytes(8, "little") + left + right)

    def tree(self, roots: Iterable[bytes]) -> bytes:
        """Hash the roots from left to right, as `described_root` gives them: `H(2 || roots)`."""
        return self.new(TREE + b"".join(roots)).digest()


BLAKE3 = HashSuite(1, "blake3", blake3)
BLAKE2B = HashSuite(2, "blake2b", partial(blake2b, digest_size=HASH_SIZE))
SUITES = {suite.name: suite for suite in (BLAKE3, BLAKE2B)}
SUITES_BY_NUMBER = {suite.number: suite for suite in SUITES.values()}


def described_root(index: int, size: int, node_hash: bytes) -> bytes:
    """Return what a tree's hash says of one of its roots: `hash || u64le index || u64le size`."""
    return node_hash + (size << 64 | index).to_bytes(16, "little")


def head_signable(feed_key: bytes, tree_hash: bytes, length: int, fork: int) -> bytes:
    """Return the 104 bytes that a writer signs for a head.

    `context(24) || feed key(32) || tree hash(32) || u64le length || u64le fork`.
    """
    return (
        HEAD_CONTEXT
        + feed_key
        + tree_hash
        + length.to_bytes(8, "little")
        + fork.to_bytes(8, "little")
    )


def manifest_key(manifest: bytes) -> bytes:
    """Return the feed key (32 bytes) of an encoded manifest."""
    return blake3(manifest, derive_key_context=MANIFEST_CONTEXT).digest()


def discovery_key(feed_key: bytes) -> bytes:
    """Return the 32 bytes under which a feed is announced.

    They name the feed to those who hold its key, and tell the key to nobody.
    """
    return blake3(DISCOVERY_CONTEXT, key=feed_key).digest()


def key_pair_seed(secret: bytes, name: str) -> bytes:
    """Return the Ed25519 seed (32 bytes) of a named key pair of a store."""
    return blake3(secret + name.encode(), derive_key_context=KEY_PAIR_CONTEXT).digest()


def feed_seed(secret: bytes, name: str) -> bytes:
    """Return the Ed25519 seed (32 bytes) of the writer of a named feed of a store."""
    return blake3(secret + name.encode(), derive_key_context=FEED_SEED_CONTEXT).digest()


def namespace_secret(secret: bytes, name: str) -> bytes:
    """Return the secret (32 bytes) of a namespace in a store, or in another namespace.

    It stands for the store's own in what the names below it derive.
    """
    return blake3(secret + name.encode(), derive_key_context=NAMESPACE_CONTEXT).digest()
