"""Announcements: what is signed, and that nothing else passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.errors import DecodeError
from feedlog.keys import KeyPair
from net.addresses import Address, RelayAddress
from net.dht.hashing import announcement_signable
from net.dht.records import (
    HEADER,
    MAX_ADDRESSES,
    MAX_RECORD_SIZE,
    MAX_RELAYS,
    fitting,
    parse_announcement,
    sign_announcement,
)

KEY_PAIR = KeyPair.from_seed(bytes(range(32)))
TOPIC = bytes(range(20))
V6 = ("2a00::1", 65535)
RELAY = RelayAddress(bytes(range(32, 64)), ("1.2.3.4", 5))
RELAY6 = RelayAddress(bytes(range(32, 64)), V6)

address = st.tuples(
    st.ip_addresses().map(lambda ip: str(getattr(ip, "ipv4_mapped", None) or ip)),
    st.integers(1, 65535),
)
addresses = st.lists(address, max_size=MAX_ADDRESSES)
keys = st.binary(min_size=32, max_size=32)
relays = st.lists(st.builds(RelayAddress, keys, address), max_size=MAX_RELAYS)
u64 = st.integers(0, 2**64 - 1)


@given(st.binary(min_size=20, max_size=20), addresses, relays, u64, u64)
def test_round_trip(
    topic: bytes, places: list[Address], waits: list[RelayAddress], seq: int, expiry: int
) -> None:
    chosen = fitting(places, waits)
    record = sign_announcement(KEY_PAIR, topic, chosen, waits, seq=seq, expiry=expiry)
    assert parse_announcement(record.raw) == record
    assert (record.addresses, record.relays) == (chosen, tuple(waits))
    assert len(record.raw) <= MAX_RECORD_SIZE
    assert record.withdrawn == (not places and not waits)


def test_each_truncation_and_each_flipped_bit_is_refused() -> None:
    raw = sign_announcement(KEY_PAIR, TOPIC, [("1.2.3.4", 5), V6], [RELAY], seq=1, expiry=2).raw
    for size in range(len(raw)):
        with pytest.raises(DecodeError):
            parse_announcement(raw[:size])
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecodeError):
            parse_announcement(bytes(flipped))
    with pytest.raises(DecodeError):
        parse_announcement(raw + b"\x00")


@given(st.binary(min_size=134, max_size=MAX_RECORD_SIZE + 1))
def test_any_bytes_raise_nothing_but_decode_errors(data: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_announcement(b"\x01" + data[1:])


def test_limits() -> None:
    record = sign_announcement(KEY_PAIR, TOPIC, [V6] * MAX_ADDRESSES, seq=1, expiry=2)
    assert len(record.raw) == MAX_RECORD_SIZE == 286
    with pytest.raises(ValueError, match=r"0\.\.8 addresses, not 9"):
        sign_announcement(KEY_PAIR, TOPIC, [V6] * 9, seq=1, expiry=2)
    for port in (0, 65536, -1):
        with pytest.raises(ValueError, match=r"1\.\.65535"):
            sign_announcement(KEY_PAIR, TOPIC, [("1.2.3.4", port)], seq=1, expiry=2)
    with pytest.raises(ValueError, match="20 bytes, not 32"):
        sign_announcement(KEY_PAIR, bytes(32), [V6], seq=1, expiry=2)


def test_relays_take_the_place_of_the_last_addresses() -> None:
    v4 = ("1.2.3.4", 5)
    assert fitting([v4] * 8, [RELAY] * 2) == (v4,) * 6
    assert fitting([V6] * 8, [RELAY6] * 2) == (V6,) * 2
    record = sign_announcement(KEY_PAIR, TOPIC, [V6] * 2, [RELAY6] * 2, seq=1, expiry=2)
    assert len(record.raw) == 274
    with pytest.raises(ValueError, match="3 addresses and 2 relays exceed 286 bytes"):
        sign_announcement(KEY_PAIR, TOPIC, [V6] * 3, [RELAY6] * 2, seq=1, expiry=2)
    with pytest.raises(ValueError, match=r"0\.\.2 relays, not 3"):
        sign_announcement(KEY_PAIR, TOPIC, [], [RELAY] * 3, seq=1, expiry=2)
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        sign_announcement(KEY_PAIR, TOPIC, [], [RelayAddress(bytes(31), V6)], seq=1, expiry=2)
    with pytest.raises(ValueError, match=r"1\.\.65535"):
        sign_announcement(
            KEY_PAIR, TOPIC, [], [RelayAddress(bytes(32), ("1.2.3.4", 0))], seq=1, expiry=2
        )


def entries(*entries: bytes) -> bytes:
    """A record with a good signature and these entries, whatever they are."""
    body = HEADER.pack(1, KEY_PAIR.public_key, TOPIC, 1, 2, len(entries))
    body += b"".join(bytes([len(entry)]) + entry for entry in entries)
    return body + KEY_PAIR.sign(announcement_signable(body))


def test_entries_are_addresses_and_then_at_most_two_relays() -> None:
    v4, relay = b"\x01\x02\x03\x04\x00\x05", RELAY.public_key + b"\x01\x02\x03\x04\x00\x05"
    assert parse_announcement(entries(v4, relay, relay)).relays == (RELAY, RELAY)
    for bad, why in (
        ((relay, v4), "an address behind a relay"),
        ((relay, relay, relay), "3 relays, at most 2"),
        ((v4[:4] + b"\0\0",), "port 0"),
        ((relay[:-2] + b"\0\0",), "port 0"),
        ((relay[:-1],), "cut short"),
    ):
        with pytest.raises(DecodeError, match=why):
            parse_announcement(entries(*bad))
