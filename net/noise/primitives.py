"""BLAKE2b and X25519 as Noise needs them: a backend of the `noiseprotocol` package.

The two sides of a handshake hash 14 times, make 30 HMACs, and make or load four key pairs. For each
hash the package makes an object of `cryptography`, which costs several times what the hashing
does; the standard library does not. For each key pair OpenSSL multiplies a base point like any
other; libsodium has a table for it and takes half as long (docs/adr/0016).

Must not know patterns or messages. The cipher is the package's own.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Self

from nacl import bindings
from noise.backends.default import DefaultNoiseBackend  # type: ignore[import-untyped]  # no types
from noise.functions.dh import DH  # type: ignore[import-untyped]  # no types
from noise.functions.hash import Hash  # type: ignore[import-untyped]  # no types
from noise.functions.keypair import KeyPair  # type: ignore[import-untyped]  # no types

BLOCK_SIZE = 128
HASH_SIZE = 64
"""Bytes (RFC 7693, section 2.1)."""

DH_SIZE = 32
"""Bytes of a key, and of a shared secret (RFC 7748, section 5)."""

_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def hmac_blake2b(key: bytes, data: bytes, algorithm: object = None) -> bytes:  # noqa: ARG001 - the package's signature
    """Return HMAC (RFC 2104) with BLAKE2b; a key of Noise is a hash or a shared secret."""
    assert len(key) <= BLOCK_SIZE, "a longer key would have to be hashed first"
    block = key.ljust(BLOCK_SIZE, b"\0")
    inner = blake2b(block.translate(_INNER) + data).digest()
    return blake2b(block.translate(_OUTER) + inner).digest()


class Blake2b(Hash):  # type: ignore[misc]  # the package has no types
    """The hash by its name in `NAMES`; `fn` is unused, for the HMAC has its own."""

    fn = None
    hashlen = HASH_SIZE
    blocklen = BLOCK_SIZE

    def hash(self, data: bytes) -> bytes:
        """Return the hash of some bytes."""
        return blake2b(data).digest()


class X25519Keys(KeyPair):  # type: ignore[misc]  # the package has no types
    """A key pair, or the public half of one; both halves are bytes."""

    @classmethod
    def from_private_bytes(cls, private_bytes: bytes) -> Self:
        """Make the key pair of 32 secret bytes; raises `ValueError` for another size."""
        _check_size(private_bytes)
        public = bindings.crypto_scalarmult_base(private_bytes)
        return cls(private_bytes, public, public)

    @classmethod
    def from_public_bytes(cls, public_bytes: bytes) -> Self:
        """Take the public key of somebody else; raises `ValueError` unless it has 32 bytes."""
        _check_size(public_bytes)
        return cls(None, public_bytes, public_bytes)


class X25519(DH):  # type: ignore[misc]  # the package has no types
    """The key exchange by its name in `NAMES`, "25519"."""

    klass = X25519Keys
    dhlen = DH_SIZE

    def generate_keypair(self) -> X25519Keys:
        """Make a key pair of the operating system's randomness."""
        return X25519Keys.from_private_bytes(bindings.randombytes(DH_SIZE))

    def dh(self, private_key: bytes, public_key: bytes) -> bytes:
        """Return the shared secret; raises `RuntimeError` for a point of low order."""
        shared: bytes = bindings.crypto_scalarmult(private_key, public_key)
        return shared


def _check_size(key: bytes) -> None:
    if len(key) != DH_SIZE:
        raise ValueError(f"a key has {DH_SIZE} bytes, not {len(key)}")


class Backend(DefaultNoiseBackend):  # type: ignore[misc]  # the package has no types
    """The package's primitives with this module's hash and key exchange."""

    def __init__(self) -> None:
        super().__init__()
        self.hashes = {"BLAKE2b": Blake2b}
        self.hmac = hmac_blake2b
        self.diffie_hellmans = {"25519": X25519}
        self.keypairs = {"25519": X25519Keys}


BACKEND = Backend()
