"""Where a feed's entries lie in the ordered map, and the bytes of each.

Each node of the tree is stored with the block that completed it, so that a
single append touches one place of the B-tree and a batch pays one insert a
block. Specified in docs/spec/store.md; docs/adr/0002-tree-packing.md has the
measurements. Keys, big-endian so that their order is the order of the log:

    number(3) || place(5)                       record of block place - 1
    number(3) || place(5) || 0                  data of block place - 1, where it is large
    number(3) || place(5) || 1 || fork(4)       head of length `place`

`number` is the feed's number in this store, from 1. The greatest key of a feed
is its latest head. Number 0 is the store's own: 0(3) || tag(1) || ...

Values (the storage adds a checksum to each):

    record      flags(1) || [levels(8)] || nodes || [data]
    data        bytes
    head        tree hash(32) || byte length(8) || count(1) || count x (place(1) || signature(64))

A record's nodes ascend by level, each as hash(32) || size(1 to 8, little-endian).
Where the record has the block's data, its leaf has no size: it is the data's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from feedlog.hashing import HASH_SIZE
from feedlog.head import Head
from feedlog.keys import SIGNATURE_SIZE
from feedlog.merkle import Run, TreeNode

MAX_FEEDS = (1 << 24) - 2
"""The greatest number of a feed: the one after it ends its range of keys."""
PLACE_BITS = 40
KEY_SIZE = 8
INLINE_SIZE = 1024
"""Blocks to this size stand in their record; larger ones would spread the tree's nodes thin."""

DATA_SUFFIX = b"\x00"
HEAD_SUFFIX = b"\x01"
HEAD_KEY_SIZE = KEY_SIZE + 5

WIDTH_MASK = 0x07
INLINE = 0x08
OUTSIDE = 0x10
PARTIAL = 0x20
"""Not all the nodes that this block completes are here: a bit set of their levels follows."""

_FLAG_BYTES = [bytes((flags,)) for flags in range(64)]


def bounds(number: int) -> tuple[bytes, bytes]:
    """Return the half-open range of keys that belong to a feed."""
    return number.to_bytes(3, "big"), (number + 1).to_bytes(3, "big")


def record_key(number: int, block: int) -> bytes:
    """Return the key of a block's record."""
    return (number << PLACE_BITS | block + 1).to_bytes(KEY_SIZE, "big")


def block_of(key: bytes) -> int:
    """Return the block whose record, data or head an entry is."""
    return int.from_bytes(key[3:KEY_SIZE], "big") - 1


def head_key(number: int, length: int, fork: int) -> bytes:
    """Return the key of a head."""
    return record_key(number, length - 1) + HEAD_SUFFIX + fork.to_bytes(4, "big")


def full_levels(block: int) -> int:
    """Return how many nodes a block completes: its leaf, and a parent for each carry."""
    return (~block & (block + 1)).bit_length()


class Record:
    """One block's record, decoded."""

    __slots__ = ("block", "data", "nodes", "outside")

    def __init__(
        self,
        block: int,
        nodes: dict[int, TreeNode],
        data: bytes | None = None,
        *,
        outside: bool = False,
    ) -> None:
        """Take the nodes by level, and the data where it is inline."""
        self.block = block
        self.nodes = nodes
        self.data = data
        self.outside = outside

    @property
    def held(self) -> bool:
        """Tell whether the block's data is here, in the record or beside it."""
        return self.data is not None or self.outside

    def agrees_with(self, levels: Mapping[int, TreeNode]) -> bool:
        """Tell whether no node of the record differs from these, given by level."""
        return all(self.nodes.get(level, node) == node for level, node in levels.items())

    def to_bytes(self) -> bytes:
        """Return the record's value."""
        return encode_record(self.block, self.nodes, self.data, outside=self.outside)

    @classmethod
    def from_bytes(cls, body: bytes, block: int) -> Record:
        """Decode a record's value."""
        flags = body[0]
        width = (flags & WIDTH_MASK) + 1
        at = 1
        if flags & PARTIAL:
            mask = int.from_bytes(body[1:9], "little")
            at = 9
        else:
            mask = (1 << full_levels(block)) - 1
        nodes: dict[int, TreeNode] = {}
        leaf = None
        for level in range(mask.bit_length()):
            if not mask >> level & 1:
                continue
            digest = body[at : at + HASH_SIZE]
            at += HASH_SIZE
            if level == 0 and flags & INLINE:
                leaf = digest
                continue
            nodes[level] = (int.from_bytes(body[at : at + width], "little"), digest)
            at += width
        data = body[at:] if flags & INLINE else None
        if leaf is not None and data is not None:
            nodes[0] = (len(data), leaf)
        return cls(block, nodes, data, outside=bool(flags & OUTSIDE))


def encode_record(
    block: int, nodes: Mapping[int, TreeNode], data: bytes | None = None, *, outside: bool = False
) -> bytes:
    """Return the value of a record: nodes by level, and the data where it is inline."""
    levels = sorted(nodes) if len(nodes) > 1 else nodes
    mask = top = 0
    for level in levels:
        mask |= 1 << level
        top = level
    width = (nodes[top][0].bit_length() + 7) // 8 or 1 if nodes else 1
    flags = width - 1
    if data is not None:
        flags |= INLINE
    elif outside:
        flags |= OUTSIDE
    if mask == (block ^ (block + 1)):  # a bit for the leaf and for each carry
        parts = [_FLAG_BYTES[flags]]
    else:
        parts = [_FLAG_BYTES[flags | PARTIAL], mask.to_bytes(8, "little")]
    for level in levels:
        size, digest = nodes[level]
        if level or data is None:
            parts += (digest, size.to_bytes(width, "little"))
        else:
            parts.append(digest)
    if data is not None:
        parts.append(data)
    return b"".join(parts)


