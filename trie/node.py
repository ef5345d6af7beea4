"""The bytes of a block: one key's put or delete, and the rows that make it a root.

    kind    1 byte       0 chunk, 1 put, 2 put with the value in chunks, 3 delete
    span    varint       blocks of the write that ends here; 0 inside a batch
    key     varint size, bytes
    value   kind 1: varint size, bytes
            kind 2: varint distance back to its first chunk, varint size
    rows    to the end of the block, in ascending order of level; each
            1 byte       low 5 bits: levels skipped since the row before, 31: 31 and a
                         varint more; high 3 bits: width of a pointer less 1
            2 bytes      bitmap, big-endian: bit d is set for a pointer at digit d
            varint       keys below the pointers, less the number of pointers
            pointers     distances back, big-endian, ascending digits

A row at level L points to the newest node of each subtree whose path agrees with
this node's up to L and has another digit there. Distances make forward pointers
and cycles unsayable. Integers are in their shortest form, so a node has one
encoding. A chunk is 0 and up to CHUNK_SIZE bytes of a long value.

Specified in docs/spec/trie.md, section 4. Knows one block and its index; must not
know other blocks, nor whether what it points to is what it should be.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from trie.errors import MalformedNode
from trie.path import DIGITS, MAX_KEY_SIZE, digit, levels, word_of

CHUNK = 0
PUT = 1
PUT_CHUNKS = 2
DELETE = 3

CHUNK_SIZE = 65535
"""Bytes of a long value in one block, which then has 64 KiB with its kind."""
MAX_INLINE_SIZE = 1024
"""Longer values go to chunks: a lookup fetches the nodes that it passes with their values."""
MAX_VALUE_SIZE = 1 << 30
"""One value is one Python object; larger data belongs in a feed of its own."""
MAX_NODE_SIZE = 1 << 20
"""Room for a full row at each of the 8,000 levels of the longest text in key order."""
MAX_WIDTH = 5
"""A feed holds at most 2**40 blocks."""

_TWO_BYTES = [struct.Struct(f">{number}H") for number in range(DIGITS)]
_FOUR_BYTES = [struct.Struct(f">{number}I") for number in range(DIGITS)]
_GAP_MORE = 31
_MAX_VARINT = 8


class Row(NamedTuple):
    """The pointers of one level."""

    level: int
    bitmap: int
    """Bit d is set when there is a pointer for digit d."""
    below: int
    """Keys in the subtrees of all pointers, as their writer counted."""
    pointers: Sequence[int]
    """Block indexes in the order of their digits."""

    def at(self, at_digit: int) -> int:
        """Return the block that a digit points to, or 0."""
        bit = 1 << at_digit
        if not self.bitmap & bit:
            return 0
        return self.pointers[(self.bitmap & (bit - 1)).bit_count()]


_NO_ROWS: tuple[Row, ...] = ()
_NO_RUN = (0, 0)
_DIGITS_OF: dict[int, tuple[int, ...]] = {}


def digits_of(bitmap: int) -> tuple[int, ...]:
    """Return the digits that a bitmap names, ascending."""
    found = _DIGITS_OF.get(bitmap)
    if found is None:
        found = tuple(d for d in range(DIGITS) if bitmap >> d & 1)
        _DIGITS_OF[bitmap] = found  # at most 65536 entries
    return found


class Node:
    """One decoded block. Rows are parsed when they are first needed."""

    __slots__ = (
        "_block",
        "_rows",
        "_rows_at",
        "index",
        "key",
        "kind",
        "links",
        "path",
        "run",
        "span",
        "value",
        "word",
    )

    def __init__(
        self,
        index: int,
        block: bytes,
        kind: int,
        span: int,
        key: bytes,
        value: bytes,
        run: tuple[int, int],
        rows_at: int,
    ) -> None:
        self.index = index
        self.kind = kind
        self.span = span
        self.key = key
        self.value = value
        """The value of a PUT; empty otherwise."""
        self.run = run
        """The first chunk's index and the value's size, of a PUT_CHUNKS."""
        self.path = b""
        """Set by whoever knows the trie's hash: see `place`."""
        self.word = 0
        self.links: dict[int, int] | None = None
        """Pointers that lookups have followed, so that the next needs no row."""
        self._block = block
        self._rows_at = rows_at
        self._rows: Sequence[Row] | None = None

    def place(self, path: bytes) -> Node:
        """Set the path of the node's key."""
        self.path = path
        self.word = word_of(path)
        return self

    @property
    def live(self) -> bool:
        """Whether the node's key has a value."""
        return self.kind != DELETE

    @property
    def rows(self) -> Sequence[Row]:
        """All rows, ascending; raises `MalformedNode`."""
        rows = self._rows
        if rows is None:
            if self._rows_at == len(self._block):
                rows = _NO_ROWS
            else:
                rows = _decode_rows(self.index, self._block, self._rows_at, self.path)
            self._rows = rows
        return rows

    def adopt(self, rows: Sequence[Row]) -> None:
        """Take rows that are already at hand: those that the block was encoded from."""
        self._rows = rows

    def row(self, level: int) -> Row | None:
        """Return the row at a level, or None."""
        for row in self.rows:
            if row.level >= level:
                return row if row.level == level else None
        return None

    def count(self, entry: int) -> int:
        """Return the keys in the subtree that is entered here at level `entry`.

        Raises `MalformedNode` where there would be more of them than blocks.
        """
        total = int(self.kind != DELETE)
        for row in reversed(self.rows):
            if row.level < entry:
                break
            total += row.below
        if total > self.index:
            raise MalformedNode(self.index, f"counts {total} keys, more than there are blocks")
        return total

    def misplaced(self) -> MalformedNode:
        """Return the error for a node that stands where its key does not belong."""
        return MalformedNode(self.index, "its key's path does not lead here")


