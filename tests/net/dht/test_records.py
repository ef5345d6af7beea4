"""Announcements: what is signed, and that nothing else passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.errors import DecodeError
from feedlog.keys import KeyPair
from net.addresses import Address
from net.dht.records import (
    MAX_ADDRESSES,
    MAX_RECORD_SIZE,
    parse_announcement,
    sign_announcement,
)

KEY_PAIR = KeyPair.from_seed(bytes(range(32)))
TOPIC = bytes(range(20))
V6 = ("2a00::1", 65535)

addresses = st.lists(
    st.tuples(
        st.ip_addresses().map(lambda ip: str(getattr(ip, "ipv4_mapped", None) or ip)),
        st.integers(1, 65535),
    ),
    max_size=MAX_ADDRESSES,
)
u64 = st.integers(0, 2**64 - 1)


@given(st.binary(min_size=20, max_size=20), addresses, u64, u64)
def test_round_trip(topic: bytes, places: list[Address], seq: int, expiry: int) -> None:
    record = sign_announcement(KEY_PAIR, topic, places, seq=seq, expiry=expiry)
    assert parse_announcement(record.raw) == record
    assert len(record.raw) <= MAX_RECORD_SIZE
    assert record.withdrawn == (not places)


def test_each_truncation_and_each_flipped_bit_is_refused() -> None:
    raw = sign_announcement(KEY_PAIR, TOPIC, [("1.2.3.4", 5), V6], seq=1, expiry=2).raw
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
    with pytest.raises(ValueError, match="holds 8 addresses, not 9"):
        sign_announcement(KEY_PAIR, TOPIC, [V6] * 9, seq=1, expiry=2)
    for port in (0, 65536, -1):
        with pytest.raises(ValueError, match=r"1\.\.65535"):
            sign_announcement(KEY_PAIR, TOPIC, [("1.2.3.4", port)], seq=1, expiry=2)
    with pytest.raises(ValueError, match="20 bytes, not 32"):
        sign_announcement(KEY_PAIR, bytes(32), [V6], seq=1, expiry=2)
