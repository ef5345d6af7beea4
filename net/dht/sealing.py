"""A network of one's own: datagrams that only holders of its key can make or read.

    offset  size  field
         0     1  tag 0x10, as of every datagram of the DHT
         1     1  kind 0x02: sealed
         2    24  nonce, random
        26     -  XChaCha20-Poly1305 of an ordinary datagram without its tag, 16 bytes longer

Invariant: `open` returns what `seal` was given under the same network key, or raises
`DecodeError`; who has no key learns sizes and times, and draws no answer with what it makes.
Specified in docs/spec/dht.md, section 12. Must not know what the datagrams say.
"""

from __future__ import annotations

from random import Random

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from feedlog.errors import DecodeError
from net.dht.datagrams import DHT_TAG
from net.dht.hashing import sealing_key
from net.dht.messages import MAX_DATAGRAM

NETWORK_KEY_SIZE = 32
SEALED = 0x02
NONCE_SIZE = 24
HEAD = bytes((DHT_TAG, SEALED))
OVERHEAD = 1 + NONCE_SIZE + 16
"""Bytes that a sealed datagram is longer."""


class Seal:
    """Seals and opens the datagrams of one network."""

    def __init__(self, network_key: bytes, rng: Random) -> None:
        if len(network_key) != NETWORK_KEY_SIZE:
            raise ValueError(f"a network key has {NETWORK_KEY_SIZE} bytes, not {len(network_key)}")
        self._key = sealing_key(network_key)
        self._rng = rng

    def seal(self, datagram: bytes) -> bytes:
        """Return what to send in place of a datagram."""
        nonce = self._rng.randbytes(NONCE_SIZE)
        return (
            HEAD
            + nonce
            + crypto_aead_xchacha20poly1305_ietf_encrypt(datagram[1:], HEAD, nonce, self._key)
        )

    def open(self, data: bytes) -> bytes:
        """Return the datagram that was sealed; raises `DecodeError`."""
        if data[:2] != HEAD or not len(HEAD) + NONCE_SIZE + 16 < len(data) <= MAX_DATAGRAM:
            raise DecodeError("sealed dht datagram", 0, f"not sealed, or {len(data)} bytes long")
        nonce, sealed = data[2 : 2 + NONCE_SIZE], data[2 + NONCE_SIZE :]
        try:
            inner = crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, HEAD, nonce, self._key)
        except CryptoError:
            raise DecodeError("sealed dht datagram", 2, "not of this network") from None
        return HEAD[:1] + inner
