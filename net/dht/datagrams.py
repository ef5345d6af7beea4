"""The datagrams of the DHT: how requests and responses are framed, padded and kept small.

    offset  size  field
         0     1  tag 0x10: so that DHT, QUIC and punching share one UDP port
         1     1  kind: 0x00 request, 0x01 response   (from here on the framing of rpcudp)
         2    20  message id, random
        22     -  msgpack: request [name, arguments], response [code, observed, body]

A response carries the asker's address as the answerer saw it, so that every exchange
tells a node how it looks from outside. Padding is what keeps an answer below three times its
request (`answer_budget`). What names, arguments and bodies there are is said in `messages`.
Specified in docs/spec/dht.md, section 6.

Invariant: a decoder returns a value or raises `DecodeError`. Knows no state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from feedlog.errors import DecodeError
from net.addresses import Address, family, pack_address, unpack_address
from net.dht.codes import Code
from net.dht.contacts import MAX_NODES, V4_SIZE, V6_SIZE, Contact, pack_contacts
from net.dht.hashing import ID_SIZE
from net.dht.messages import (
    MAX_DATAGRAM,
    MAX_RECORDS,
    RPCS,
    Arguments,
    Body,
    Fetch,
    Found,
    Introduce,
    Introduced,
    Lookup,
    Ping,
    procedure,
)

DHT_TAG = 0x10
"""First byte of each datagram. QUIC has bit 0x40 set, STUN starts with 0x00..0x03."""

REQUEST, RESPONSE = 0x00, 0x01
MESSAGE_ID_SIZE = 20
HEADER_SIZE = 2 + MESSAGE_ID_SIZE

AMPLIFICATION = 3
"""An answer is at most this many times its request: what RFC 9000, section 8, allows too."""

LOOKUP_SIZE = 480
"""Bytes that a lookup is padded to: three times as much holds any answer."""

PING_SIZE = 96
"""Bytes that a ping is padded to: three times as much holds its answer and a ping back."""

INTRODUCE_SIZE = 640
"""Bytes that a request to introduce is padded to, and has at least: more than what it causes."""

INTRODUCED_SIZE = 608
"""Bytes of an introduction on its way to the announcer: more than any answer to it."""

PADDED: dict[type[Arguments], int] = {
    Ping: PING_SIZE,
    Lookup: LOOKUP_SIZE,
    Introduce: INTRODUCE_SIZE,
    Introduced: INTRODUCED_SIZE,
    Fetch: LOOKUP_SIZE,
}


class Request(NamedTuple):
    """A request as received."""

    message_id: bytes
    arguments: Arguments
    size: int = 0
    """Bytes of the datagram: what the answer is measured by."""


class Response(NamedTuple):
    """A response as received; the body waits for the call that it answers."""

    message_id: bytes
    code: Code
    observed: Address
    body: bytes


Observed = Annotated[bytes, msgspec.Meta(min_length=6, max_length=18)]


class _RequestEnvelope(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(max_length=16)]
    arguments: msgspec.Raw


class _ResponseEnvelope(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    code: Code
    observed: Observed
    body: msgspec.Raw


_T = TypeVar("_T")
_encoder = msgspec.msgpack.Encoder()
_request_envelope = msgspec.msgpack.Decoder(_RequestEnvelope)
_response_envelope = msgspec.msgpack.Decoder(_ResponseEnvelope)
_arguments: dict[str, msgspec.msgpack.Decoder[Any]] = {
    name: msgspec.msgpack.Decoder(kind) for name, (kind, _) in RPCS.items()
}
_bodies: dict[str, msgspec.msgpack.Decoder[Any]] = {
    name: msgspec.msgpack.Decoder(kind) for name, (_, kind) in RPCS.items()
}


def answer_budget(request_size: int) -> int:
    """Return the most bytes that a request of this size may draw out of a node in one answer.

    A first request also draws a ping back; both together stay within `AMPLIFICATION`.
    """
    return min(MAX_DATAGRAM, AMPLIFICATION * request_size - PING_SIZE)


def encode_request(message_id: bytes, arguments: Arguments) -> bytes:
    """Return the datagram of a request, padded as its kind asks for."""
    size = PADDED.get(type(arguments), 0)
    head = bytes((DHT_TAG, REQUEST)) + message_id
    name = procedure(arguments)
    data = head + _encoder.encode((name, arguments))
    if len(data) < size:
        # An empty bin is 2 bytes (c4 00) and one above 255 bytes has a header of 3.
        room = size - len(data)
        padding = bytes(room if room < 256 else room - 1)
        data = head + _encoder.encode((name, msgspec.structs.replace(arguments, padding=padding)))
    return data


def encode_response(
    message_id: bytes, observed: Address, body: Body, code: Code = Code.OK
) -> bytes:
    """Return the datagram of a response."""
    payload = _encoder.encode((int(code), pack_address(observed), body))
    return bytes((DHT_TAG, RESPONSE)) + message_id + payload


def decode_datagram(data: bytes) -> Request | Response:
    """Read a datagram; raises `DecodeError` and nothing else."""
    if not HEADER_SIZE < len(data) <= MAX_DATAGRAM:
        raise DecodeError(
            "dht datagram", len(data), f"a size outside {HEADER_SIZE + 1}..{MAX_DATAGRAM}"
        )
    if data[0] != DHT_TAG:
        raise DecodeError("dht datagram", 0, f"tag {data[0]:#04x}, expected {DHT_TAG:#04x}")
    message_id, payload = data[2:HEADER_SIZE], data[HEADER_SIZE:]
    if data[1] == REQUEST:
        envelope = _decode(_request_envelope, payload)
        decoder = _arguments.get(envelope.name)
        if decoder is None:
            raise DecodeError("dht request", HEADER_SIZE, f"no procedure {envelope.name!r}")
        arguments = _decode(decoder, envelope.arguments)
        if len(arguments.sender) not in (0, ID_SIZE):
            raise DecodeError("dht request", HEADER_SIZE, "a sender has 0 or 20 bytes")
        return Request(message_id, arguments, len(data))
    if data[1] == RESPONSE:
        answer = _decode(_response_envelope, payload)
        return Response(
            message_id, answer.code, unpack_address(answer.observed), bytes(answer.body)
        )
    raise DecodeError("dht datagram", 1, f"kind {data[1]:#04x}")


def decode_body(name: str, response: Response) -> Body:
    """Read the body of a positive response to the named procedure; raises `DecodeError`."""
    body: Body = _decode(_bodies[name], response.body)
    return body


def _decode(decoder: msgspec.msgpack.Decoder[_T], data: bytes | msgspec.Raw) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError("dht message", HEADER_SIZE, str(error)[:200]) from None


def encode_found(
    message_id: bytes,
    observed: Address,
    answerer: bytes,
    token: bytes,
    contacts: Sequence[Contact],
    records: Sequence[bytes],
    budget: int,
) -> bytes | None:
    """Return the answer to a lookup with as much as fits: the nearest contacts, records, the rest.

    `contacts` are nearest first and of one family. None when not even an empty answer fits.
    """
    v6 = bool(contacts) and family(contacts[0].address) == 6
    step = V6_SIZE if v6 else V4_SIZE
    empty = Found(answerer, token, b"", b"", [])
    room = (
        budget - len(encode_response(message_id, observed, empty)) - 8
    )  # longer array and bin headers
    if room < 0:
        return None
    nearest = min(len(contacts), MAX_NODES // 2, room // step)
    room -= nearest * step
    chosen = []
    for record in records[:MAX_RECORDS]:
        if len(record) + 3 <= room:
            chosen.append(record)
            room -= len(record) + 3
    count = nearest + min(len(contacts) - nearest, MAX_NODES - nearest, room // step)
    packed = pack_contacts(contacts[:count])
    found = Found(answerer, token, b"" if v6 else packed, packed if v6 else b"", chosen)
    return encode_response(message_id, observed, found)
