"""The datagrams of local discovery, and their bounds.

    offset  size  field
         0    16  seal: made with the network's key of all that follows
        16     8  sender: random, so that a node knows its own datagrams when they come back
        24     -  msgpack: ["query", [topic, ...]] or ["answer", [record, ...]]

A record is a signed announcement as the DHT has it (docs/spec/dht.md, section 4).
Specified in docs/spec/lan.md, section 3.

Invariant: `decode` returns a value or raises `DecodeError`. Knows no state.
"""

from __future__ import annotations

from collections.abc import Sequence
from hmac import compare_digest
from typing import Annotated, NamedTuple

import msgspec

from feedlog.errors import DecodeError
from net.dht.records import MAX_RECORD_SIZE
from net.discovery import TOPIC_SIZE
from net.lan.hashing import SEAL_SIZE, seal

MAX_DATAGRAM = 1200
"""Passes every local network without being fragmented."""
SENDER_SIZE = 8
HEADER_SIZE = SEAL_SIZE + SENDER_SIZE

MAX_TOPICS = 32
"""Topics in one query."""
MAX_RECORDS = 4
"""Records in one answer."""
assert HEADER_SIZE + 16 + MAX_RECORDS * (MAX_RECORD_SIZE + 3) <= MAX_DATAGRAM
assert HEADER_SIZE + 16 + MAX_TOPICS * (TOPIC_SIZE + 2) <= MAX_DATAGRAM

Topic = Annotated[bytes, msgspec.Meta(min_length=TOPIC_SIZE, max_length=TOPIC_SIZE)]
Record = Annotated[bytes, msgspec.Meta(max_length=MAX_RECORD_SIZE)]


class Query(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True, tag="query"):
    """Asks those who announce one of these topics to say so."""

    topics: Annotated[tuple[Topic, ...], msgspec.Meta(min_length=1, max_length=MAX_TOPICS)]


class Answer(
    msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True, tag="answer"
):
    """Says what the sender announces."""

    records: Annotated[tuple[Record, ...], msgspec.Meta(min_length=1, max_length=MAX_RECORDS)]


class Message(NamedTuple):
    """A datagram as received."""

    sender: bytes
    body: Query | Answer


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Query | Answer).decode


def queries(topics: Sequence[bytes]) -> list[Query]:
    """Return the queries, as few as will do, that ask for topics."""
    return [
        Query(tuple(topics[start : start + MAX_TOPICS]))
        for start in range(0, len(topics), MAX_TOPICS)
    ]


def encode(key: bytes, sender: bytes, body: Query | Answer) -> bytes:
    """Return a datagram."""
    rest = sender + _encode(body)
    return seal(key, rest) + rest


def decode(key: bytes, data: bytes) -> Message:
    """Read a datagram of this network; raises `DecodeError` and nothing else."""
    if not HEADER_SIZE < len(data) <= MAX_DATAGRAM:
        raise DecodeError("lan datagram", len(data), f"its size lies outside 25..{MAX_DATAGRAM}")
    rest = data[SEAL_SIZE:]
    if not compare_digest(data[:SEAL_SIZE], seal(key, rest)):
        raise DecodeError("lan datagram", 0, "the seal is of another network, or of none")
    try:
        return Message(rest[:SENDER_SIZE], _decode(rest[SENDER_SIZE:]))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DecodeError("lan datagram", HEADER_SIZE, str(error)) from error
