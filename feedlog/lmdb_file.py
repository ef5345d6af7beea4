"""What an LMDB data file says about itself, read without LMDB.

LMDB maps the file and trusts it: a page number past the end of a truncated file is a
SIGBUS that ends the interpreter. So before the engine opens a file, both meta pages are
parsed here with `pread`, and their numbers must make sense. They carry no checksum,
but each field is bounded by others, and two commits in a row write the two pages.

    page 0 and 1 (meta)    offset  field
                           0       u64 page number       8  u16 pad     10  u16 flags (8 = meta)
                           16      u32 magic 0xBEEFC0DE  20 u32 version (1 in LMDB 0.9)
                           24      u64 map address       32 u64 map size
                           40      free-page database    88 main database    (48 bytes each)
                           136     u64 last page in use  144 u64 transaction
    a database             u32 page size (free-page database only), u16 flags, u16 depth,
                           u64 branch, leaf, overflow pages, entries, u64 root page

Knows the file format of LMDB 0.9 on this machine's byte order. Must not know
transactions, nor hold any file open.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

from feedlog.errors import CorruptError

META = struct.Struct("=Q H H I I I Q Q")
DATABASE = struct.Struct("=I H H Q Q Q Q Q")
TAIL = struct.Struct("=Q Q")
META_SIZE = META.size + 2 * DATABASE.size + TAIL.size
assert (META.size, DATABASE.size, META_SIZE) == (40, 48, 152)

MAGIC = 0xBEEFC0DE
VERSION = 1
META_FLAG = 8
INTEGER_KEYS = 8
NO_PAGE = 2**64 - 1
PAGE_SIZES = frozenset(2**n for n in range(8, 16))
MAX_DEPTH = 32


class Database(NamedTuple):
    """One of the two trees as a meta page describes it."""

    page_size: int
    flags: int
    depth: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    entries: int
    root: int


class Meta(NamedTuple):
    """One meta page: the state that one committed transaction left."""

    page: int
    page_flags: int
    magic: int
    version: int
    map_size: int
    free: Database
    main: Database
    last_page: int
    transaction: int


def latest_meta(path: Path) -> Meta:
    """Return the meta page that LMDB would follow, or raise `CorruptError`."""
    try:
        with path.open("rb", buffering=0) as file:
            return _latest(file.fileno())
    except FileNotFoundError as error:
        raise CorruptError(f"the store's data file {path} is gone") from error
    except CorruptError as fault:
        raise CorruptError(f"{path} is damaged: {fault}") from None


def reaches_its_last_page(path: Path, meta: Meta) -> bool:
    """Return whether LMDB can touch all pages of this state without leaving the file.

    A sound file may be shorter: pages that were freed at its end are never written.
    """
    return path.stat().st_size >= (meta.last_page + 1) * meta.free.page_size


def _latest(fd: int) -> Meta:
    first = os.pread(fd, META_SIZE, 0)
    if len(first) < META_SIZE:
        raise CorruptError(f"it ends after {len(first)} bytes, inside its first page")
    page_size = _parse(first).free.page_size
    if page_size not in PAGE_SIZES:
        raise CorruptError(f"its page size is {page_size}")
    second = os.pread(fd, META_SIZE, page_size)
    if len(second) < META_SIZE:
        raise CorruptError(f"it ends after {page_size + len(second)} bytes, inside its second page")
    metas = (_parse(first), _parse(second))
    for number, meta in enumerate(metas):
        fault = _meta_fault(meta, number, page_size)
        if fault is not None:
            raise CorruptError(f"meta page {number}: {fault}")
    if abs(metas[0].transaction - metas[1].transaction) > 1:
        raise CorruptError(
            f"its meta pages are of transactions {metas[0].transaction} and "
            f"{metas[1].transaction}, which do not follow each other"
        )
    return max(metas, key=lambda meta: meta.transaction)


def _parse(data: bytes) -> Meta:
    page, _, page_flags, _, magic, version, _, map_size = META.unpack_from(data)
    free = Database(*DATABASE.unpack_from(data, META.size))
    main = Database(*DATABASE.unpack_from(data, META.size + DATABASE.size))
    last_page, transaction = TAIL.unpack_from(data, META_SIZE - TAIL.size)
    return Meta(page, page_flags, magic, version, map_size, free, main, last_page, transaction)


def _meta_fault(meta: Meta, number: int, page_size: int) -> str | None:
    if meta.magic != MAGIC or not meta.page_flags & META_FLAG:
        return "it is not a meta page of LMDB"
    if meta.version != VERSION:
        return f"its format is version {meta.version}, and only version {VERSION} can be read"
    if meta.page != number or meta.page_flags != META_FLAG:
        return f"it calls itself page {meta.page} with flags {meta.page_flags}"
    if meta.transaction and meta.transaction % 2 != number:
        return f"transaction {meta.transaction} does not belong here"
    if meta.last_page < 1 or (meta.last_page + 1) * page_size > max(meta.map_size, 1):
        return f"last page {meta.last_page} is outside of the map of {meta.map_size} bytes"
    if meta.free.page_size != page_size or meta.free.flags != INTEGER_KEYS or meta.main.flags:
        return "the databases in it are not those of a store"
    return _tree_fault(meta.free, meta.last_page) or _tree_fault(meta.main, meta.last_page)


def _tree_fault(tree: Database, last_page: int) -> str | None:
    pages = tree.branch_pages + tree.leaf_pages + tree.overflow_pages
    if tree.root == NO_PAGE:
        return None if (tree.depth, pages, tree.entries) == (0, 0, 0) else "a tree lost its root"
    if not 2 <= tree.root <= last_page:
        return f"root page {tree.root} is outside of pages 2 to {last_page}"
    if not 1 <= tree.depth < MAX_DEPTH or pages >= last_page or tree.leaf_pages < 1:
        return f"a tree of depth {tree.depth} with {pages} pages cannot be in {last_page} pages"
    return None
