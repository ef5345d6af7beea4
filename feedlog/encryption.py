"""Blocks that others can hold, prove and serve, but not read.

XChaCha20-Poly1305 with a random nonce of 24 bytes for each block, so that a
store restored from a backup that appends other data never reuses one. Feed,
index and fork are authenticated: a block cannot be moved. The tree is built over
what is stored here, hence a holder without the key verifies as anyone does.
Specified in docs/spec/feed.md, section 8.

    0   fork        u32 little-endian, the fork in which the block was appended
    4   nonce       24 bytes
    28  ciphertext  the block's size, then a tag of 16 bytes

The sole caller of libsodium's AEAD. Must not know where blocks are stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nacl import bindings
from nacl.exceptions import CryptoError

from feedlog.errors import CorruptError

KEY_SIZE = 32
FORK_SIZE = 4
NONCE_SIZE = 24
TAG_SIZE = 16
OVERHEAD = FORK_SIZE + NONCE_SIZE + TAG_SIZE


def check_encryption_key(key: bytes) -> None:
    """Raise `TypeError` or `ValueError` unless the key is 32 bytes: it is kept in the store."""
    if not isinstance(key, bytes):
        raise TypeError(f"an encryption key is bytes, not {type(key).__name__}")
    if len(key) != KEY_SIZE:
        raise ValueError(f"an encryption key has {KEY_SIZE} bytes, not {len(key)}")


@dataclass(frozen=True, slots=True)
class BlockCipher:
    """Encrypts the blocks of one feed under a key (32 bytes) that is not the feed's key."""

    feed_key: bytes
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raise `ValueError` for a key of another size."""
        check_encryption_key(self.secret)

    def _bound(self, index: int, fork: bytes) -> bytes:
        return self.feed_key + index.to_bytes(8, "little") + fork

    def encrypt(self, index: int, fork: int, block: bytes) -> bytes:
        """Return the envelope of a block: `OVERHEAD` bytes longer than the block."""
        nonce = bindings.randombytes(NONCE_SIZE)
        bound = fork.to_bytes(FORK_SIZE, "little")
        sealed: bytes = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
            block, self._bound(index, bound), nonce, self.secret
        )
        return bound + nonce + sealed

    def decrypt(self, index: int, envelope: bytes) -> bytes:
        """Return the block; raises `CorruptError` where the key or the place is wrong."""
        if len(envelope) < OVERHEAD:
            raise CorruptError(f"block {index} has {len(envelope)} bytes, too few to be encrypted")
        fork = envelope[:FORK_SIZE]
        nonce = envelope[FORK_SIZE : FORK_SIZE + NONCE_SIZE]
        try:
            block: bytes = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
                envelope[FORK_SIZE + NONCE_SIZE :], self._bound(index, fork), nonce, self.secret
            )
        except CryptoError:
            raise CorruptError(f"block {index} does not decrypt with this feed's key") from None
        return block
