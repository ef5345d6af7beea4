"""An announcement: who offers a topic, and at which addresses, signed and expiring.

    offset  size  field
         0     1  version, 1
         1    32  public key of the announcer (Ed25519)
        33    20  topic
        53     8  seq, unsigned: a higher one replaces a lower one of the same key and topic
        61     8  expiry, Unix seconds
        69     1  number of addresses n, 0..8; none withdraws the announcement
        70     -  n addresses: 1 byte size (6 or 18), then the address
         -    64  signature of all the bytes before it

Integers are in network order. What was signed is verified as it was received: nothing
is encoded again. Specified in docs/spec/dht.md, section 4.

Knows bytes and keys. Must not know who stores a record or for how long it asks.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from feedlog.errors import DecodeError
from feedlog.keys import SIGNATURE_SIZE, KeyPair, verify
from net.addresses import Address, pack_address, unpack_address
from net.dht.hashing import TOPIC_SIZE, announcement_signable

VERSION = 1
HEADER = struct.Struct(">B32s20sQQB")
assert HEADER.size == 70

MAX_ADDRESSES = 8
"""As many as one machine has reason to offer: two families, a few interfaces, one public."""

MAX_RECORD_SIZE = HEADER.size + MAX_ADDRESSES * 19 + SIGNATURE_SIZE
assert MAX_RECORD_SIZE == 286

MAX_LIFETIME = 3600
"""Seconds that a record may lie in the future: what a network forgets about a dead peer by then."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A verified announcement and the bytes that it came in."""

    public_key: bytes
    topic: bytes
    seq: int
    expiry: int
    addresses: tuple[Address, ...]
    raw: bytes

    @property
    def withdrawn(self) -> bool:
        """Whether the announcer has taken its announcement back."""
        return not self.addresses


def sign_announcement(
    key_pair: KeyPair, topic: bytes, addresses: Sequence[Address], *, seq: int, expiry: int
) -> Announcement:
    """Make an announcement; raises `ValueError` for what does not fit into one."""
    if len(topic) != TOPIC_SIZE:
        raise ValueError(f"a topic has {TOPIC_SIZE} bytes, not {len(topic)}")
    if len(addresses) > MAX_ADDRESSES:
        raise ValueError(f"an announcement holds {MAX_ADDRESSES} addresses, not {len(addresses)}")
    if any(not 1 <= port <= 65535 for _, port in addresses):
        raise ValueError(f"a port lies in 1..65535: {list(addresses)}")
    body = HEADER.pack(VERSION, key_pair.public_key, topic, seq, expiry, len(addresses))
    for address in addresses:
        packed = pack_address(address)
        body += bytes([len(packed)]) + packed
    raw = body + key_pair.sign(announcement_signable(body))
    return Announcement(key_pair.public_key, topic, seq, expiry, tuple(addresses), raw)


def parse_announcement(raw: bytes) -> Announcement:
    """Read and verify an announcement; raises `DecodeError` and nothing else."""
    if not HEADER.size + SIGNATURE_SIZE <= len(raw) <= MAX_RECORD_SIZE:
        raise DecodeError("announcement", len(raw), "its size lies outside 134..286 bytes")
    version, public_key, topic, seq, expiry, count = HEADER.unpack_from(raw)
    if version != VERSION:
        raise DecodeError("announcement", 0, f"version {version}, expected {VERSION}")
    if count > MAX_ADDRESSES:
        raise DecodeError("announcement", 69, f"{count} addresses, at most {MAX_ADDRESSES}")
    addresses = []
    offset, end = HEADER.size, len(raw) - SIGNATURE_SIZE
    for _ in range(count):
        size = raw[offset]  # never past the record: the signature lies behind `end`
        offset += 1
        if size not in (6, 18) or offset + size > end:
            raise DecodeError("announcement", offset, "an address is cut short")
        addresses.append(unpack_address(raw[offset : offset + size]))
        offset += size
    if offset != end:
        raise DecodeError("announcement", offset, f"{end - offset} bytes too many")
    if any(port == 0 for _, port in addresses):
        raise DecodeError("announcement", HEADER.size, "an address with port 0")
    if not verify(public_key, announcement_signable(raw[:end]), raw[end:]):
        raise DecodeError("announcement", end, "the signature does not match")
    return Announcement(public_key, topic, seq, expiry, tuple(addresses), raw)
