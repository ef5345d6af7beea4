"""What travels when a hole is punched: an offer through others, small sealed datagrams, ports.

    offset  size  field of a datagram (42 bytes, always)
         0     1  tag 0x11: so that punching shares the UDP port with DHT and QUIC
         1     1  kind: 0 probe, 1 echo, 2 select, 3 selected
         2     8  session: which punch it belongs to
        10     8  token of the sender for the address that it sends to
        18     8  token of the receiver that the sender got, or zeros
        26    16  seal over all before it

    offer: msgpack [version 1, NAT class, public address or empty, local addresses]

    ports (4 bytes, over a stream): UDP port u16be, TCP port u16be

Every datagram has one size, so an answer is never larger than what it answers.
Specified in docs/spec/punch.md, sections 3, 4 and 8.

Invariant: a decoder returns a value or raises `DecodeError`. Knows no state.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from hmac import compare_digest
from typing import Annotated, Literal, NamedTuple

import msgspec

from feedlog.errors import DecodeError
from net.addresses import Address, pack_address, unpack_address
from net.punch.classify import NatClass
from net.punch.hashing import SEAL_SIZE, SESSION_SIZE, TOKEN_SIZE, PunchKeys, seal

PUNCH_TAG = 0x11

HEADER = struct.Struct(f">BB{SESSION_SIZE}s{TOKEN_SIZE}s{TOKEN_SIZE}s")
DATAGRAM_SIZE = HEADER.size + SEAL_SIZE
assert DATAGRAM_SIZE == 42

NO_TOKEN = bytes(TOKEN_SIZE)

MAX_LOCAL = 6
"""Local addresses in an offer: a machine with more networks names its likeliest."""
MAX_OFFER_SIZE = 160
"""Bytes: version, class, one public and six local addresses of IPv6."""

PORTS = struct.Struct(">HH")
PORTS_SIZE = PORTS.size
assert PORTS_SIZE == 4

MIN_PORT = 1024
"""Below are the ports of services; the peer has taken any free one, and nobody is given those."""


class Kind(IntEnum):
    """What a datagram is for."""

    PROBE = 0
    """Is this a way to you? Asks for an echo."""
    ECHO = 1
    """I got what you sent; here is its token."""
    SELECT = 2
    """The initiator: let us use this way."""
    SELECTED = 3
    """The responder: so be it."""


class Message(NamedTuple):
    """A datagram whose seal was right."""

    kind: Kind
    token: bytes
    echo: bytes


class _Offer(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    version: Literal[1]
    nat: NatClass
    public: Annotated[bytes, msgspec.Meta(max_length=18)]
    local: Annotated[
        list[Annotated[bytes, msgspec.Meta(max_length=18)]], msgspec.Meta(max_length=MAX_LOCAL)
    ]


class Offer(NamedTuple):
    """How one side can be reached, as it tells the other within the handshake."""

    nat: NatClass
    public: Address | None
    local: tuple[Address, ...] = ()


class Ports(NamedTuple):
    """The ports that one side is bound to, on its side of its router."""

    udp: int
    tcp: int
    """Where it is about to begin a TCP connection."""


_encode_offer = msgspec.msgpack.Encoder().encode
_decode_offer = msgspec.msgpack.Decoder(_Offer).decode


def encode_offer(offer: Offer) -> bytes:
    """Return the bytes of an offer; raises `ValueError` for too many addresses."""
    if len(offer.local) > MAX_LOCAL:
        raise ValueError(
            f"an offer has at most {MAX_LOCAL} local addresses, not {len(offer.local)}"
        )
    public = b"" if offer.public is None else pack_address(offer.public)
    local = [pack_address(address) for address in offer.local]
    return _encode_offer(_Offer(1, offer.nat, public, local))


def decode_offer(data: bytes) -> Offer:
    """Read an offer; raises `DecodeError`."""
    if len(data) > MAX_OFFER_SIZE:
        raise DecodeError("punch offer", len(data), f"more than {MAX_OFFER_SIZE} bytes")
    try:
        offer = _decode_offer(data)
    except msgspec.MsgspecError as error:
        raise DecodeError("punch offer", 0, str(error)[:200]) from None
    public = unpack_address(offer.public) if offer.public else None
    local = tuple(unpack_address(packed) for packed in offer.local)
    if any(address[1] == 0 for address in (*local, *([public] if public else []))):
        raise DecodeError("punch offer", 0, "an address with port 0")
    return Offer(offer.nat, public, local)


def encode_ports(ports: Ports) -> bytes:
    """Return the bytes in which one side tells its ports."""
    return PORTS.pack(*ports)


def decode_ports(data: bytes) -> Ports:
    """Read what `encode_ports` wrote; raises `DecodeError`."""
    if len(data) != PORTS_SIZE:
        raise DecodeError("ports", len(data), f"not {PORTS_SIZE} bytes")
    ports = Ports(*PORTS.unpack(data))
    if ports.tcp < MIN_PORT:
        raise DecodeError("ports", 2, f"tcp port {ports.tcp}, less than {MIN_PORT}")
    return ports


def session_of(data: bytes) -> bytes:
    """Return the session that a datagram claims to belong to; raises `DecodeError`."""
    if len(data) != DATAGRAM_SIZE or data[0] != PUNCH_TAG:
        raise DecodeError("punch datagram", 0, f"not {DATAGRAM_SIZE} bytes that start with 0x11")
    return data[2 : 2 + SESSION_SIZE]


def seal_datagram(keys: PunchKeys, message: Message) -> bytes:
    """Return the datagram of a message."""
    body = HEADER.pack(PUNCH_TAG, message.kind, keys.session, message.token, message.echo)
    return body + seal(keys.send, body)


def open_datagram(keys: PunchKeys, data: bytes) -> Message:
    """Read a datagram of the peer; raises `DecodeError` unless the peer has made it."""
    if session_of(data) != keys.session:
        raise DecodeError("punch datagram", 2, "another session")
    if not compare_digest(seal(keys.receive, data[: HEADER.size]), data[HEADER.size :]):
        raise DecodeError("punch datagram", HEADER.size, "the seal does not match")
    _, kind, _, token, echo = HEADER.unpack_from(data)
    if kind > max(Kind):
        raise DecodeError("punch datagram", 1, f"kind {kind}")
    return Message(Kind(kind), token, echo)
