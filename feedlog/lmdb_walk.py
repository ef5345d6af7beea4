"""A walk over all pages of an LMDB data file, which LMDB need not survive.

LMDB trusts the pages that it maps: a damaged length sends it past the end of the file,
and the interpreter dies of SIGBUS. This walk reads the same pages with `pread`, and
checks on every page that both trees reach all that LMDB relies on, some 200 MB/s:

    page       16 bytes: u64 own number, u16 pad, u16 flags, u16 lower, u16 upper
               then u16 offsets of the nodes, `(lower - 16) / 2` of them
    overflow   the same, but the last 4 bytes are one u32: how many pages belong together
    node       u16 low, u16 high, u16 flags, u16 key length, key, data
               leaf: low | high << 16 is the data's length; flag 1: the data is a page number
               branch: low | high << 16 | flags << 32 is the page number of the child
    free page  a key of 8 bytes, the transaction; data: u64 count, then page numbers falling

Every page is reached once, keys rise within the bounds that the branches set, nodes
lie inside of their pages, and the counts are those of the meta page. What it cannot
see is a changed value: checksum.py does. Read under the writer's lock, or from a file
that nobody writes. Must not know what keys and values mean.
"""

from __future__ import annotations

import os
import struct
import sys
from operator import gt, lt
from pathlib import Path

from feedlog.errors import CorruptError
from feedlog.lmdb_file import Database, latest_meta

HEADER = struct.Struct("=Q H H H H")
EXTENT = struct.Struct("=Q H H I")
NODE = struct.Struct("=H H H H")
assert HEADER.size == EXTENT.size == 16
assert NODE.size == 8

BRANCH, LEAF, OVERFLOW = 1, 2, 4
IN_OVERFLOW = 1
Node = tuple[int, int, int, int, int]
Bounds = tuple[bytes | None, bytes | None]
"""The least key that may stand in a subtree, and the least that may not."""


def walk(path: Path) -> None:
    """Raise `CorruptError` naming the first fault in the structure of a data file."""
    meta = latest_meta(path)
    try:
        with path.open("rb", buffering=0) as file:
            pages = PageWalk(file.fileno(), meta.free.page_size, meta.last_page)
            pages.tree(meta.main, free=False)
            pages.tree(meta.free, free=True)
    except CorruptError as fault:
        raise CorruptError(f"{path} is damaged: {fault}") from None


