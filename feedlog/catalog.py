"""The store's own entries: its secret, and what it knows of each feed.

    0(3) || "s"                  Header: format version, secret, next feed number
    0(3) || "f" || number(3)     FeedMeta
    0(3) || "k" || feed key(32)  number(3)
    0(3) || "n" || path          number(3)
    0(3) || "e" || number(3)     Evidence
    0(3) || "u" || number(3) ..  user data, see feedlog.user_data
    0(3) || "h" || number(3) ..  pages of held blocks, see feedlog.have

A path is a feed's namespaces and its name, each as size(2) || UTF-8, so that no two
paths are written alike. Values are MessagePack. Specified in docs/spec/store.md.
Knows names, keys and secrets. Must not know blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, TypeVar

import msgspec

from feedlog.errors import CorruptError, StoreError
from feedlog.head import Head
from feedlog.layout import MAX_FEEDS
from feedlog.storage import Reader, Writer

FORMAT = 1
MAX_PATH_SIZE = 500
"""Bytes of a path: with its prefix it must fit a key of the map, which has 511 at most."""

PREFIX = b"\x00\x00\x00"
HEADER = PREFIX + b"s"
FEED = PREFIX + b"f"
KEY = PREFIX + b"k"
NAME = PREFIX + b"n"
EVIDENCE = PREFIX + b"e"
USER_DATA = PREFIX + b"u"

Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signatures = tuple[tuple[int, bytes], ...]


class Header(msgspec.Struct, array_like=True, frozen=True):
    """What the store says of itself."""

    format: int
    secret: Bytes32
    next_number: int


class FeedMeta(msgspec.Struct, array_like=True, frozen=True):
    """What the store knows of a feed beside its blocks."""

    key: Bytes32
    manifest: bytes = b""
    """Empty until a replica's first proof brings it."""
    seeds: tuple[Bytes32, ...] = ()
    """Of the signers whose secret keys are here, but for the one that a name derives."""
    name: str | None = None
    dense: bool = False
    """Written here from its first block: what is not noted otherwise is held."""
    encryption_key: bytes = b""
    namespace: tuple[str, ...] = ()
    """The namespaces that the name is in, outermost first."""

    @property
    def path(self) -> tuple[str, ...]:
        """The namespaces and the name; empty without a name."""
        return () if self.name is None else (*self.namespace, self.name)

    def with_manifest(self, manifest: bytes) -> FeedMeta:
        """Return the same facts with the manifest filled in."""
        return msgspec.structs.replace(self, manifest=manifest)


class Evidence(msgspec.Struct, array_like=True, frozen=True):
    """Two heads (length, tree hash, signatures) of one fork that contradict each other."""

    fork: int
    left: tuple[int, bytes, Signatures]
    right: tuple[int, bytes, Signatures]
    proof: bytes
    """The proof that brought the right one."""


_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def _load(reader: Reader, key: bytes, kind: type[_Struct]) -> _Struct | None:
    value = reader.get(key)
    if value is None:
        return None
    try:
        return msgspec.msgpack.decode(value, type=kind)
    except msgspec.DecodeError as error:
        raise CorruptError(f"the store's entry {key[3:]!r} does not parse: {error}") from None


def _save(writer: Writer, key: bytes, value: msgspec.Struct) -> None:
    writer.put(key, msgspec.msgpack.encode(value))


def load_header(reader: Reader) -> Header | None:
    """Return the header, or None for a new store; raises `StoreError` for an unknown format."""
    header = _load(reader, HEADER, Header)
    if header is not None and header.format != FORMAT:
        raise StoreError(f"the store has format {header.format}; this version reads {FORMAT}")
    return header


def create_header(writer: Writer, secret: bytes) -> Header:
    """Write the header of a new store."""
    header = Header(FORMAT, secret, 1)
    _save(writer, HEADER, header)
    return header


def find_by_key(reader: Reader, key: bytes) -> int | None:
    """Return the number of the feed with this key."""
    value = reader.get(KEY + key)
    return None if value is None else int.from_bytes(value, "big")


