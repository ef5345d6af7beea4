"""What a reader of a remote trie asks a peer to look up for it, and the peer's part of that.

A lookup reads one block after the other, and each names the next: over a network that is
a round trip a level. So the reader sends its question along with its request for blocks;
the peer runs it on its own copy and sends all the blocks that it touched. They are
verified like any others, and the reader's own lookup then finds them: a peer that answers
wrongly wastes a round trip, and can make nobody believe anything.

The message is a msgpack array [tag, version, parts, ...], with version 0 for the latest, and
parts the names of the sub-databases that lead to the one asked, each with its codec of keys:

    tag  question  fields
    0    Lookup    key
    1    Listing   prefix, recursive, reverse, after, limit, values
    2    Range     start, stop, reverse, after, limit
    3    Changes   other, prefix, after, limit
    4    Count     prefix

Specified in docs/spec/replication.md, "Extensions". Knows tries. Must not know the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from feedlog import DecodeError, Feed, FeedlogError
from trie import Trie, View
from trie.differences import Differences
from trie.selection import Items, Keys

EXTENSION = "trie"
"""The name under which both sides know this."""

MAX_BLOCKS = 1024
"""Blocks that one answer names; a longer listing is asked for in parts."""

MAX_OPEN = 64
"""Tries whose decoded nodes are kept between two questions."""

MAX_PARTS = 16
"""Sub-databases inside of each other that a question may name."""

Version = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
Limit = Annotated[int, msgspec.Meta(ge=1)] | None
Part = tuple[Any, str | None]
"""A sub-database's name (text or bytes), and the codec of its keys where it has its own."""
Parts = Annotated[tuple[Part, ...], msgspec.Meta(max_length=MAX_PARTS)]


class Lookup(msgspec.Struct, array_like=True, tag=0, frozen=True):
    """Which blocks does `get(key)` read?"""

    version: Version
    parts: Parts
    key: Any


class Listing(msgspec.Struct, array_like=True, tag=1, frozen=True):
    """Which blocks does `items(...)` read, or without `values` `keys(...)`?"""

    version: Version
    parts: Parts
    prefix: Any
    recursive: bool
    reverse: bool
    after: Any
    limit: Limit
    values: bool


class Range(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """Which blocks does `range(...)` read?"""

    version: Version
    parts: Parts
    start: Any
    stop: Any
    reverse: bool
    after: Any
    limit: Limit


class Changes(msgspec.Struct, array_like=True, tag=3, frozen=True):
    """Which blocks does `diff(other, ...)` read?"""

    version: Version
    parts: Parts
    other: Version
    prefix: Any
    after: Any
    limit: Limit


class Count(msgspec.Struct, array_like=True, tag=4, frozen=True):
    """Which blocks does `count(prefix)` read?"""

    version: Version
    parts: Parts
    prefix: Any


Question = Lookup | Listing | Range | Changes | Count
Listed = Listing | Range | Changes

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Question)


def encode(question: Question) -> bytes:
    """Return the message to send."""
    return _encoder.encode(question)


def decode(payload: bytes) -> Question:
    """Return the question in a message; raises `DecodeError`."""
    try:
        question: Question = _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError("trie question", 0, str(error)) from None
    return question


class TrieHints:
    """Answers the questions of a node's peers."""

    def __init__(self) -> None:
        self._open = lru_cache(MAX_OPEN)(Trie)

    def __call__(self, feed: Feed, payload: bytes) -> Sequence[int]:
        """Return the blocks that answer a question, as far as they are held.

        Raises `DecodeError` for what is no question. One that does not fit this trie
        is answered with nothing, and the reader finds out by itself.
        """
        question = decode(payload)
        try:
            return touched(viewed(self._open(feed), question), question, limit=MAX_BLOCKS)
        except (FeedlogError, TypeError, ValueError):
            return ()


def viewed(trie: View, question: Question) -> View:
    """Return the version and part that a question is about."""
    view = trie.at(question.version) if question.version else trie
    for name, codec in question.parts:
        view = view.sub(name, key_codec=codec)
    return view


def touched(view: View, question: Question, *, limit: int) -> list[int]:
    """Return the blocks that it takes to answer a question, as far as they are held.

    The version and part that it is about are those of `view`.
    """
    match question:
        case Lookup():
            return view.walk(question.key, limit=limit)
        case Count():
            return view.walk_count(question.prefix, limit=limit)
        case _:
            return listed(view, question).walk(limit=limit)


def listed(view: View, question: Listed) -> Items | Keys | Differences:
    """Return what a question lists."""
    match question:
        case Range():
            return view.range(
                question.start,
                question.stop,
                reverse=question.reverse,
                after=question.after,
                limit=question.limit,
            )
        case Changes():
            return view.diff(
                question.other, question.prefix, after=question.after, limit=question.limit
            )
        case _:
            listing = view.items if question.values else view.keys
            return listing(
                question.prefix,
                recursive=question.recursive,
                reverse=question.reverse,
                after=question.after,
                limit=question.limit,
            )