class PageWalk:
    """One pass over a file; remembers which pages it has met."""

    def __init__(self, fd: int, page_size: int, last_page: int) -> None:
        self._fd = fd
        self._page_size = page_size
        self._last_page = last_page
        self._met = bytearray(last_page + 1)

    def tree(self, tree: Database, *, free: bool) -> None:
        """Walk one of the two trees, and compare it with the counts in the meta page."""
        branches = leaves = extents = entries = 0
        stack: list[tuple[int, int, Bounds]] = []
        if tree.depth:
            stack.append((tree.root, 1, (None, None)))
        while stack:
            number, level, bounds = stack.pop()
            if level < tree.depth:
                branches += 1
                stack += self._children(number, level + 1, bounds, free=free)
            else:
                leaves += 1
                count, used = self._leaf(number, bounds, free=free)
                entries += count
                extents += used
        found = (branches, leaves, extents, entries)
        told = (tree.branch_pages, tree.leaf_pages, tree.overflow_pages, tree.entries)
        if found != told:
            raise CorruptError(
                f"branch, leaf and overflow pages and entries are {found}; "
                f"the meta page says {told}"
            )

    def _children(
        self, number: int, level: int, bounds: Bounds, *, free: bool
    ) -> list[tuple[int, int, Bounds]]:
        page, nodes = self._nodes(number, BRANCH)
        if len(nodes) < 2:
            raise CorruptError(f"branch page {number} has {len(nodes)} children")
        room = sum(NODE.size + key_size + (key_size & 1) for _, _, _, _, key_size in nodes)
        if room != self._page_size - HEADER.unpack_from(page)[4]:
            raise CorruptError(f"the nodes of page {number} overlap")
        keys = self._keys(page, nodes[1:], free=free)  # the key of the first one does not count
        self._check_order(number, keys, bounds)
        edges = [bounds[0], *keys, bounds[1]]
        children = [low | high << 16 | flags << 32 for _, low, high, flags, _ in nodes]
        return [(child, level, (edges[i], edges[i + 1])) for i, child in enumerate(children)]

    def _leaf(self, number: int, bounds: Bounds, *, free: bool) -> tuple[int, int]:
        """Check a leaf; return its entries and the overflow pages that belong to them."""
        page, nodes = self._nodes(number, LEAF)
        room = extents = 0
        for at, low, high, flags, key_size in nodes:
            size = low | high << 16
            start = at + NODE.size + key_size
            if flags == IN_OVERFLOW:
                inside = 8
                extents += self._extent(number, page[start : start + 8], size, free=free)
            elif flags == 0:
                inside = size
                if free:
                    self._free_pages(page[start : start + size], number)
            else:
                raise CorruptError(f"an entry on page {number} has the unknown flags {flags:#x}")
            end = start + inside
            if end > self._page_size:
                raise CorruptError(f"an entry on page {number} ends at {end}")
            room += end - at + ((end - at) & 1)
        if room != self._page_size - HEADER.unpack_from(page)[4]:
            raise CorruptError(f"the entries of page {number} overlap")
        self._check_order(number, self._keys(page, nodes, free=free), bounds)
        return len(nodes), extents

    def _nodes(self, number: int, kind: int) -> tuple[bytes, list[Node]]:
        """Return a branch or leaf page and its nodes: offset, low, high, flags, key size."""
        self._meet(number, 1)
        page = self._read(number, 0, self._page_size)
        own, _, flags, lower, upper = HEADER.unpack_from(page)
        if own != number or flags != kind:
            raise CorruptError(
                f"page {number} is marked as page {own} of kind {flags:#x}, not {kind:#x}"
            )
        if not HEADER.size <= lower <= upper <= self._page_size or lower & 1:
            raise CorruptError(f"page {number} has its free room from {lower} to {upper}")
        offsets = struct.unpack_from(f"={(lower - HEADER.size) >> 1}H", page, HEADER.size)
        if not offsets or min(offsets) < upper or max(offsets) > self._page_size - NODE.size:
            raise CorruptError(f"page {number} has nodes outside of it, or none")
        return page, [(at, *NODE.unpack_from(page, at)) for at in offsets]

    def _keys(self, page: bytes, nodes: list[Node], *, free: bool) -> list[bytes]:
        start = NODE.size
        keys = [page[at + start : at + start + key_size] for at, _, _, _, key_size in nodes]
        if not free:
            return keys
        # Transaction numbers are compared as integers; big-endian bytes have the same order.
        return [key[::-1] if sys.byteorder == "little" else key for key in keys]

    def _check_order(self, number: int, keys: list[bytes], bounds: Bounds) -> None:
        low, high = bounds
        rising = all(map(lt, keys, keys[1:])) and keys[0] > b""
        if not rising or (low is not None and keys[0] < low):
            raise CorruptError(f"the keys on page {number} do not rise")
        if high is not None and keys[-1] >= high:
            raise CorruptError(f"the keys on page {number} reach into the next page")

    def _extent(self, leaf: int, pointer: bytes, size: int, *, free: bool) -> int:
        """Check a value that has pages of its own; return how many they are."""
        number = int.from_bytes(pointer, sys.byteorder)
        needed = -(-(EXTENT.size + size) // self._page_size)
        if len(pointer) != 8 or not 2 <= number <= self._last_page:
            raise CorruptError(f"an entry on page {leaf} lies on page {number}")
        header = self._read(number, 0, EXTENT.size)
        count: int
        own, _, flags, count = EXTENT.unpack(header)
        if own != number or flags != OVERFLOW or count < needed:
            raise CorruptError(
                f"page {number} does not begin {needed} pages of a value of page {leaf}"
            )
        self._meet(number, count)
        if free:
            self._free_pages(self._read(number, EXTENT.size, size), number)
        else:
            self._read(number + count - 1, self._page_size - 1, 1)
        return count

    def _free_pages(self, data: bytes, number: int) -> None:
        """Check the page numbers that one transaction freed: a count, then falling numbers."""
        if len(data) < 8 or len(data) & 7:
            raise CorruptError(f"a list of free pages on page {number} has {len(data)} bytes")
        count, *pages = struct.unpack(f"={len(data) >> 3}Q", data)
        if count > len(pages) or not all(map(gt, pages[: count - 1], pages[1:count])):
            raise CorruptError(f"a list of free pages on page {number} is out of order")
        for page in pages[:count]:
            self._meet(page, 1)

    def _read(self, number: int, start: int, size: int) -> bytes:
        data = os.pread(self._fd, size, number * self._page_size + start)
        if len(data) < size:
            raise CorruptError(f"page {number} is in use, and the file ends before it does")
        return data

    def _meet(self, number: int, count: int) -> None:
        """Enter `count` pages from `number` on: each belongs to one thing only."""
        if not 2 <= number <= number + count - 1 <= self._last_page:
            raise CorruptError(
                f"pages {number} to {number + count - 1} of {self._last_page} are in use"
            )
        if any(self._met[number : number + count]):
            raise CorruptError(f"page {number} is used twice")
        self._met[number : number + count] = b"\1" * count
