"""Values: what is signed, and that nothing else passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.errors import DecodeError
from feedlog.keys import KeyPair
from net.dht.hashing import value_signable, value_topic
from net.dht.value_records import (
    HEADER,
    MAX_SALT,
    MAX_VALUE,
    MAX_VALUE_RECORD,
    parse_value,
    sign_value,
)

KEY = KeyPair.from_seed(bytes(range(32)))


@given(
    st.binary(max_size=MAX_VALUE),
    st.binary(max_size=MAX_SALT),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
)
def test_round_trip(content: bytes, salt: bytes, seq: int, expiry: int) -> None:
    value = sign_value(KEY, content, salt=salt, seq=seq, expiry=expiry)
    assert parse_value(value.raw) == value
    assert (value.value, value.salt, value.seq, value.expiry) == (content, salt, seq, expiry)
    assert value.topic == value_topic(KEY.public_key, salt)
    assert len(value.raw) <= MAX_VALUE_RECORD


def test_each_truncation_and_each_flipped_bit_is_refused() -> None:
    raw = sign_value(KEY, b"value", salt=b"salt", seq=1, expiry=2).raw
    for size in range(len(raw)):
        with pytest.raises(DecodeError):
            parse_value(raw[:size])
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecodeError):
            parse_value(bytes(flipped))
    with pytest.raises(DecodeError):
        parse_value(raw + b"\x00")


@given(st.binary(min_size=100, max_size=MAX_VALUE_RECORD + 1))
def test_any_bytes_raise_nothing_but_decode_errors(data: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_value(b"\x01" + data[1:])


def test_limits() -> None:
    full = sign_value(KEY, bytes(MAX_VALUE), salt=bytes(MAX_SALT), seq=1, expiry=2)
    assert len(full.raw) == MAX_VALUE_RECORD == 660
    with pytest.raises(ValueError, match="at most 512 bytes, not 513"):
        sign_value(KEY, bytes(513), salt=b"", seq=1, expiry=2)
    with pytest.raises(ValueError, match="at most 32 bytes, not 33"):
        sign_value(KEY, b"", salt=bytes(33), seq=1, expiry=2)
    for seq in (-1, 2**63):
        with pytest.raises(ValueError, match=r"0\.\.2\*\*63-1"):
            sign_value(KEY, b"", salt=b"", seq=seq, expiry=2)


def test_a_number_that_no_request_can_name_is_refused() -> None:
    """Else an owner with other software could put what nobody can replace with a `cas`."""
    for seq, good in ((2**63 - 1, True), (2**63, False), (2**64 - 1, False)):
        body = HEADER.pack(1, KEY.public_key, seq, 2, 0, 0)
        raw = body + KEY.sign(value_signable(body))
        if good:
            assert parse_value(raw).seq == seq
        else:
            with pytest.raises(DecodeError, match=f"seq {seq}, more than"):
                parse_value(raw)


def test_one_renews_another_when_it_says_the_same_for_longer() -> None:
    first = sign_value(KEY, b"value", salt=b"", seq=1, expiry=2)
    assert sign_value(KEY, b"value", salt=b"", seq=1, expiry=3).renews(first)
    assert not first.renews(first)
    assert not sign_value(KEY, b"other", salt=b"", seq=1, expiry=3).renews(first)
    assert not sign_value(KEY, b"value", salt=b"", seq=2, expiry=3).renews(first)
