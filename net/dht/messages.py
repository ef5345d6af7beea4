"""The datagrams of the DHT: framing, requests, answers and their bounds.

    offset  size  field
         0     1  tag 0x10: so that DHT, QUIC and punching share one UDP port
         1     1  kind: 0x00 request, 0x01 response   (from here on the framing of rpcudp)
         2    20  message id, random
        22     -  msgpack: request [name, arguments], response [code, observed, body]

A response carries the asker's address as the answerer saw it, so that every exchange
tells a node how it looks from outside. Arguments and bodies are arrays of fixed shape;
an element more or less, another type or a size out of bounds is malformed.

    name        arguments                                      body of the response
    ping        [sender, padding]                              [public key, signature]
    lookup      [sender, topic, padding]                       `Found`
    announce    [sender, token, record, ticket, proof]         nil
    introduce   [sender, token, topic, key, message, padding]  the announcer's answer
    introduced  [sender, ticket, topic, message, padding]      the announcer's answer
    get         [sender, topic, padding]                       `Found`
    put         [sender, token, value, cas]                    nil

`sender` is the asker's node id, or empty when it does not offer to be a contact.
Padding is what keeps an answer below three times its request (`answer_budget`).
Specified in docs/spec/dht.md, section 6.

Invariant: a decoder returns a value or raises `DecodeError`. Knows no state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from feedlog.errors import DecodeError
from feedlog.keys import SIGNATURE_SIZE
from net.addresses import Address, family, pack_address, unpack_address
from net.dht.hashing import ID_SIZE, TOKEN_SIZE, TOPIC_SIZE
from net.dht.records import MAX_RECORD_SIZE
from net.dht.value_records import MAX_VALUE_RECORD

DHT_TAG = 0x10
"""First byte of each datagram. QUIC has bit 0x40 set, STUN starts with 0x00..0x03."""

REQUEST, RESPONSE = 0x00, 0x01
MESSAGE_ID_SIZE = 20
HEADER_SIZE = 2 + MESSAGE_ID_SIZE

MAX_DATAGRAM = 1200
"""Passes every path that QUIC passes (RFC 9000, section 14) without being fragmented."""

AMPLIFICATION = 3
"""An answer is at most this many times its request: what RFC 9000, section 8, allows too."""

MAX_NODES = 20
"""Contacts in one answer: one bucket."""

MAX_RECORDS = 4
"""Announcements in one answer, drawn at random when more are held."""

LOOKUP_SIZE = 480
"""Bytes that a lookup is padded to: three times as much holds any answer."""

PING_SIZE = 96
"""Bytes that a ping is padded to: three times as much holds its answer and a ping back."""

MAX_MESSAGE = 512
"""Bytes that are carried to an announcer or back: the two messages of a Noise handshake."""

INTRODUCE_SIZE = 640
"""Bytes that a request to introduce is padded to, and has at least: more than what it causes."""

INTRODUCED_SIZE = 608
"""Bytes of an introduction on its way to the announcer: more than any answer to it."""

Bytes20 = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
Sender = Annotated[bytes, msgspec.Meta(max_length=ID_SIZE)]
Padding = Annotated[bytes, msgspec.Meta(max_length=MAX_DATAGRAM)]
Token = Annotated[bytes, msgspec.Meta(min_length=TOKEN_SIZE, max_length=TOKEN_SIZE)]
Record = Annotated[bytes, msgspec.Meta(max_length=MAX_RECORD_SIZE)]
ValueRecord = Annotated[bytes, msgspec.Meta(max_length=MAX_VALUE_RECORD)]
Seq = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Ticket = Annotated[bytes, msgspec.Meta(max_length=TOKEN_SIZE)]
Proof = Annotated[bytes, msgspec.Meta(max_length=SIGNATURE_SIZE)]
Message = Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_MESSAGE)]
PublicKey = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Observed = Annotated[bytes, msgspec.Meta(min_length=6, max_length=18)]


class Code(IntEnum):
    """The first element of a response: 0, or why the request was refused."""

    OK = 0
    TOKEN = 1
    RECORD = 2
    EXPIRY = 3
    STALE = 4
    FULL = 5
    BUSY = 6
    NO_ANNOUNCER = 7
    SILENT = 8
    CONFLICT = 9


REASONS = {
    Code.TOKEN: "the address token was wrong or too old",
    Code.RECORD: "the record does not parse or its signature does not match",
    Code.EXPIRY: "the expiry lies in the past or too far ahead (is this machine's clock right?)",
    Code.STALE: "a record with a higher sequence number is held already",
    Code.FULL: "no room for more records",
    Code.BUSY: "too many requests at this time",
    Code.NO_ANNOUNCER: "nobody is held here who announces this and takes introductions",
    Code.SILENT: "the announcer did not answer",
    Code.CONFLICT: "another value is held than the one to be replaced",
}


class Contact(NamedTuple):
    """A node as others know it: its id and where it answers."""

    id: bytes
    address: Address


class Ping(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Asks for the proof of a node id."""

    sender: Sender
    padding: Padding = b""


