"""What local discovery hashes: the key of a network, its multicast groups, a datagram's seal.

Whoever knows a network's secret can seal and check; the open network's secret is empty, so
there the seal only tells our datagrams from noise, at 2 us each.
Specified in docs/spec/lan.md, section 2. Knows byte strings only.
"""

from __future__ import annotations

from blake3 import blake3

NETWORK_CONTEXT = b"feedlog v1 lan network"
GROUP_CONTEXT = b"feedlog v1 lan group"
SEAL_CONTEXT = b"feedlog v1 lan datagram"

SEAL_SIZE = 16


def network_key(secret: bytes) -> bytes:
    """Return the key of the network with this secret; the open network's secret is empty."""
    return blake3(NETWORK_CONTEXT + secret).digest()


def groups(key: bytes) -> tuple[bytes, bytes]:
    """Return the packed IPv4 and IPv6 multicast groups of a network.

    239.192/14 is for an organisation's own use (RFC 2365); ff15 is transient and of site scope,
    for which a host sends from an address that others can connect to, where it has one.
    """
    digest = blake3(GROUP_CONTEXT, key=key).digest(6)
    return bytes((239, 192)) + digest[:2], b"\xff\x15" + bytes(8) + digest


def seal(key: bytes, body: bytes) -> bytes:
    """Return the code that only members of the network can make for a datagram's other bytes."""
    return blake3(SEAL_CONTEXT + body, key=key).digest(SEAL_SIZE)
