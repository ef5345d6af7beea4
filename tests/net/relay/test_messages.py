from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.errors import LimitError, PeerError, ProtocolError
from net.relay.messages import (
    MAX_MESSAGE,
    Accept,
    Connect,
    Decline,
    Done,
    Incoming,
    Item,
    Limits,
    Message,
    MessageReader,
    Ping,
    Pong,
    Ready,
    Refused,
    Request,
    Reserve,
    Reserved,
    decode_message,
    encode_message,
)

KEY, TOKEN, LIMITS = bytes(range(32)), bytes(16), Limits(1, 2, 3, 4)
EVERY: list[Message] = [
    Reserve(),
    Reserved(LIMITS),
    Connect(KEY),
    Incoming(TOKEN, KEY),
    Accept(TOKEN),
    Decline(TOKEN),
    Ready(LIMITS),
    Refused(3, "all 64 circuits are taken"),
    Ping(2**32 - 1),
    Pong(0),
    Request(1, 2, bytes(640)),
    Item(1, b"x"),
    Done(1, 20, 0, ""),
]


@pytest.mark.parametrize("message", EVERY, ids=lambda m: type(m).__name__)
def test_it_comes_back_whole_and_byte_by_byte(message: Message) -> None:
    data = encode_message(message)
    assert list(MessageReader().receive(data + data)) == [message, message]
    reader = MessageReader()
    assert [m for byte in data for m in reader.receive(bytes([byte]))] == [message]


@pytest.mark.parametrize("message", EVERY, ids=lambda m: type(m).__name__)
def test_what_is_cut_short_is_no_message(message: Message) -> None:
    body = encode_message(message)[2:]
    for end in range(len(body)):
        with pytest.raises(ProtocolError):
            decode_message(body[:end])


def test_a_newer_peer_is_understood_as_far_as_it_goes() -> None:
    assert decode_message(msgspec.msgpack.encode([13, b"new"])) is None
    assert decode_message(msgspec.msgpack.encode([8, 7, "more"])) == Ping(7)


def test_nothing_large_is_waited_for() -> None:
    limit = MAX_MESSAGE.to_bytes(2, "little")
    assert not list(MessageReader().receive(limit))
    with pytest.raises(LimitError, match="1025 bytes, limit 1024"):
        list(MessageReader().receive((MAX_MESSAGE + 1).to_bytes(2, "little")))


@pytest.mark.parametrize("message", [Connect(KEY[1:]), Accept(TOKEN + b"x"), Refused(0, "x" * 161)])
def test_fields_have_their_bounds(message: Message) -> None:
    with pytest.raises(ProtocolError):
        decode_message(encode_message(message)[2:])


def test_what_stands_behind_a_message_is_kept_for_others() -> None:
    reader = MessageReader()
    for message in reader.receive(encode_message(Ready(LIMITS)) + b"\xff\xffnot a message"):
        assert message == Ready(LIMITS)
        break
    assert reader.rest() == b"\xff\xffnot a message"
    assert reader.rest() == b""


@given(st.binary(max_size=200))
def test_only_peer_errors_come_out(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        decode_message(data)
    with contextlib.suppress(PeerError):
        list(MessageReader().receive(data))