class Lookup(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Asks for the records of a topic and the contacts that are closest to it."""

    sender: Sender
    topic: Bytes20
    padding: Padding = b""


class Announce(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Asks to hold a record, and with a ticket also to introduce those who ask for its maker.

    Anybody may pass on a record. Only its maker can make the proof, the signature of
    `hashing.way_signable`; so nobody else draws the introductions to itself.
    """

    sender: Sender
    token: Token
    record: Record
    ticket: Ticket = b""
    proof: Proof = b""


class Introduce(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Asks a holder to pass a message on to the announcer, and the answer back."""

    sender: Sender
    token: Token
    topic: Bytes20
    public_key: PublicKey
    message: Message
    padding: Padding = b""


class Introduced(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Brings an announcer a message, with the ticket that it gave to the holder."""

    sender: Sender
    ticket: Token
    topic: Bytes20
    message: Message
    padding: Padding = b""


class Fetch(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Asks for the value of a topic and the contacts that are closest to it."""

    sender: Sender
    topic: Bytes20
    padding: Padding = b""


class Store(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Asks to hold a value; with `cas` only in place of one with that seq, if one is held."""

    sender: Sender
    token: Token
    value: ValueRecord
    cas: Seq | None = None


class Pong(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Proves a node id: its key and the signature of `hashing.ping_signable`."""

    public_key: PublicKey
    signature: Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_SIZE, max_length=SIGNATURE_SIZE)]


class Found(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Records or the value of a topic, and contacts: 20 bytes of id and a packed address each.

    `answerer` is the id of the node that answers, so that an address which a liar has
    named under another id is found out.
    """

    answerer: Bytes20
    token: Token
    nodes: Annotated[bytes, msgspec.Meta(max_length=MAX_NODES * 26)]
    nodes6: Annotated[bytes, msgspec.Meta(max_length=MAX_NODES * 38)]
    records: Annotated[list[ValueRecord], msgspec.Meta(max_length=MAX_RECORDS)]

    def contacts(self) -> list[Contact]:
        """Read the contacts; raises `DecodeError`."""
        return [*_unpack_contacts(self.nodes, 6), *_unpack_contacts(self.nodes6, 18)]


Arguments = Ping | Lookup | Announce | Introduce | Introduced | Fetch | Store
Body = Pong | Found | bytes | None

RPCS: dict[str, tuple[type[Arguments], Any]] = {
    "ping": (Ping, Pong),
    "lookup": (Lookup, Found),
    "announce": (Announce, None),
    "introduce": (Introduce, Message),
    "introduced": (Introduced, Message),
    "get": (Fetch, Found),
    "put": (Store, None),
}
"""The whole list: a name that is not here does not exist."""


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
_names = {kind: name for name, (kind, _) in RPCS.items()}


PADDED: dict[type[Arguments], int] = {
    Ping: PING_SIZE,
    Lookup: LOOKUP_SIZE,
    Introduce: INTRODUCE_SIZE,
    Introduced: INTRODUCED_SIZE,
    Fetch: LOOKUP_SIZE,
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


def procedure(arguments: Arguments) -> str:
    """Return the name of the procedure that takes these arguments."""
    return _names[type(arguments)]


def decode_body(name: str, response: Response) -> Body:
    """Read the body of a positive response to the named procedure; raises `DecodeError`."""
    body: Body = _decode(_bodies[name], response.body)
    return body


def _decode(decoder: msgspec.msgpack.Decoder[_T], data: bytes | msgspec.Raw) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError("dht message", HEADER_SIZE, str(error)[:200]) from None


def pack_contacts(contacts: Iterable[Contact]) -> bytes:
    """Return contacts of one family as an answer carries them."""
    return b"".join(contact.id + pack_address(contact.address) for contact in contacts)


def _unpack_contacts(data: bytes, address_size: int) -> list[Contact]:
    step = ID_SIZE + address_size
    if len(data) % step:
        raise DecodeError("dht nodes", len(data), f"not a multiple of {step} bytes")
    contacts = []
    for at in range(0, len(data), step):
        address = unpack_address(data[at + ID_SIZE : at + step])
        if address[1]:
            contacts.append(Contact(data[at : at + ID_SIZE], address))
    return contacts


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
    step = ID_SIZE + (18 if v6 else 6)
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


assert TOPIC_SIZE == ID_SIZE == 20, "Bytes20 stands for both"
