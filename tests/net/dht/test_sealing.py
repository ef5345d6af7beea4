"""Networks of one's own: sealed datagrams."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.errors import DecodeError
from net.dht.datagrams import DHT_TAG
from net.dht.messages import MAX_DATAGRAM
from net.dht.sealing import NETWORK_KEY_SIZE, OVERHEAD, Seal

KEY = bytes(range(NETWORK_KEY_SIZE))


@given(st.binary(min_size=2, max_size=MAX_DATAGRAM - OVERHEAD - 1))
def test_what_is_sealed_is_opened_and_says_nothing(data: bytes) -> None:
    datagram = bytes([DHT_TAG]) + data
    sealed = Seal(KEY, Random(1)).seal(datagram)
    assert len(sealed) == len(datagram) + OVERHEAD
    assert sealed[0] == DHT_TAG
    assert len(data) < 4 or data not in sealed
    assert Seal(KEY, Random(2)).open(sealed) == datagram


def test_no_two_are_alike() -> None:
    seal = Seal(KEY, Random(1))
    assert len({seal.seal(b"\x10hello") for _ in range(100)}) == 100


def test_what_was_changed_cut_or_sealed_with_another_key_is_refused() -> None:
    seal = Seal(KEY, Random(1))
    sealed = seal.seal(b"\x10hello")
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        for bad in (bytes(changed), sealed[:at]):
            with pytest.raises(DecodeError):
                seal.open(bad)
    for bad in (b"\x10\x00hello", sealed + bytes(MAX_DATAGRAM), sealed + b"\x00"):
        with pytest.raises(DecodeError):
            seal.open(bad)
    with pytest.raises(DecodeError, match="not of this network"):
        Seal(bytes(32), Random(1)).open(sealed)


def test_a_key_has_its_size() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 16"):
        Seal(bytes(16), Random(1))
