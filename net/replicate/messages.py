"""What two replicas of a feed say to each other on its channel.

    byte 0    0: a msgpack array [tag, field ...] follows
              1: Data: u32le request, u8 flags, then a proof (docs/spec/feed.md, section 7)

    tag  message   fields
    0    Info      version, fork, length, downloading, extensions
    1    Want      start, stop
    2    Have      start, stop, runs
    3    Request   id, fork, length, since, runs, hashes, seek, anchors, hint, urgent
    4    NoData    id, reason
    5    Cancel    id

Sets of blocks travel as `runs`: gap, run, gap, run ... in ascending order, counted from
the start of the window that the message names (0 in a request); so a million
neighbouring blocks are two small numbers. A proof is not wrapped in msgpack because a
megabyte would be copied once more.

Kinds, tags, reasons and fields at the end that are not known here come from a newer
peer and are skipped. Specified in docs/spec/replication.md, section 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from feedlog.errors import DecodeError
from net.replicate.spans import Span

PROTOCOL = "feedlog/replicate/1"
"""The name of the channels on which these messages travel."""
VERSION = 1

CONTROL = 0
DATA = 1
DATA_HEADER = struct.Struct("<BIB")
assert DATA_HEADER.size == 6

LAST = 0x01
"""No more records follow for this request."""

PUSH = 0
"""The request number of data that nobody asked for: new blocks, to a peer that follows."""

MAX_CONTROL = 128 << 10
"""Bytes of a control message: a Have of 8192 numbers, a Request with 4096 anchors."""
MAX_LENGTH = 1 << 40
MAX_FORK = (1 << 32) - 1
MAX_ID = (1 << 32) - 1
MAX_RUNS = 4096
"""Spans in one Have or Request; a set with more is sent in several windows."""
MAX_REQUEST_BLOCKS = 1 << 16
"""Blocks of one request. More would promise more than any window holds."""
MAX_HASHES = 1024
MAX_ANCHORS = 1024
MAX_EXTENSIONS = 16
MAX_NAME = 32
MAX_PAYLOAD = 8 << 10
"""Bytes of an extension's message: a trie key has at most 4 KiB."""

# Why a request has no answer.
MISSING = "missing"  # none of the blocks, or not the nodes to prove them
CURRENT = "current"  # nothing newer than what the asker has
UNKNOWN = "unknown"  # no head of that length or fork
UNSUPPORTED = "unsupported"  # no such extension
BUSY = "busy"  # too many requests wait
STOPPED = "stopped"  # this node does not upload now

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
Length = Annotated[int, msgspec.Meta(ge=0, le=MAX_LENGTH)]
Node = Annotated[int, msgspec.Meta(ge=0, le=2 * MAX_LENGTH)]
Fork = Annotated[int, msgspec.Meta(ge=0, le=MAX_FORK)]
Id = Annotated[int, msgspec.Meta(ge=1, le=MAX_ID)]
Runs = Annotated[tuple[Length, ...], msgspec.Meta(max_length=2 * MAX_RUNS)]
Payload = Annotated[bytes, msgspec.Meta(max_length=MAX_PAYLOAD)]


class Info(msgspec.Struct, array_like=True, tag=0, frozen=True):
    """Where the sender stands: first on a channel, and again when it has changed."""

    version: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    fork: Fork
    length: Length
    downloading: bool = True
    """Whether the sender wants to hear of new blocks, and gets them pushed."""
    extensions: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_EXTENSIONS)] = ()


class Want(msgspec.Struct, array_like=True, tag=1, frozen=True):
    """Tell me what you hold of [start, stop), and what you come to hold of it."""

    start: Length
    stop: Length


class Have(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """Of [start, stop) the sender holds exactly these; this replaces what it said before."""

    start: Length
    stop: Length
    runs: Runs


class Request(msgspec.Struct, array_like=True, tag=3, frozen=True):
    """Send me blocks, hashes, the block with a byte, a newer head: one multiproof a record.

    `since` is a length whose roots the asker trusts, in `fork`. `length` is what the
    proof shall be against: `since` itself for a proof without a head, 0 for the latest
    head there is. `hint` is an extension's name and message: its handler names blocks.
    """

    id: Id
    fork: Fork
    length: Length
    since: Length
    runs: Runs = ()
    hashes: Annotated[tuple[Node, ...], msgspec.Meta(max_length=MAX_HASHES)] = ()
    seek: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    anchors: Annotated[tuple[Node, ...], msgspec.Meta(max_length=MAX_ANCHORS)] = ()
    hint: tuple[Name, Payload] | None = None
    urgent: bool = False
    """Somebody waits for exactly this: answer before bulk requests."""


class NoData(msgspec.Struct, array_like=True, tag=4, frozen=True):
    """A request ends here, without what was asked."""

    id: Id
    reason: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] = MISSING


