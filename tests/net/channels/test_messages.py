from __future__ import annotations

import contextlib
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.errors import DecodeError
from net.channels import messages
from net.channels.messages import (
    CONTROL,
    DATA,
    FRAME,
    MAX_BODY,
    MAX_CONTROL,
    FrameReader,
    clip,
    decode_control,
    encode_control,
)
from net.noise.records import MAX_PLAINTEXT

EXAMPLES: list[messages.Control] = [
    messages.Hello(1, 1, ("a", "b")),
    messages.Open(7, bytes(32), "feedlog/replicate/1", bytes(32), 1 << 18),
    messages.Reject(7, "busy"),
    messages.Close(2**32 - 1, "done"),
    messages.Credit(0, 2**31 - 1),
    messages.Ping(2**63 - 1),
    messages.Pong(0),
    messages.Goodbye("bye"),
]


def body_of(message: messages.Control) -> bytes:
    return encode_control(message)[FRAME.size :]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_there_and_back(message: messages.Control) -> None:
    frame = encode_control(message)
    assert FRAME.unpack_from(frame) == (len(frame) - FRAME.size, CONTROL)
    assert decode_control(body_of(message)) == message


def test_every_message_has_an_example_and_its_tag() -> None:
    kinds = get_args(messages.Control)
    assert [type(message) for message in EXAMPLES] == list(kinds)
    assert [msgspec.msgpack.decode(body_of(message))[0] for message in EXAMPLES] == list(
        messages.TAGS
    )


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_fields_of_a_newer_peer_are_survived(message: messages.Control) -> None:
    longer = msgspec.msgpack.encode([*msgspec.msgpack.decode(body_of(message)), "new", {"x": 1}])
    assert decode_control(longer) == message


@pytest.mark.parametrize("fields", [[8], [200, "anything", {}], [2**40]])
def test_messages_of_a_newer_peer_are_told_from_garbage(fields: list[object]) -> None:
    assert decode_control(msgspec.msgpack.encode(fields)) is None


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [-1],
        ["8"],
        {"tag": 0},
        [1],
        [1, 7, bytes(31), "p", bytes(32), 0],
        [1, 2**32, bytes(32), "p", bytes(32), 0],
        [1, 7, bytes(32), "p" * 65, bytes(32), 0],
        [1, 7, bytes(32), "p", bytes(32), 2**31],
        [2, 1, "r" * 121],
        [0, 1, 1, ["f"] * 33],
        [5, -1],
    ],
)
def test_what_is_out_of_bounds_does_not_parse(fields: object) -> None:
    if fields == [-1]:  # no tag of ours, nor of a newer peer's: tags are counted upwards
        assert decode_control(msgspec.msgpack.encode(fields)) is None
        return
    with pytest.raises(DecodeError):
        decode_control(msgspec.msgpack.encode(fields))


@given(st.binary(max_size=200))
def test_bytes_raise_only_decode_errors(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode_control(data)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_every_truncation_is_refused(message: messages.Control) -> None:
    body = body_of(message)
    for size in range(len(body)):
        with pytest.raises(DecodeError):
            decode_control(body[:size])


def test_deep_nesting_and_size_are_bounded() -> None:
    with pytest.raises(DecodeError):
        decode_control(b"\x91" * MAX_CONTROL)
    with pytest.raises(DecodeError, match="4097 bytes, limit 4096"):
        decode_control(bytes(MAX_CONTROL + 1))


def test_bytes_that_are_no_text_do_not_parse() -> None:
    with pytest.raises(DecodeError):
        decode_control(b"\x93\x02\x01\xa2\xff\xff")


def test_a_full_frame_fills_a_record() -> None:
    assert FRAME.size + MAX_BODY == MAX_PLAINTEXT
    assert messages.DATA_FRAME.size + messages.MAX_PAYLOAD == MAX_PLAINTEXT


@given(st.lists(st.binary(max_size=300), max_size=10), st.integers(1, 50))
def test_any_cutting_gives_the_same_frames(bodies: list[bytes], chunk: int) -> None:
    stream = b"".join(FRAME.pack(len(body), DATA) + body for body in bodies)
    reader, seen = FrameReader(), []
    for start in range(0, len(stream), chunk):
        seen += [bytes(body) for _, body in reader.frames(stream[start : start + chunk])]
    assert seen == bodies


def test_a_reason_is_cut_to_fit() -> None:
    decode_control(body_of(messages.Close(1, clip("r" * 500))))
