"""Keys for items of the Mainline DHT (BEP 44), made of topics and of identities.

Specified in docs/spec/mainline.md, section 2. Knows byte strings only.
"""

from __future__ import annotations

from hashlib import sha512

from blake3 import blake3

TOPIC_CONTEXT = b"feedlog v1 mainline topic"

PEER_SALT = b"feedlog"
"""Names the item under a peer's own key."""


def topic_seed(topic: bytes) -> bytes:
    """Return the seed of the key pair that all who know a topic write and read with.

    The nodes that hold the items see the public key, from which the topic cannot be told.
    """
    return blake3(TOPIC_CONTEXT + topic).digest()


def slot_salt(slot: int) -> bytes:
    """Return the salt that names one of the items under a topic's key."""
    return b"feedlog" + bytes([slot])


def expanded_secret(seed: bytes) -> bytes:
    """Return the 64 bytes that libtorrent wants for a seed: RFC 8032, 5.1.5, steps 1 and 2."""
    digest = bytearray(sha512(seed).digest())
    digest[0] &= 248
    digest[31] = digest[31] & 63 | 64
    return bytes(digest)
