"""The bytes of the messages, and what they refuse."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.errors import DecodeError
from net.replicate import messages
from net.replicate.messages import (
    Cancel,
    Data,
    Have,
    Info,
    Message,
    NoData,
    Request,
    Want,
    decode,
    encode,
    pack_runs,
    unpack_runs,
)
from net.replicate.spans import Spans

EXAMPLES: list[Message] = [
    Info(1, 0, 0),
    Info(1, 2**32 - 1, 2**40, False, ("trie",)),
    Want(0, 2**40),
    Have(0, 100, (0, 10, 5, 85)),
    Request(1, 0, 100, 100, (3, 1)),
    Request(2**32 - 1, 0, 0, 0, (), (1, 2), 77, (5,), ("trie", b"key"), True),
    NoData(7, messages.CURRENT),
    Cancel(7),
]

spans = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000))).map(Spans)


def raw(*fields: object) -> bytes:
    return b"\0" + msgspec.msgpack.encode(fields)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_what_is_encoded_is_decoded(message: Message) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_every_truncation_is_refused(message: Message) -> None:
    encoded = encode(message)
    for stop in range(len(encoded)):
        with pytest.raises(DecodeError):
            decode(encoded[:stop])


def test_data_is_a_header_and_a_proof() -> None:
    encoded = encode(Data(258, b"proof", last=True))
    assert encoded == b"\x01\x02\x01\x00\x00\x01proof"
    message = decode(encoded)
    assert isinstance(message, Data)
    assert (message.id, bytes(message.proof), message.last) == (258, b"proof", True)
    with pytest.raises(DecodeError):
        decode(encoded[:6])


@given(spans, st.integers(0, 50))
def test_runs_name_the_same_blocks(blocks: Spans, start: int) -> None:
    blocks.remove(0, start)
    assert Spans(unpack_runs(pack_runs(blocks, start), start)) == blocks


@pytest.mark.parametrize(
    "data",
    [
        raw(0, 1, 0, 2**40 + 1),
        raw(0, 0, 0, 0),
        raw(0, 1, -1, 0),
        raw(1, 5, 5),
        raw(1, 6, 5),
        raw(2, 0, 10, [0]),
        raw(2, 0, 10, [0, 0]),
        raw(2, 0, 10, [0, 1, 0, 1]),
        raw(2, 0, 10, [0, 11]),
        raw(2, 0, 10, [0, 1] * 5000),
        raw(3, 0, 0, 0, 0),
        raw(3, 1, 0, 5, 6),
        raw(3, 1, 0, 0, 0, [0, 2**16 + 1]),
        raw(3, 1, 0, 0, 0, [], [], None, [], ["x" * 33, b""]),
        raw(3, 1, 0, 0, 0, [], [], None, [], ["x", bytes(9000)]),
        raw(4, 1, "x" * 33),
        raw(0),
        raw(),
        b"\0" + msgspec.msgpack.encode({"a": 1}),
        b"\0\xc1",
        b"",
    ],
)
def test_what_is_out_of_bounds_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


def test_what_a_newer_peer_says_is_survived() -> None:
    assert decode(raw(6, "a", "new", "message")) is None
    assert decode(b"\x02anything") is None
    assert decode(raw(0, 2, 0, 5, True, [], "a new field")) == Info(2, 0, 5)
    assert decode(raw(4, 1, "a new reason")) == NoData(1, "a new reason")
