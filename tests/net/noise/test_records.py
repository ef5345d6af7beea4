from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.errors import ProtocolError
from net.noise.records import (
    HEADER,
    HEADER_SIZE,
    MAX_NONCE,
    MAX_PLAINTEXT,
    TAG_SIZE,
    RecordOpener,
    RecordSealer,
)

KEY = bytes(range(32))


def sealed(*messages: bytes, close: bool = True) -> bytes:
    sealer = RecordSealer(KEY)
    parts = [part for message in messages for part in sealer.seal(message)]
    return b"".join(parts + (sealer.seal_close() if close else []))


def opened(opener: RecordOpener, data: bytes) -> bytes:
    return b"".join(opener.open(data))


@given(
    st.lists(st.integers(0, 200), max_size=20),
    st.lists(st.integers(1, 100), min_size=1),
)
def test_any_cutting_gives_the_same_plaintext(sizes: list[int], cuts: list[int]) -> None:
    messages = [bytes([index]) * size for index, size in enumerate(sizes)]
    data, opener, received = sealed(*messages), RecordOpener(KEY), b""
    position = 0
    for turn in range(len(data)):
        step = cuts[turn % len(cuts)]
        received += opened(opener, data[position : position + step])
        position += step
        if position >= len(data):
            break
    assert received == b"".join(messages)
    assert opener.closed
    assert opener.buffered == 0


@pytest.mark.parametrize("size", [MAX_PLAINTEXT - 1, MAX_PLAINTEXT, MAX_PLAINTEXT + 1, 300_000])
def test_large_data_becomes_full_records(size: int) -> None:
    data = bytes(size)
    parts = RecordSealer(KEY).seal(data)
    assert len(parts) == 2 * -(-size // MAX_PLAINTEXT)
    assert opened(RecordOpener(KEY), b"".join(parts)) == data


def test_views_and_bytearrays_are_read_too() -> None:
    record = sealed(b"hello", close=False)
    assert opened(RecordOpener(KEY), bytearray(record)) == b"hello"  # type: ignore[arg-type]  # on purpose
    assert b"".join(RecordOpener(KEY).open(memoryview(record))) == b"hello"


def test_an_empty_record_is_one() -> None:
    record = b"".join(RecordSealer(KEY).seal_empty())
    assert len(record) == HEADER_SIZE + TAG_SIZE
    assert list(RecordOpener(KEY).open(record)) == [b""]
    assert RecordSealer(KEY).seal(b"") == []


@given(st.data())
def test_a_changed_bit_anywhere_is_found(data: st.DataObject) -> None:
    records = bytearray(sealed(b"one", b"two", b"three"))
    position = data.draw(st.integers(0, len(records) - 1))
    records[position] ^= 1 << data.draw(st.integers(0, 7))
    opener = RecordOpener(KEY)
    try:
        received = opened(opener, bytes(records))
    except ProtocolError:
        return
    # A longer size makes the last record wait for bytes that never come.
    assert not opener.closed
    assert received in {b"", b"one", b"onetwo", b"onetwothree"}


def test_records_repeated_lost_or_swapped_are_found() -> None:
    first, second = sealed(b"1", close=False), sealed(b"1", b"2", close=False)[20:]
    for wrong in (first + first, second, second + first):
        with pytest.raises(ProtocolError, match="not authentic"):
            opened(RecordOpener(KEY), wrong)


def test_a_header_alone_says_too_small_or_unknown() -> None:
    with pytest.raises(ProtocolError, match="15 bytes, less than its tag"):
        opened(RecordOpener(KEY), HEADER.pack(0, TAG_SIZE - 1))
    with pytest.raises(ProtocolError, match="record type 3"):
        opened(RecordOpener(KEY), HEADER.pack(3, 100))


def test_no_more_than_one_record_is_buffered() -> None:
    opener = RecordOpener(KEY)
    assert opened(opener, HEADER.pack(0, 65535)) == b""
    assert opened(opener, bytes(65534)) == b""
    assert opener.buffered == HEADER_SIZE + 65534
    with pytest.raises(ProtocolError, match="not authentic"):
        opened(opener, bytes(1))


def test_nothing_follows_the_last_record() -> None:
    sealer, opener = RecordSealer(KEY), RecordOpener(KEY)
    opened(opener, b"".join(sealer.seal_close()))
    with pytest.raises(RuntimeError, match="last record"):
        sealer.seal(b"x")
    sealer.closed = False
    with pytest.raises(ProtocolError, match="after the last"):
        opened(opener, b"".join(sealer.seal(b"x")))


def test_a_last_record_with_data_is_wrong() -> None:
    sealer = RecordSealer(KEY)
    parts: list[bytes] = []
    sealer._seal(1, b"data", parts)
    with pytest.raises(ProtocolError, match="carries data"):
        opened(RecordOpener(KEY), b"".join(parts))


def test_the_reserved_nonce_is_never_used() -> None:
    sealer, opener = RecordSealer(KEY), RecordOpener(KEY)
    sealer._nonce = opener._nonce = MAX_NONCE - 1
    record = b"".join(sealer.seal(b"last"))
    assert opened(opener, record) == b"last"
    with pytest.raises(RuntimeError, match="at most"):
        sealer.seal(b"one too many")
    with pytest.raises(ProtocolError, match="more than"):
        opened(opener, record)


@given(st.lists(st.binary(max_size=50), max_size=5), st.integers(1, 40))
def test_moved_is_a_last_record_of_its_own_kind(pieces_sent: list[bytes], cut: int) -> None:
    sealer, opener = RecordSealer(KEY), RecordOpener(KEY)
    wire = b"".join(part for piece in pieces_sent for part in sealer.seal(piece))
    wire += b"".join(sealer.seal_moved())
    assert sealer.closed
    with pytest.raises(RuntimeError, match="the last record has been sealed"):
        sealer.seal(b"more")
    received = b"".join(
        plaintext
        for start in range(0, len(wire), cut)
        for plaintext in opener.open(wire[start : start + cut])
    )
    assert received == b"".join(pieces_sent)
    assert opener.closed
    assert opener.moved
    with pytest.raises(ProtocolError, match="record after the last one"):
        list(opener.open(wire[-19:]))
