"""What a reader of a remote trie asks a peer to look up for it, and the peer's part of that.

A lookup reads one block after the other, and each names the next: over a network that is
a round trip a level. So the reader sends its question along with its request for blocks;
the peer runs it on its own copy and sends all the blocks that it touched. They are
verified like any others, and the reader's own lookup then finds them: a peer that answers
wrongly wastes a round trip, and can make nobody believe anything.

The message is a msgpack array [tag, version, ...], with version 0 for the latest:

    tag  question  fields
    0    Lookup    key
    1    Listing   prefix, recursive, reverse, after, limit
    2    Range     start, stop, reverse, after, limit
    3    Changes   other, prefix

Specified in docs/spec/replication.md, "Extensions". Knows tries. Must not know the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from feedlog import DecodeError, Feed, FeedlogError
from trie import Trie, View
from trie.selection import Items

EXTENSION = "trie"
"""The name under which both sides know this."""

MAX_BLOCKS = 1024
"""Blocks that one answer names; a longer listing is asked for in parts."""

MAX_OPEN = 64
"""Tries whose decoded nodes are kept between two questions."""

Version = Annotated[int, msgspec.Meta(ge=0, le=2**40)]


class Lookup(msgspec.Struct, array_like=True, tag=0, frozen=True):
    """Which blocks does `get(key)` read?"""

    version: Version
    key: Any


class Listing(msgspec.Struct, array_like=True, tag=1, frozen=True):
    """Which blocks does `items(...)` read?"""

    version: Version
    prefix: Any
    recursive: bool
    reverse: bool
    after: Any
    limit: Annotated[int, msgspec.Meta(ge=1)] | None


class Range(msgspec.Struct, array_like=True, tag=2, frozen=True):
    """Which blocks does `range(...)` read?"""

    version: Version
    start: Any
    stop: Any
    reverse: bool
    after: Any
    limit: Annotated[int, msgspec.Meta(ge=1)] | None


class Changes(msgspec.Struct, array_like=True, tag=3, frozen=True):
    """Which blocks does `diff(other, prefix)` read?"""

    version: Version
    other: Version
    prefix: Any


Question = Lookup | Listing | Range | Changes

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
            return touched(self._open(feed), question)
        except (FeedlogError, TypeError, ValueError):
            return ()


def touched(trie: View, question: Question) -> list[int]:
    """Return the blocks that it takes to answer a question."""
    view = trie.at(question.version) if question.version else trie
    match question:
        case Lookup():
            return view.walk(question.key, limit=MAX_BLOCKS)
        case Changes():
            return view.diff(question.other, question.prefix).walk(limit=MAX_BLOCKS)
        case _:
            return listed(view, question).walk(limit=MAX_BLOCKS)


def listed(view: View, question: Listing | Range) -> Items:
    """Return the listing that a question is about."""
    if isinstance(question, Range):
        return view.range(
            question.start,
            question.stop,
            reverse=question.reverse,
            after=question.after,
            limit=question.limit,
        )
    return view.items(
        question.prefix,
        recursive=question.recursive,
        reverse=question.reverse,
        after=question.after,
        limit=question.limit,
    )
