"""What an LMDB data file says about itself, read without LMDB.

LMDB maps the file and trusts it: a page number past the end of a truncated file is a
SIGBUS that ends the interpreter. So before the engine opens a file, both meta pages are
parsed here with `pread`, and the file must be as long as the last page that they use.
Only when something looks wrong is the whole tree walked, by `lmdb.verify`, which is
pure Python and slow (some 13 MB/s) but cannot crash.

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

from lmdb.verify import VerifyError, verify

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


def check_data_file(path: Path) -> None:
    """Raise `CorruptError` if LMDB could not open this file without danger.

    The cheap checks are enough for a sound file. A file that fails one of them is
    walked page by page before it is refused, because a file may be shorter than the
    last page number that it knows: pages freed at its end were never written.
    """
    try:
        fault = find_fault(path)
    except FileNotFoundError as error:
        raise CorruptError(f"the store's data file {path} is gone") from error
    if fault is None:
        return
    try:
        findings = verify(os.fspath(path), subdir=False)  # type: ignore[no-untyped-call]  # it has no annotations
    except VerifyError as error:
        raise CorruptError(f"{path} is damaged: {fault} ({error})") from error
    if findings:
        raise CorruptError(f"{path} is damaged: {fault} ({findings[0]})")


def find_fault(path: Path) -> str | None:
    """Return what is wrong with the meta pages or the length of the file, or None."""
    with path.open("rb", buffering=0) as file:
        first = os.pread(file.fileno(), META_SIZE, 0)
        if len(first) < META_SIZE:
            return f"the file ends after {len(first)} bytes, inside its first page"
        metas = [_parse(first)]
        page_size = metas[0].free.page_size
        if page_size not in PAGE_SIZES:
            return f"the page size is {page_size}"
        second = os.pread(file.fileno(), META_SIZE, page_size)
        if len(second) < META_SIZE:
            return f"the file ends after {page_size + len(second)} bytes, inside its second page"
        metas.append(_parse(second))
        size = os.fstat(file.fileno()).st_size
    for number, meta in enumerate(metas):
        fault = _meta_fault(meta, number, page_size)
        if fault is not None:
            return f"meta page {number}: {fault}"
    if abs(metas[0].transaction - metas[1].transaction) > 1:
        return (
            f"the meta pages belong to transactions {metas[0].transaction} "
            f"and {metas[1].transaction}, which do not follow each other"
        )
    needed = (max(metas, key=lambda meta: meta.transaction).last_page + 1) * page_size
    if size < needed:
        return f"the file has {size} bytes, and its pages reach to {needed}"
    return None


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