def path_key(path: Sequence[str]) -> bytes:
    """Return the key of a path's entry; raises `ValueError` for a path that is not possible."""
    encoded = b""
    for name in path:
        if not isinstance(name, str):
            raise TypeError(f"a name is text, not {type(name).__name__}")
        part = name.encode()
        if not part:
            raise ValueError("a name has at least one byte")
        encoded += len(part).to_bytes(2, "big") + part
    if len(encoded) > MAX_PATH_SIZE:
        raise ValueError(
            f"a name with its namespaces has at most {MAX_PATH_SIZE} bytes, 2 more for each: "
            f"not {len(encoded)}"
        )
    return NAME + encoded


def find_by_path(reader: Reader, path: Sequence[str]) -> int | None:
    """Return the number of the feed with this name in these namespaces."""
    value = reader.get(path_key(path))
    return None if value is None else int.from_bytes(value, "big")


def load_feed(reader: Reader, number: int) -> FeedMeta | None:
    """Return what is known of a feed."""
    return _load(reader, FEED + number.to_bytes(3, "big"), FeedMeta)


def save_feed(writer: Writer, number: int, meta: FeedMeta) -> None:
    """Replace what is known of a feed."""
    _save(writer, FEED + number.to_bytes(3, "big"), meta)


def require_feed(reader: Reader, number: int, key: bytes) -> None:
    """Raise `StoreError` unless the feed with this key has this number, as it once had."""
    if find_by_key(reader, key) != number:
        raise StoreError(
            "the feed is not in the store: it was purged, or making it was rolled back"
        )


def add_feed(writer: Writer, meta: FeedMeta, *, least: int = 1) -> int:
    """Enter a new feed under its key and name; return its number, which is `least` or more."""
    header = load_header(writer)
    assert header is not None, "a store without header is never used"
    number = max(header.next_number, least)
    if number > MAX_FEEDS:
        raise StoreError(f"the store holds {MAX_FEEDS} feeds, which is its limit")
    _save(writer, HEADER, Header(header.format, header.secret, number + 1))
    save_feed(writer, number, meta)
    writer.put(KEY + meta.key, number.to_bytes(3, "big"))
    if meta.name is not None:
        writer.put(path_key(meta.path), number.to_bytes(3, "big"))
    return number


def remove_feed(writer: Writer, number: int, meta: FeedMeta) -> None:
    """Forget a feed; its number is not used again."""
    writer.delete(FEED + number.to_bytes(3, "big"))
    writer.delete(EVIDENCE + number.to_bytes(3, "big"))
    writer.delete_range(*user_data_bounds(number))
    writer.delete(KEY + meta.key)
    if meta.name is not None:
        writer.delete(path_key(meta.path))


def user_data_prefix(number: int) -> bytes:
    """Return what the keys of a feed's user data begin with."""
    return USER_DATA + number.to_bytes(3, "big")


def user_data_bounds(number: int) -> tuple[bytes, bytes]:
    """Return the half-open range of keys of a feed's user data."""
    return user_data_prefix(number), user_data_prefix(number + 1)


def feeds(reader: Reader) -> Iterator[tuple[int, FeedMeta]]:
    """Yield number and facts of every feed, oldest first."""
    for key, _ in reader.scan(FEED, FEED + b"\xff" * 4):
        number = int.from_bytes(key[-3:], "big")
        meta = load_feed(reader, number)
        assert meta is not None, "scanned a moment ago in the same transaction"
        yield number, meta


def load_evidence(reader: Reader, number: int) -> Evidence | None:
    """Return the evidence against a feed's writer, if there is any."""
    return _load(reader, EVIDENCE + number.to_bytes(3, "big"), Evidence)


def contradicting_heads(evidence: Evidence) -> tuple[Head, Head]:
    """Return the two heads of the evidence."""
    fork = evidence.fork
    return Head(fork, *evidence.left), Head(fork, *evidence.right)


def save_evidence(writer: Writer, number: int, evidence: Evidence) -> None:
    """Keep evidence; the first of a fork stays."""
    known = load_evidence(writer, number)
    if known is None or known.fork < evidence.fork:
        _save(writer, EVIDENCE + number.to_bytes(3, "big"), evidence)
