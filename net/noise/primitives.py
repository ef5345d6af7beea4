"""BLAKE2b as Noise needs it, by the standard library: a backend of the `noiseprotocol` package.

The two sides of a handshake hash 14 times and make 30 HMACs. For each the package makes an
object of `cryptography`, which costs several times what the hashing does.

Must not know patterns or messages. The key exchange and the cipher are the package's own.
"""

from __future__ import annotations

from hashlib import blake2b

from noise.backends.default import DefaultNoiseBackend  # type: ignore[import-untyped]  # no types
from noise.functions.hash import Hash  # type: ignore[import-untyped]  # no types

BLOCK_SIZE = 128
HASH_SIZE = 64
"""Bytes (RFC 7693, section 2.1)."""

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


class Backend(DefaultNoiseBackend):  # type: ignore[misc]  # the package has no types
    """The package's primitives with this module's hash."""

    def __init__(self) -> None:
        super().__init__()
        self.hashes = {"BLAKE2b": Blake2b}
        self.hmac = hmac_blake2b


BACKEND = Backend()
