"""What must be read of a QUIC datagram before a connection is there to read it.

The connection id that it is for (RFC 8999), whether it may open a connection, and the
Retry by which somebody who wants to open one is asked to prove his address without
anything being kept about him:

    long header   u8 1t ttxxxx || u32 version || u8 n || dcid || u8 n || scid || ...
    Initial       ... || varint || token || ...
    short header  u8 01xxxxxx || dcid (8 bytes, ours have no other size) || ...
    Retry token   mac (16 bytes) || original dcid

Invariant: returns None for what is malformed, and never raises.
Must not know connections or sockets. Specified in docs/spec/stream.md, section 5.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import NamedTuple

from qh3.quic.packet import encode_quic_retry

from net.addresses import Address, pack_address
from net.carriers.hashing import RETRY_MAC_SIZE, retry_mac

QUIC_BYTES = (*range(0x40, 0x80), *range(0xC0, 0x100))
"""First bytes of QUIC datagrams: the bit 0x40 is fixed."""
LONG_HEADER = 0x80
INITIAL = 0xC0
VERSION = 1

CONNECTION_ID_SIZE = 8
MIN_INITIAL_ID = 8
MAX_CONNECTION_ID = 20
MIN_INITIAL = 1200
"""Bytes of a datagram that may open a connection (RFC 9000, 14.1): an answer is smaller."""

RETRY_EPOCH = 10.0
"""Seconds; a token is good for one to two epochs, which is several round trips."""


class FirstFlight(NamedTuple):
    """What an Initial packet says before it is decrypted."""

    destination: bytes
    source: bytes
    token: bytes


def destination(data: bytes, start: int = 0) -> bytes | None:
    """Return the connection id that the datagram at `start` is for."""
    if len(data) <= start:
        return None
    if not data[start] & LONG_HEADER:
        cid = data[start + 1 : start + 1 + CONNECTION_ID_SIZE]
        return cid if len(cid) == CONNECTION_ID_SIZE else None
    if len(data) < start + 6:
        return None
    size = data[start + 5]
    cid = data[start + 6 : start + 6 + size]
    return cid if len(cid) == size <= MAX_CONNECTION_ID else None


def first_flight(data: bytes) -> FirstFlight | None:
    """Read a datagram that may open a connection."""
    if len(data) < MIN_INITIAL or data[0] & 0xF0 != INITIAL:
        return None
    if int.from_bytes(data[1:5], "big") != VERSION:
        return None
    cid = destination(data)
    if cid is None or len(cid) < MIN_INITIAL_ID:
        return None
    at = 6 + len(cid)
    source = data[at + 1 : at + 1 + data[at]]
    if len(source) != data[at] or len(source) > MAX_CONNECTION_ID:
        return None
    at += 1 + len(source)
    width = 1 << (data[at] >> 6)
    size = int.from_bytes(data[at : at + width], "big") & ((1 << (8 * width - 2)) - 1)
    at += width
    token = data[at : at + size]
    return FirstFlight(cid, source, token) if len(token) == size else None


class Retries:
    """Asks for proofs of address and checks them. `secret` is 32 random bytes."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def ask(self, flight: FirstFlight, source: bytes, address: Address, now: float) -> bytes:
        """Return the Retry packet that answers a first flight; `source` is a fresh id."""
        mac = self._mac(int(now // RETRY_EPOCH), address, source, flight.destination)
        return encode_quic_retry(
            version=VERSION,
            source_cid=source,
            destination_cid=flight.source,
            original_destination_cid=flight.destination,
            retry_token=mac + flight.destination,
        )

    def check(self, flight: FirstFlight, address: Address, now: float) -> bytes | None:
        """Return the id of the first attempt where the token proves the address."""
        mac, original = flight.token[:RETRY_MAC_SIZE], flight.token[RETRY_MAC_SIZE:]
        if not MIN_INITIAL_ID <= len(original) <= MAX_CONNECTION_ID:
            return None
        epoch = int(now // RETRY_EPOCH)
        for e in (epoch, max(0, epoch - 1)):
            if compare_digest(mac, self._mac(e, address, flight.destination, original)):
                return original
        return None

    def _mac(self, epoch: int, address: Address, source: bytes, original: bytes) -> bytes:
        return retry_mac(self._secret, epoch, pack_address(address), source, original)