def parse_record(value: bytes, block: int) -> Record | None:
    """Decode a record's value, or return None unless it is exactly what `to_bytes` gives."""
    try:
        record = Record.from_bytes(value, block)
        return record if record.to_bytes() == value else None
    except (IndexError, OverflowError):
        return None


def _width(size: int) -> int:
    return (size.bit_length() + 7) // 8 or 1


def complete_record(column: list[TreeNode], block: bytes | None) -> bytes:
    """Return the value of a record that has all its nodes: the short way for appends.

    `block` is None where the data stands outside. Equals `Record.to_bytes`.
    """
    leaf_size, leaf = column[0]
    if len(column) == 1:
        if block is not None:
            return _FLAG_BYTES[INLINE | (_width(leaf_size) - 1)] + leaf + block
        width = _width(leaf_size)
        return _FLAG_BYTES[OUTSIDE | (width - 1)] + leaf + leaf_size.to_bytes(width, "little")
    width = _width(column[-1][0])
    if block is not None:
        parts = [_FLAG_BYTES[INLINE | (width - 1)], leaf]
    else:
        parts = [_FLAG_BYTES[OUTSIDE | (width - 1)], leaf, leaf_size.to_bytes(width, "little")]
    for size, digest in column[1:]:
        parts.append(digest)
        parts.append(size.to_bytes(width, "little"))
    if block is not None:
        parts.append(block)
    return b"".join(parts)


def complete_records(run: Run, start: int, blocks: Sequence[bytes]) -> list[bytes]:
    """Return the values of the records of adjacent blocks from `start` on: the way for batches.

    All nodes that they complete are in the run, and all data stands inside. Blocks
    that complete equally many nodes are spaced evenly, and so are their nodes on each
    level: their records are joined from columns.
    """
    records = [b""] * len(blocks)
    for top in range(len(run.levels)):
        step = 2 << top
        at = ((1 << top) - 1 - start) % step
        data = blocks[at::step]
        if not data:
            continue
        columns: list[list[bytes]] = []
        widths: list[int] = []
        for level in range(top, -1, -1):
            left, sizes, hashes = run.levels[level]
            stride = step >> level
            first = (start + at >> level) - left
            chosen = slice(first, first + stride * len(data), stride)
            if level == top:
                widths = _widths(sizes[chosen])
            if level:
                sized = zip(sizes[chosen], widths, strict=True)
                columns.append([size.to_bytes(width, "little") for size, width in sized])
            columns.append(hashes[chosen])
        columns.append([_FLAG_BYTES[INLINE | width - 1] for width in widths])
        columns.reverse()
        records[at::step] = list(map(b"".join, zip(*columns, data, strict=True)))
    return records


def _widths(sizes: list[int]) -> list[int]:
    """Return in how many bytes each of these sizes is written, in records of their own."""
    width = _width(max(sizes))
    if width == _width(min(sizes)):
        return [width] * len(sizes)
    return [_width(size) for size in sizes]


def read_node(value: bytes, block: int, level: int) -> TreeNode | None:
    """Return one node of a record's value, or None where it is not there: the short way."""
    flags = value[0]
    width = (flags & WIDTH_MASK) + 1
    at, below, leaf = 1, level, 1
    if flags & PARTIAL:
        mask = int.from_bytes(value[1:9], "little")
        if not mask >> level & 1:
            return None
        at, below, leaf = 9, (mask & (1 << level) - 1).bit_count(), mask & 1
    at += below * (HASH_SIZE + width)
    if flags & INLINE:
        if level == 0:
            data = read_inline(value, block)
            assert data is not None, "the flag says so"
            return len(data), value[at : at + HASH_SIZE]
        at -= width * leaf
    after = at + HASH_SIZE
    return int.from_bytes(value[after : after + width], "little"), value[at:after]


def read_inline(body: bytes, block: int) -> bytes | None:
    """Return the data in a record's value, or None where it is not inline: the short way."""
    flags = body[0]
    if not flags & INLINE:
        return None
    width = (flags & WIDTH_MASK) + 1
    if flags & PARTIAL:
        mask = int.from_bytes(body[1:9], "little")
        levels = mask.bit_count()
        return body[9 + HASH_SIZE * levels + width * (levels - (mask & 1)) :]
    levels = (~block & (block + 1)).bit_length()
    return body[1 + HASH_SIZE * levels + width * (levels - 1) :]


def encode_head(head: Head, byte_length: int) -> bytes:
    """Return the value of a head's entry."""
    return (
        head.tree_hash
        + byte_length.to_bytes(8, "little")
        + bytes((len(head.signatures),))
        + b"".join([bytes((place,)) + signature for place, signature in head.signatures])
    )


def decode_head(key: bytes, body: bytes) -> tuple[Head, int]:
    """Return the head of an entry, and the byte length of its feed."""
    length = int.from_bytes(key[3:8], "big")
    fork = int.from_bytes(key[9:13], "big")
    byte_length = int.from_bytes(body[32:40], "little")
    step = 1 + SIGNATURE_SIZE
    signatures = tuple(
        (body[at], body[at + 1 : at + step]) for at in range(41, 41 + body[40] * step, step)
    )
    return Head(fork, length, body[:HASH_SIZE], signatures), byte_length
