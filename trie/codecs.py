"""How keys and values become bytes: four codecs, named by a number in the header.

    number  name     Python              bytes
    0       bytes    bytes               themselves
    1       text     str                 UTF-8
    2       json     what JSON can say   JSON, no spaces, object keys sorted
    3       msgpack  what MessagePack    MessagePack, map keys sorted
                     can say

Equal keys must give equal bytes, so the last two sort. What JSON has no word for becomes what
is nearest: bytes become text in base 64, NaN and the infinities null. A hostile writer's bytes
may nest as deep as they like: that is a `ValueError`, too. Specified in
docs/spec/trie.md, section 2. Knows values and bytes; must not know nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Codec:
    """One way between Python values and bytes."""

    number: int
    name: str
    encode: Callable[[Any], bytes]
    """Raises `TypeError` or `ValueError` for a value that it cannot express."""
    decode: Callable[[bytes], Any]
    """Raises `ValueError` for bytes that it would not have written."""


def _plain(value: Any) -> bytes:
    if type(value) is bytes:
        return value
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"expected bytes, got {type(value).__name__}")
    return bytes(value)


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"expected str, got {type(value).__name__}")
    return value.encode()


def _encoding(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def checked(value: Any) -> bytes:
        try:
            return encode(value)
        except (OverflowError, RecursionError) as error:
            raise ValueError(str(error)) from None

    return checked


def _decoding(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def checked(data: bytes) -> Any:
        try:
            return decode(data)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ValueError(str(error)) from None

    return checked


_to_json = _encoding(msgspec.json.Encoder(order="sorted").encode)
_from_json = _decoding(msgspec.json.decode)
_to_msgpack = _encoding(msgspec.msgpack.Encoder(order="sorted").encode)
_from_msgpack = _decoding(msgspec.msgpack.decode)

BYTES = Codec(0, "bytes", _plain, bytes)
TEXT = Codec(1, "text", _text, bytes.decode)
JSON = Codec(2, "json", _to_json, _from_json)
MSGPACK = Codec(3, "msgpack", _to_msgpack, _from_msgpack)

BY_NAME = {codec.name: codec for codec in (BYTES, TEXT, JSON, MSGPACK)}
BY_NUMBER = {codec.number: codec for codec in BY_NAME.values()}


def named(name: str) -> Codec:
    """Return the codec with this name; raises `ValueError`."""
    try:
        return BY_NAME[name]
    except KeyError:
        raise ValueError(f"codec {name!r} is none of {', '.join(BY_NAME)}") from None
