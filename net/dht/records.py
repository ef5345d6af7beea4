"""An announcement: who offers a topic, and at which addresses, signed and expiring.

    offset  size  field
         0     1  version, 1
         1    32  public key of the announcer (Ed25519)
        33    20  topic
        53     8  seq, unsigned: a higher one replaces a lower one of the same key and topic
        61     8  expiry, Unix seconds
        69     1  number of entries n, 0..8; none withdraws the announcement
        70     -  n entries: 1 byte size, then an address (6 or 18) or a relay (38 or 50)
         -    64  signature of all the bytes before it

A relay is its public key and its address; relays come behind the addresses, at most 2.
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
from net.addresses import PACKED_SIZES, Address, RelayAddress, pack_address, unpack_address
from net.dht.hashing import announcement_signable
from net.discovery import check_topic

VERSION = 1
HEADER = struct.Struct(">B32s20sQQB")
assert HEADER.size == 70

MAX_ADDRESSES = 8
"""As many as one machine has reason to offer: two families, a few interfaces, one public."""

MAX_RELAYS = 2
"""One may vanish before the record is renewed."""

RELAY_KEY_SIZE = 32
RELAY_SIZES = tuple(RELAY_KEY_SIZE + size for size in PACKED_SIZES)

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
    relays: tuple[RelayAddress, ...]
    raw: bytes

    @property
    def withdrawn(self) -> bool:
        """Whether the announcer has taken its announcement back."""
        return not self.addresses and not self.relays

    def renews(self, _other: Announcement) -> bool:
        """Tell whether this says the same for longer: never, each has a seq of its own."""
        return False


def fitting(addresses: Sequence[Address], relays: Sequence[RelayAddress]) -> tuple[Address, ...]:
    """Return the first of the addresses, as many as a record holds beside these relays.

    Raises `ValueError` when there are more of either than a record may hold.
    """
    if len(addresses) > MAX_ADDRESSES:
        raise ValueError(f"an announcement has 0..{MAX_ADDRESSES} addresses, not {len(addresses)}")
    if len(relays) > MAX_RELAYS:
        raise ValueError(f"an announcement has 0..{MAX_RELAYS} relays, not {len(relays)}")
    room = MAX_RECORD_SIZE - HEADER.size - SIGNATURE_SIZE
    room -= sum(len(_pack_entry(relay)) for relay in relays)
    chosen: list[Address] = []
    for address in addresses[: MAX_ADDRESSES - len(relays)]:
        room -= len(_pack_entry(address))
        if room < 0:
            break
        chosen.append(address)
    return tuple(chosen)


def _pack_entry(entry: Address | RelayAddress) -> bytes:
    if isinstance(entry, RelayAddress):
        if len(entry.public_key) != RELAY_KEY_SIZE:
            raise ValueError(
                f"a relay's key has {RELAY_KEY_SIZE} bytes, not {len(entry.public_key)}"
            )
        packed = entry.public_key + pack_address(entry.address)
    else:
        packed = pack_address(entry)
    return bytes([len(packed)]) + packed


def sign_announcement(
    key_pair: KeyPair,
    topic: bytes,
    addresses: Sequence[Address],
    relays: Sequence[RelayAddress] = (),
    *,
    seq: int,
    expiry: int,
) -> Announcement:
    """Make an announcement; raises `ValueError` for what does not fit into one."""
    check_topic(topic)
    places = [*addresses, *(relay.address for relay in relays)]
    if any(not 1 <= port <= 65535 for _, port in places):
        raise ValueError(f"a port lies in 1..65535: {places}")
    if fitting(addresses, relays) != tuple(addresses):
        raise ValueError(
            f"{len(addresses)} addresses and {len(relays)} relays exceed {MAX_RECORD_SIZE} bytes"
        )
    entries: list[Address | RelayAddress] = [*addresses, *relays]
    body = HEADER.pack(VERSION, key_pair.public_key, topic, seq, expiry, len(entries))
    body += b"".join(_pack_entry(entry) for entry in entries)
    raw = body + key_pair.sign(announcement_signable(body))
    return Announcement(
        key_pair.public_key, topic, seq, expiry, tuple(addresses), tuple(relays), raw
    )


def parse_announcement(raw: bytes) -> Announcement:
    """Read and verify an announcement; raises `DecodeError` and nothing else."""
    if not HEADER.size + SIGNATURE_SIZE <= len(raw) <= MAX_RECORD_SIZE:
        raise DecodeError("announcement", len(raw), "its size lies outside 134..286 bytes")
    version, public_key, topic, seq, expiry, count = HEADER.unpack_from(raw)
    if version != VERSION:
        raise DecodeError("announcement", 0, f"version {version}, expected {VERSION}")
    if count > MAX_ADDRESSES:
        raise DecodeError("announcement", 69, f"{count} entries, at most {MAX_ADDRESSES}")
    end = len(raw) - SIGNATURE_SIZE
    addresses, relays = _parse_entries(raw, end, count)
    if not verify(public_key, announcement_signable(raw[:end]), raw[end:]):
        raise DecodeError("announcement", end, "the signature does not match")
    return Announcement(public_key, topic, seq, expiry, addresses, relays, raw)


def _parse_entries(
    raw: bytes, end: int, count: int
) -> tuple[tuple[Address, ...], tuple[RelayAddress, ...]]:
    addresses: list[Address] = []
    relays: list[RelayAddress] = []
    offset = HEADER.size
    for _ in range(count):
        size = raw[offset]  # never past the record: the signature lies behind `end`
        offset += 1
        if size not in (*PACKED_SIZES, *RELAY_SIZES) or offset + size > end:
            raise DecodeError("announcement", offset, "an entry is cut short")
        entry = raw[offset : offset + size]
        offset += size
        if size in RELAY_SIZES:
            address = unpack_address(entry[RELAY_KEY_SIZE:])
            relays.append(RelayAddress(entry[:RELAY_KEY_SIZE], address))
        elif relays:
            raise DecodeError("announcement", offset, "an address behind a relay")
        else:
            address = unpack_address(entry)
            addresses.append(address)
        if address[1] == 0:
            raise DecodeError("announcement", offset, "an address with port 0")
    if len(relays) > MAX_RELAYS:
        raise DecodeError("announcement", offset, f"{len(relays)} relays, at most {MAX_RELAYS}")
    if offset != end:
        raise DecodeError("announcement", offset, f"{end - offset} bytes too many")
    return tuple(addresses), tuple(relays)
