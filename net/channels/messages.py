"""The bytes between two muxes: frames, and the control messages inside them.

    frame   = u16le size || u8 kind || body        size counts the body
    CONTROL   kind 0, body = msgpack array [tag, field ...]
    DATA      kind 1, body = u32le channel || u8 flags || payload

A message on a channel is one DATA frame or several; all but the last have flag MORE.
A frame, with its header, fills one record of the stream at most. Every frame names a
channel by the number that its *sender* gave it.

    tag  message   fields
    0    Hello     version, minimum, features
    1    Open      channel, discovery key, protocol, capability, window
    2    Reject    channel (of the receiver), reason
    3    Close     channel, reason
    4    Credit    channel, size
    5    Ping      token
    6    Pong      token
    7    Goodbye   reason

Frames of a kind, messages with a tag, and fields at the end that are not known here
come from a newer peer and are skipped. Specified in docs/spec/stream.md, section 4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Annotated

import msgspec

from feedlog.errors import DecodeError
from net.noise.records import MAX_PLAINTEXT

FRAME = struct.Struct("<HB")
DATA_FRAME = struct.Struct("<HBIB")
DATA_BODY = struct.Struct("<IB")
assert DATA_FRAME.size == FRAME.size + DATA_BODY.size == 8

DATA_BODY_SIZE = DATA_BODY.size
FRAME_SIZE = FRAME.size

CONTROL = 0
DATA = 1

MORE = 0x01
"""More fragments of this message follow."""
URGENT = 0x02
"""The message travels in the urgent lane."""

MAX_BODY = MAX_PLAINTEXT - FRAME.size
MAX_PAYLOAD = MAX_PLAINTEXT - DATA_FRAME.size
"""Bytes of a message in one frame: frame and headers fill exactly one record."""
MAX_CONTROL = 4096
"""Bytes of a control message; the largest of ours, a Hello, stays under 2200."""

VERSION = 1
MINIMUM_VERSION = 1

MAX_CHANNEL_ID = 2**32 - 1
MAX_CREDIT = 2**31 - 1

ChannelId = Annotated[int, msgspec.Meta(ge=0, le=MAX_CHANNEL_ID)]
Version = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Credits = Annotated[int, msgspec.Meta(ge=0, le=MAX_CREDIT)]
Token = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Name = Annotated[str, msgspec.Meta(max_length=64)]
Reason = Annotated[str, msgspec.Meta(max_length=120)]


class Hello(msgspec.Struct, array_like=True, tag=0, frozen=True):
    """The first message each way; the stream speaks the lower of the two versions."""

    version: Version
    minimum: Version
    features: Annotated[tuple[Name, ...], msgspec.Meta(max_length=32)] = ()


class Open(msgspec.Struct, array_like=True, tag=1, frozen=True):
    """Wish for a channel, or agreement to the other side's wish for the same."""

    channel: ChannelId
    discovery_key: Bytes32
    protocol: Name
    capability: Bytes32
    window: Credits
    """Bytes that the other side may send at once."""


class Reject(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """Answer to an Open that shall not become a channel; `channel` is the opener's number."""

    channel: ChannelId
    reason: Reason = ""


class Close(msgspec.Struct, array_like=True, tag=3, frozen=True):
    """Nothing more comes on this channel; a channel is over when both have said so."""

    channel: ChannelId
    reason: Reason = ""


class Credit(msgspec.Struct, array_like=True, tag=4, frozen=True):
    """The other side may send `size` more bytes on this channel."""

    channel: ChannelId
    size: Credits


class Ping(msgspec.Struct, array_like=True, tag=5, frozen=True):
    """Are you there?"""

    token: Token


class Pong(msgspec.Struct, array_like=True, tag=6, frozen=True):
    """The answer to a Ping, with its token."""

    token: Token


class Goodbye(msgspec.Struct, array_like=True, tag=7, frozen=True):
    """The last message: why the stream ends."""

    reason: Reason = ""


Control = Hello | Open | Reject | Close | Credit | Ping | Pong | Goodbye
TAGS = range(8)

_pack_data = DATA_FRAME.pack
_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Control] = msgspec.msgpack.Decoder(Control)
_decode_any = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_tag = msgspec.msgpack.Decoder(int).decode


def encode_control(message: Control) -> bytes:
    """Return the frame of a control message."""
    body = _encode(message)
    return FRAME.pack(len(body), CONTROL) + body


def data_header(size: int, channel: int, flags: int) -> bytes:
    """Return what stands before `size` bytes of payload in a data frame."""
    return _pack_data(DATA_BODY_SIZE + size, DATA, channel, flags)


def decode_control(body: bytes | memoryview) -> Control | None:
    """Read the body of a control frame; None for a message that a newer peer knows.

    Raises `DecodeError` and nothing else.
    """
    if len(body) > MAX_CONTROL:
        raise DecodeError("control message", 0, f"{len(body)} bytes, limit {MAX_CONTROL}")
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if _unknown(body):
            return None
        raise DecodeError("control message", 0, str(error)) from error


def _unknown(body: bytes | memoryview) -> bool:
    """Tell whether the body is a well-formed message with a tag that is not ours."""
    try:
        fields = _decode_any(body)
        return bool(fields) and _decode_tag(fields[0]) not in TAGS
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def clip(reason: str) -> str:
    """Cut a reason to what a message holds."""
    return reason[:120]


class FrameReader:
    """Cuts a byte stream into frames.

    Invariant: holds at most one incomplete frame, at most 65538 bytes, and looks at its
    bytes once however small the pieces are in which they come.
    """

    def __init__(self) -> None:
        self._partial = bytearray()
        self._wanted = 0

    def frames(self, data: bytes) -> Iterator[tuple[int, memoryview]]:
        """Yield kind and body of each frame that the data completes.

        Bodies are views into immutable bytes. The iterator must be run to its end.
        """
        if self._partial:
            self._partial += data
            if len(self._partial) < self._wanted:
                return
            data = bytes(self._partial)
            self._partial.clear()
        view = memoryview(data)
        position, end = 0, len(view)
        self._wanted = FRAME_SIZE
        while end - position >= FRAME_SIZE:
            size, kind = FRAME.unpack_from(view, position)
            start = position + FRAME_SIZE
            if end - start < size:
                self._wanted = FRAME_SIZE + size
                break
            position = start + size
            yield kind, view[start:position]
        if position < end:
            self._partial += view[position:]