# Encoding.


_ONE_BYTE = [bytes((number,)) for number in range(0x80)]


def varint(number: int) -> bytes:
    """Return an integer in base 128, low digits first."""
    if number < 0x80:
        return _ONE_BYTE[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode(
    index: int,
    kind: int,
    span: int,
    key: bytes,
    value: bytes,
    run: tuple[int, int],
    rows: Sequence[Row],
) -> bytes:
    """Return the block of a node that will stand at `index`."""
    return encode_rows(index, encode_head(index, kind, span, key, value, run), rows)


def encode_head(
    index: int, kind: int, span: int, key: bytes, value: bytes, run: tuple[int, int]
) -> bytes:
    """Return all of a node's block but its rows."""
    head = b"%c%b%b%b" % (kind, varint(span), varint(len(key)), key)
    if kind == PUT:
        return head + varint(len(value)) + value
    if kind == PUT_CHUNKS:
        return head + varint(index - run[0]) + varint(run[1])
    return head


def encode_put(key: bytes, value: bytes) -> bytes:
    """Return what `encode_head` does for a put inside of a batch, wherever it will stand."""
    if len(key) < 0x80 and len(value) < 0x80:
        return b"\x01\x00%c%b%c%b" % (len(key), key, len(value), value)
    return encode_head(0, PUT, 0, key, value, _NO_RUN)


def encode_rows(index: int, head: bytes, rows: Sequence[Row]) -> bytes:
    """Return the block of a node from its head and its rows, which are in ascending order."""
    parts = [head]
    before = -1
    for row in rows:
        parts.append(_encode_row(index, row, row.level - before - 1))
        before = row.level
    return b"".join(parts)


def _encode_row(index: int, row: Row, gap: int) -> bytes:
    _, bitmap, below, pointers = row
    distances = [index - pointer for pointer in pointers]
    extra = below - len(distances)
    furthest = max(distances)
    if furthest < 0x100 and extra < 0x80 and gap < _GAP_MORE:  # most rows of a batch
        return bytes((gap, bitmap >> 8, bitmap & 255, extra, *distances))
    width = (furthest.bit_length() + 7) // 8
    if width == 1:
        packed = bytes(distances)
    elif width == 2:
        packed = _TWO_BYTES[len(distances)].pack(*distances)
    else:
        packed = b"".join([distance.to_bytes(width) for distance in distances])
    skipped = b"" if gap < _GAP_MORE else varint(gap - _GAP_MORE)
    first = min(gap, _GAP_MORE) | (width - 1) << 5
    return b"%c%b%c%c%b%b" % (first, skipped, bitmap >> 8, bitmap & 255, varint(extra), packed)


def encode_chunk(data: bytes) -> bytes:
    """Return the block of one piece of a long value."""
    return bytes((CHUNK,)) + data


# Decoding: of a hostile writer's bytes, too.


def is_chunk(block: bytes) -> bool:
    """Tell whether a block is a piece of a value rather than a node."""
    return block[:1] == b"\x00"


def _read_varint(index: int, block: bytes, at: int) -> tuple[int, int]:
    """Return an integer and where it ends; IndexError past the end of the block."""
    byte = block[at]
    at += 1
    if byte < 0x80:
        return byte, at
    number = byte & 0x7F
    for shift in range(7, 7 * _MAX_VARINT, 7):
        byte = block[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if not byte:
                raise MalformedNode(index, f"an integer before byte {at} is not in shortest form")
            return number, at
    raise MalformedNode(index, f"an integer before byte {at} has more than {_MAX_VARINT} bytes")


def decode(index: int, block: bytes) -> Node:
    """Parse a block up to its rows; raises `MalformedNode`, whatever the bytes are."""
    if len(block) > MAX_NODE_SIZE:
        raise MalformedNode(index, f"{len(block)} bytes, the limit of a node is {MAX_NODE_SIZE}")
    try:
        return _decode(index, block)
    except IndexError:
        raise MalformedNode(index, f"ends early, after {len(block)} bytes") from None


def _decode(index: int, block: bytes) -> Node:
    kind = block[0]
    if not PUT <= kind <= DELETE:
        raise MalformedNode(index, "a chunk of a value" if kind == CHUNK else f"of kind {kind}")
    span, size, at = block[1], block[2], 3
    if span > 0x7F or size > 0x7F:
        span, at = _read_varint(index, block, 1)
        size, at = _read_varint(index, block, at)
    if span > index + 1:
        raise MalformedNode(index, f"ends a write of {span} blocks")
    if size > MAX_KEY_SIZE:
        raise MalformedNode(index, f"a key of {size} bytes, the limit is {MAX_KEY_SIZE}")
    key = block[at : at + size]
    at += size
    value, run = b"", _NO_RUN
    if kind == PUT:
        size = block[at]
        at += 1
        if size > 0x7F:
            size, at = _read_varint(index, block, at - 1)
        if size > MAX_INLINE_SIZE:
            raise MalformedNode(index, f"{size} bytes inline, the limit is {MAX_INLINE_SIZE}")
        value = block[at : at + size]
        at += size
    elif kind == PUT_CHUNKS:
        distance, at = _read_varint(index, block, at)
        size, at = _read_varint(index, block, at)
        run = (index - distance, size)
        if not MAX_INLINE_SIZE < size <= MAX_VALUE_SIZE:
            raise MalformedNode(index, f"refers to a value of {size} bytes")
        if run[0] < 1 or distance < chunks(size):
            raise MalformedNode(index, f"refers to {chunks(size)} chunks {distance} blocks back")
    if at > len(block):
        raise IndexError
    return Node(index, block, kind, span, key, value, run, at)


def chunks(size: int) -> int:
    """Return how many chunks a value of this size takes."""
    return -(-size // CHUNK_SIZE)


def decode_chunk(index: int, block: bytes, size: int) -> bytes:
    """Return the piece of a value that a chunk holds; it must have `size` bytes."""
    if not is_chunk(block) or len(block) != size + 1:
        raise MalformedNode(index, f"not the chunk of {size} bytes that a node refers to")
    return block[1:]


def _decode_rows(index: int, block: bytes, at: int, path: bytes) -> list[Row]:
    try:
        return _read_rows(index, block, at, path)
    except IndexError:
        raise MalformedNode(index, f"its rows end early, after {len(block)} bytes") from None


def _read_rows(index: int, block: bytes, at: int, path: bytes) -> list[Row]:
    rows: list[Row] = []
    end, level, last = len(block), -1, levels(path)
    while at < end:
        first = block[at]
        at += 1
        gap = first & 31
        if gap == _GAP_MORE:
            more, at = _read_varint(index, block, at)
            gap += more
        level += gap + 1
        if level >= last:
            raise MalformedNode(index, f"a row at level {level} of a path of {last} digits")
        bitmap = block[at] << 8 | block[at + 1]
        if not bitmap:
            raise MalformedNode(index, f"row {level} has no pointers")
        if bitmap >> digit(path, level) & 1:
            raise MalformedNode(index, f"row {level} points away at the key's own digit")
        extra, at = block[at + 2], at + 3
        if extra > 0x7F:
            extra, at = _read_varint(index, block, at - 1)
        number = bitmap.bit_count()
        width = (first >> 5) + 1
        if width > MAX_WIDTH:
            raise MalformedNode(index, f"row {level} has pointers of {width} bytes")
        start, at = at, at + number * width
        distances = _distances(block[start:at], number, width)
        furthest = max(distances)
        if furthest >= index or not min(distances):
            raise MalformedNode(index, f"row {level} points outside of the blocks 1..{index - 1}")
        if width > 1 and not furthest >> 8 * (width - 1):
            raise MalformedNode(index, f"row {level} has pointers wider than they need to be")
        pointers = tuple([index - distance for distance in distances])
        rows.append(Row(level, bitmap, extra + number, pointers))
    return rows


def _distances(packed: bytes, number: int, width: int) -> Sequence[int]:
    if len(packed) != number * width:
        raise IndexError
    if width == 1:
        return packed
    if width == 2:
        return _TWO_BYTES[number].unpack(packed)
    if width == 3:
        wider = bytearray(4 * number)  # three strided copies cost less than a loop over numbers
        wider[1::4], wider[2::4], wider[3::4] = packed[::3], packed[1::3], packed[2::3]
        return _FOUR_BYTES[number].unpack(wider)
    return [int.from_bytes(packed[at : at + width]) for at in range(0, len(packed), width)]
