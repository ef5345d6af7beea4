"""Which blocks of a feed are held, as pages of compressed bit sets.

A page stands for 65,536 blocks. Where a page is absent, the feed's default
holds: a feed that is written here has everything, a replica nothing; so a
writer's append touches no page, and a replica's clone of a million blocks
stores sixteen short runs. Specified in docs/spec/store.md.

Knows which indexes, not what they hold. Must not know trees.
"""

from __future__ import annotations

from pyroaring import BitMap

from feedlog.errors import CorruptError
from feedlog.ranges import Ranges
from feedlog.storage import Reader, Writer

PAGE_BITS = 16
PAGE_BLOCKS = 1 << PAGE_BITS

TAG = b"\x00\x00\x00h"


class Have:
    """The held blocks of one feed in a store."""

    __slots__ = ("_prefix", "dense")

    def __init__(self, number: int, *, dense: bool) -> None:
        """Take the feed's number in the store and its default."""
        self._prefix = TAG + number.to_bytes(3, "big")
        self.dense = dense

    def _key(self, page: int) -> bytes:
        return self._prefix + page.to_bytes(4, "big")

    def _load(self, reader: Reader, page: int) -> BitMap | None:
        value = reader.get(self._key(page))
        return None if value is None else _decode(value, page)

    def _update(self, writer: Writer, ranges: Ranges, *, held: bool) -> None:
        for page, start, stop in _by_page(ranges):
            if self.dense == held and self._load(writer, page) is None:
                continue
            bits = self.page(writer, page)
            (bits.add_range if held else bits.remove_range)(start, stop)
            bits.run_optimize()
            writer.put(self._key(page), bits.serialize())

    def add(self, writer: Writer, ranges: Ranges) -> None:
        """Note that these blocks are held from now on."""
        self._update(writer, ranges, held=True)

    def appended(self, writer: Writer, start: int, stop: int) -> int:
        """Note that the new blocks [start, stop) are held.

        Returns a length up to which the next blocks need no note, as long as the feed
        is not changed otherwise: their page says so already by not being there.
        """
        page = stop - 1 >> PAGE_BITS
        absent = self.dense and not writer.get(self._key(page))
        if not absent or start >> PAGE_BITS != page:
            self.add(writer, Ranges([(start, stop)]))
        return page + 1 << PAGE_BITS if absent else 0

    def remove(self, writer: Writer, ranges: Ranges) -> None:
        """Note that these blocks are no longer held."""
        self._update(writer, ranges, held=False)

    def truncate(self, writer: Writer, length: int) -> None:
        """Return all blocks from `length` on to the feed's default."""
        first = -(-length >> PAGE_BITS)
        writer.delete_range(self._key(first), self._prefix + b"\xff" * 5)
        page, start = divmod(length, PAGE_BLOCKS)
        bits = self._load(writer, page) if start else None
        if bits is not None:
            (bits.add_range if self.dense else bits.remove_range)(start, PAGE_BLOCKS)
            bits.run_optimize()
            writer.put(self._key(page), bits.serialize())

    def ranges(self, reader: Reader, length: int) -> Ranges:
        """Return the held blocks below `length`."""
        pairs: list[tuple[int, int]] = []
        at = 0
        for key, value in reader.scan(self._prefix, self._prefix + b"\xff" * 5):
            page = int.from_bytes(key[-4:], "big")
            base = page << PAGE_BITS
            if base >= length:
                break
            if self.dense:
                pairs.append((at, base))
            bits = _decode(value, page)
            pairs.extend((base + start, base + stop) for start, stop in _runs(bits))
            at = base + PAGE_BLOCKS
        if self.dense:
            pairs.append((at, length))
        return Ranges((start, min(stop, length)) for start, stop in pairs)

    def page(self, reader: Reader, page: int) -> BitMap:
        """Return which blocks of one page are held, as offsets inside the page."""
        bits = self._load(reader, page)
        if bits is None:
            bits = BitMap(range(PAGE_BLOCKS)) if self.dense else BitMap()
        return bits

    def contains(self, reader: Reader, index: int) -> bool:
        """Tell whether a block below the feed's length is noted as held."""
        bits = self._load(reader, index >> PAGE_BITS)
        return self.dense if bits is None else index & (PAGE_BLOCKS - 1) in bits

    def purge(self, writer: Writer) -> None:
        """Forget everything about the feed."""
        writer.delete_range(self._prefix, self._prefix + b"\xff" * 5)


def _decode(value: bytes, page: int) -> BitMap:
    try:
        return BitMap.deserialize(value)
    except (ValueError, IndexError) as error:
        raise CorruptError(f"page {page} of held blocks does not parse: {error}") from None


def _by_page(ranges: Ranges) -> list[tuple[int, int, int]]:
    """Cut ranges at the pages' borders: (page, start, stop) with offsets inside the page."""
    pieces = []
    for start, stop in ranges.pairs:
        for page in range(start >> PAGE_BITS, ((stop - 1) >> PAGE_BITS) + 1):
            base = page << PAGE_BITS
            pieces.append((page, max(start - base, 0), min(stop - base, PAGE_BLOCKS)))
    return pieces


def _runs(bits: BitMap) -> list[tuple[int, int]]:
    """Return the runs of set bits as half-open ranges."""
    after = bits.shift(1)
    return list(zip(bits - after, after - bits, strict=True))
