"""What a relay and its clients say to each other, before a circuit carries bytes.

    message = u16le size || msgpack array [tag, field ...]         size counts the array

    tag  message    from     fields
    0    Reserve    client
    1    Reserved   relay    limits
    2    Connect    client   public key
    3    Incoming   relay    token, public key
    4    Accept     client   token
    5    Decline    client   token
    6    Ready      relay    limits
    7    Refused    relay    code, reason
    8    Ping       both     number
    9    Pong       both     number
    10   Request    client   number, kind, data
    11   Item       relay    number, data
    12   Done       relay    number, count, code, reason

Messages with a tag, and fields at the end, that are not known here come from a newer peer
and are skipped. Behind Ready come the bytes of the other client, as they are.
Specified in docs/spec/relay.md, section 3.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from typing import Annotated

import msgspec

from net.errors import LimitError, ProtocolError

SIZE = struct.Struct("<H")

MAX_MESSAGE = 1024
"""Bytes of a message; the largest, a request with a signed record, stays under 400."""

PROTOCOL = "feedlog/relay/1"
"""What a client asks for in the handshake with a relay."""

TOKEN_SIZE = 16
"""A guess succeeds once in 2**128, and there are a few tokens for a few seconds."""

Token = Annotated[bytes, msgspec.Meta(min_length=TOKEN_SIZE, max_length=TOKEN_SIZE)]
Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Amount = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Reason = Annotated[str, msgspec.Meta(max_length=160)]
Data = Annotated[bytes, msgspec.Meta(max_length=640)]


class Code(enum.IntEnum):
    """Why a relay refuses."""

    NOT_ALLOWED = 0
    NO_RESERVATION = 1
    """The peer that is wanted does not wait here."""
    RESERVATIONS = 2
    CIRCUITS = 3
    CIRCUITS_OF_PEER = 4
    PENDING = 5
    """Too many wait for the same peer to answer."""
    DECLINED = 6
    SILENT = 7
    """The peer that is wanted has not answered in time."""
    NO_TOKEN = 8
    REQUESTS = 9
    BAD_REQUEST = 10
    FAILED = 11


class Limits(msgspec.Struct, array_like=True, frozen=True):
    """What a circuit may carry: bytes in both directions, and bytes a second; how many
    seconds it may stand, and how many without a byte.
    """

    size: Amount
    rate: Amount
    seconds: Amount
    idle: Amount


class Reserve(msgspec.Struct, array_like=True, tag=0, frozen=True):
    """Wish to be told who wants to connect, until the stream ends."""


class Reserved(msgspec.Struct, array_like=True, tag=1, frozen=True):
    """The wish is granted."""

    limits: Limits


class Connect(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """Wish for a circuit to the peer with that key; the first message of a stream."""

    public_key: Key


class Incoming(msgspec.Struct, array_like=True, tag=3, frozen=True):
    """Somebody wants a circuit to you: its key is proven to the relay only."""

    token: Token
    public_key: Key


class Accept(msgspec.Struct, array_like=True, tag=4, frozen=True):
    """Agreement to an Incoming, as the first message of a new stream by the same key."""

    token: Token


class Decline(msgspec.Struct, array_like=True, tag=5, frozen=True):
    """Refusal of an Incoming, on the stream that it came by."""

    token: Token


class Ready(msgspec.Struct, array_like=True, tag=6, frozen=True):
    """The circuit stands; from here on the stream belongs to the other client."""

    limits: Limits


class Refused(msgspec.Struct, array_like=True, tag=7, frozen=True):
    """The last message of the relay on this stream."""

    code: Number
    reason: Reason = ""


class Ping(msgspec.Struct, array_like=True, tag=8, frozen=True):
    """Are you there? Also what keeps a router's mapping."""

    number: Number


class Pong(msgspec.Struct, array_like=True, tag=9, frozen=True):
    """The answer to a Ping."""

    number: Number


class Request(msgspec.Struct, array_like=True, tag=10, frozen=True):
    """Something for the relay to ask or to tell the DHT; see `net.relay.discovery`."""

    number: Number
    kind: Number
    data: Data


class Item(msgspec.Struct, array_like=True, tag=11, frozen=True):
    """One of the answers to a Request."""

    number: Number
    data: Data


class Done(msgspec.Struct, array_like=True, tag=12, frozen=True):
    """The end of the answers; `reason` is empty where all went well."""

    number: Number
    count: Number = 0
    code: Number = 0
    reason: Reason = ""


Message = (
    Reserve | Reserved | Connect | Incoming | Accept | Decline | Ready | Refused
    | Ping | Pong | Request | Item | Done
)  # fmt: skip

_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_tag_decoder = msgspec.msgpack.Decoder(list[msgspec.Raw])
_encoder = msgspec.msgpack.Encoder()

TAGS = range(13)


def encode_message(message: Message) -> bytes:
    """Return a message with its size in front."""
    body = _encoder.encode(message)
    assert len(body) <= MAX_MESSAGE, f"message has {len(body)} bytes, limit {MAX_MESSAGE}"
    return SIZE.pack(len(body)) + body


def decode_message(body: bytes) -> Message | None:
    """Read what stands behind the size; None for a message of a newer peer.

    Raises `ProtocolError`.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if _is_newer(body):
            return None
        raise ProtocolError(f"message of a relay does not parse: {error}") from error


def _is_newer(body: bytes) -> bool:
    try:
        fields = _tag_decoder.decode(body)
        return bool(fields) and msgspec.msgpack.decode(fields[0], type=int) not in TAGS
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


class MessageReader:
    """Cuts a stream of bytes into messages; holds at most one that is incomplete."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes | bytearray | memoryview) -> Iterator[Message]:
        """Yield the messages that the data completes; raises `PeerError`.

        Stop iterating and call `rest` where a message says that something else follows.
        """
        self._buffer += data
        while len(self._buffer) >= SIZE.size:
            size: int = SIZE.unpack_from(self._buffer)[0]
            if size > MAX_MESSAGE:
                raise LimitError(
                    f"message of a relay has {size} bytes, limit {MAX_MESSAGE}", MAX_MESSAGE
                )
            end = SIZE.size + size
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[SIZE.size : end])
            del self._buffer[:end]
            message = decode_message(body)
            if message is not None:
                yield message

    def rest(self) -> bytes:
        """Return, and forget, the bytes behind the last message."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data
