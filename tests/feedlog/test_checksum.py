"""No single changed bit of a value, its checksum or its key passes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.checksum import CHECKSUM_SIZE, seal, seal_many, unseal
from feedlog.errors import CorruptError


@given(st.binary(min_size=1, max_size=16), st.binary(max_size=200))
def test_a_sealed_value_comes_back(key: bytes, value: bytes) -> None:
    sealed = seal(key, value)
    assert len(sealed) == len(value) + CHECKSUM_SIZE
    assert unseal(key, sealed) == value


@given(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=40))))
def test_many_are_sealed_as_one_is(entries: list[tuple[bytes, bytes]]) -> None:
    keys, values = [key for key, _ in entries], [value for _, value in entries]
    assert seal_many(keys, values) == [seal(key, value) for key, value in entries]


def test_the_specification_shows_these_bytes() -> None:
    sealed = seal(b"key", b"value").hex()
    assert sealed == "76616c7565" + "270fad57"
    assert f"`{sealed}`" in (Path(__file__).parents[2] / "docs/spec/store.md").read_text()


@given(st.binary(min_size=1, max_size=8), st.binary(max_size=40), st.data())
def test_a_flipped_bit_is_found(key: bytes, value: bytes, data: st.DataObject) -> None:
    stored = bytearray(key + seal(key, value))
    bit = data.draw(st.integers(0, 8 * len(stored) - 1))
    stored[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CorruptError, match="does not match its checksum"):
        unseal(bytes(stored[: len(key)]), bytes(stored[len(key) :]))


@pytest.mark.parametrize("size", range(CHECKSUM_SIZE))
def test_fewer_bytes_than_a_checksum_are_refused(size: int) -> None:
    with pytest.raises(CorruptError):
        unseal(b"key", bytes(size))