class Cancel(msgspec.Struct, array_like=True, tag=5, frozen=True):
    """What is not sent yet of a request is not needed any more."""

    id: Id


@dataclass(slots=True)  # made for every answer, and freezing it would cost as much again
class Data:
    """A proof that answers a request, or a part of it; `PUSH` for one that was not asked for."""

    id: int
    proof: bytes | memoryview
    last: bool


Control = Info | Want | Have | Request | NoData | Cancel
Message = Control | Data
TAGS = range(6)

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Control] = msgspec.msgpack.Decoder(Control)
_decode_any = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_tag = msgspec.msgpack.Decoder(int).decode


def encode(message: Message) -> bytes:
    """Return the bytes of a message."""
    if isinstance(message, Data):
        flags = LAST if message.last else 0
        return DATA_HEADER.pack(DATA, message.id, flags) + message.proof
    return b"\x00" + _encode(message)


def decode(data: bytes) -> Message | None:
    """Read a message; None for one that only a newer peer knows.

    Raises `DecodeError` and nothing else. The proof of a Data is a view, not parsed.
    """
    if not data:
        raise DecodeError("replication message", 0, "no bytes")
    if data[0] == DATA:
        if len(data) <= DATA_HEADER.size:
            raise DecodeError("replication message", len(data), "data without a proof")
        _, number, flags = DATA_HEADER.unpack_from(data)
        return Data(number, memoryview(data)[DATA_HEADER.size :], bool(flags & LAST))
    if data[0] != CONTROL:
        return None
    if len(data) > MAX_CONTROL:
        raise DecodeError("replication message", 0, f"{len(data)} bytes, limit {MAX_CONTROL}")
    body = memoryview(data)[1:]
    try:
        message = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if _unknown(body):
            return None
        raise DecodeError("replication message", 1, str(error)) from error
    if not isinstance(message, Info | NoData | Cancel):
        _check(message)
    return message


def _unknown(body: memoryview) -> bool:
    """Tell whether the body is a well-formed message with a tag that is not ours."""
    try:
        fields = _decode_any(body)
        return bool(fields) and _decode_tag(fields[0]) not in TAGS
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _check(message: Control) -> None:
    """Raise `DecodeError` where numbers that are each in bounds make no sense together."""
    match message:
        case Want(start, stop):
            if start >= stop:
                raise DecodeError("want", 1, f"[{start}, {stop}) is empty")
        case Have(start, stop, runs):
            if start >= stop:
                raise DecodeError("have", 1, f"[{start}, {stop}) is empty")
            _check_runs("have", runs, stop - start)
        case Request():
            _check_runs("request", message.runs, MAX_LENGTH)
            if sum(message.runs[1::2]) > MAX_REQUEST_BLOCKS:
                raise DecodeError("request", 1, f"more than {MAX_REQUEST_BLOCKS} blocks")
            if message.length and message.length < message.since:
                raise DecodeError("request", 1, f"since {message.since} > {message.length}")
        case _:
            pass


def _check_runs(what: str, runs: tuple[int, ...], limit: int) -> None:
    if len(runs) % 2:
        raise DecodeError(what, 1, f"{len(runs)} numbers are not gaps and runs")
    if 0 in runs[1::2] or 0 in runs[2::2]:
        raise DecodeError(what, 1, "an empty run, or two runs that touch")
    if sum(runs) > limit:
        raise DecodeError(what, 1, f"runs reach past {limit}")


def pack_runs(spans: Iterable[Span], start: int = 0) -> tuple[int, ...]:
    """Return ascending, disjoint spans as gaps and runs counted from `start`."""
    runs: list[int] = []
    at = start
    for low, high in spans:
        runs += (low - at, high - low)
        at = high
    return tuple(runs)


def unpack_runs(runs: tuple[int, ...], start: int = 0) -> list[Span]:
    """Return the spans that `pack_runs` packed."""
    spans = []
    at = start
    for gap, run in zip(runs[::2], runs[1::2], strict=True):
        spans.append((at + gap, at + gap + run))
        at += gap + run
    return spans
