"""What the carriers hash: a certificate for the handshake above, and a proof of address.

Each has its own purpose and key or form. Specified in docs/spec/stream.md, section 5.
Knows byte strings only.
"""

from __future__ import annotations

import hashlib

from blake3 import blake3

RETRY_CONTEXT = b"feedlog v1 quic retry"
RETRY_MAC_SIZE = 16


def certificate_binding(certificate: bytes) -> bytes:
    """Return what a stream over QUIC is bound to: SHA-256 of the server's certificate (DER)."""
    return hashlib.sha256(certificate).digest()


def retry_mac(secret: bytes, epoch: int, address: bytes, source: bytes, original: bytes) -> bytes:
    """Return what proves, within an epoch, that a Retry was received at an address.

    `source` is the connection id that the Retry chose, `original` the one before it.
    """
    parts = (address, source, original)
    data = RETRY_CONTEXT + epoch.to_bytes(8, "big") + b"".join(bytes([len(p)]) + p for p in parts)
    return blake3(data, key=secret).digest(RETRY_MAC_SIZE)
