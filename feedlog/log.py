"""One feed's entries in the store: heads, tree nodes, blocks.

The only place that combines `feedlog.layout` with a transaction. Methods take
the caller's transaction, so that what belongs together is committed together.

Invariant: a node that is stored was computed here or verified; a head that is
stored was signed by a quorum. Must not know keys, signatures or proofs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Protocol

from feedlog import flat_tree, layout
from feedlog.errors import BlockMissing, CorruptError
from feedlog.flat_tree import NodeIndex
from feedlog.hashing import HashSuite
from feedlog.have import Have
from feedlog.head import Head
from feedlog.layout import Record
from feedlog.merkle import Roots, Run, TreeNode
from feedlog.node_cache import NodeCache
from feedlog.ranges import Ranges
from feedlog.storage import Reader, Writer

Entry = tuple[bytes, bytes]

BATCH = 16
"""From so many blocks on, their records are built a level at a time."""


class Getter(Protocol):
    """What single entries are read from: a transaction, or a storage's latest commit."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None."""


class Log:
    """The entries of the feed with the given number in a store."""

    __slots__ = ("_cache", "_decoded", "have", "high", "low", "number")

    def __init__(self, number: int, *, dense: bool) -> None:
        """Take the feed's number in the store, and whether it is written here."""
        self.number = number
        self.low, self.high = layout.bounds(number)
        self.have = Have(number, dense=dense)
        self._cache = NodeCache()
        self._decoded: tuple[Entry, tuple[Head, int]] | None = None

    # Heads.

    def last_entry(self, reader: Reader) -> Entry | None:
        """Return the latest head's entry as it is stored: what tells whether a cache is current."""
        return reader.last(self.low, self.high)

    def decode_head(self, entry: Entry) -> tuple[Head, int]:
        """Return the head of an entry and the feed's byte length."""
        decoded = self._decoded
        if decoded is not None and decoded[0] == entry:
            return decoded[1]
        key, value = entry
        if len(key) != layout.HEAD_KEY_SIZE or key[8:9] != layout.HEAD_SUFFIX:
            raise CorruptError("the feed's last entry is not a head")
        head = layout.decode_head(key, value)
        self._decoded = entry, head  # every read begins with the latest head: the same, mostly
        return head

    def entries(self, reader: Reader) -> Iterator[Entry]:
        """Yield everything that is stored of the feed, in the order of the log."""
        return reader.scan(self.low, self.high)

    def heads(self, reader: Reader) -> Iterator[Head]:
        """Yield all stored heads in the order of length, then fork."""
        for entry in self.entries(reader):
            if len(entry[0]) == layout.HEAD_KEY_SIZE:
                yield self.decode_head(entry)[0]

    def head_at(self, reader: Reader, length: int) -> tuple[Head, int] | None:
        """Return the newest head that was signed for exactly this length."""
        low = layout.head_key(self.number, length, 0)
        entry = reader.last(low, low[:9] + b"\xff" * 5)
        return None if entry is None else self.decode_head(entry)

    def head_entry(self, head: Head, byte_length: int) -> Entry:
        """Return the entry of a head."""
        key = layout.head_key(self.number, head.length, head.fork)
        return key, layout.encode_head(head, byte_length)

    # Reading.

    def record(self, reader: Reader, block: int) -> Record | None:
        """Return the record of a block, or None."""
        value = reader.get(layout.record_key(self.number, block))
        return None if value is None else Record.from_bytes(value, block)

    def block(self, reader: Reader, index: int) -> bytes | None:
        """Return a block's data, or None where it is not held.

        Raises `CorruptError` for one that is noted as held and is not there: damage
        inside of a page can make an entry look absent.
        """
        key = layout.record_key(self.number, index)
        value = reader.get(key)
        data = None
        if value is not None:
            if value[0] & layout.OUTSIDE:
                data = reader.get(key + layout.DATA_SUFFIX)
            else:
                data = layout.read_inline(value, index)
        if data is None and self.have.contains(reader, index):
            raise CorruptError(f"the data of block {index} is gone from the disk")
        return data

    def find_nodes(self, reader: Getter, indexes: Sequence[NodeIndex]) -> dict[NodeIndex, TreeNode]:
        """Return those of the nodes that are stored."""
        found = {}
        get, base = reader.get, self.number << layout.PLACE_BITS
        for index in indexes:
            width = ~index & (index + 1)
            place = (index + width + 1) >> 1  # of the node's last block, as in layout.record_key
            value = get((base | place).to_bytes(layout.KEY_SIZE, "big"))
            node = value and layout.read_node(value, place - 1, width.bit_length() - 1)
            if node:
                found[index] = node
        return found

    def nodes(self, reader: Reader, indexes: Sequence[NodeIndex]) -> list[TreeNode]:
        """Return the nodes; raises `BlockMissing` for one that is not stored."""
        found = self.find_nodes(reader, indexes)
        if len(found) < len(indexes):
            for index in indexes:
                if index not in found:
                    raise BlockMissing(index, "tree node")
        return [found[index] for index in indexes]

    def proof_nodes(self, reader: Reader, fork: int, indexes: list[NodeIndex]) -> list[TreeNode]:
        """Return nodes as `nodes` does, of which those that proofs have in common are kept."""
        if reader.generation is None:
            return self.nodes(reader, indexes)
        return self._cache.nodes(fork, indexes, partial(self.nodes, reader))

    def roots(self, reader: Reader, length: int, suite: HashSuite) -> Roots:
        """Return the roots of the first `length` blocks."""
        return Roots(suite, length, self.nodes(reader, flat_tree.roots(length)))

    # Writing.

    def append(
        self, writer: Writer, run: Run, blocks: Sequence[bytes], head: Head, byte_length: int
    ) -> Entry:
        """Store new blocks at the end, all nodes that they complete, and their head.

        That they are held is noted by `have.appended`. Returns the head's entry.
        """
        entries = self._complete(run, run.start, blocks)
        entry = self.head_entry(head, byte_length)
        entries.append(entry)
        writer.put_many(entries)
        return entry

    def merge(
        self,
        writer: Writer,
        nodes: Mapping[NodeIndex, TreeNode],
        runs: Sequence[Run],
        blocks: Mapping[int, bytes],
    ) -> bool:
        """Store verified nodes and blocks beside what is there.

        Returns False, with nothing stored, where a stored node differs.
        """
        columns: dict[int, dict[int, TreeNode]] = {}
        complete: list[range] = []
        for index, node in nodes.items():
            width = ~index & (index + 1)
            block, level = (index + width - 1) >> 1, width.bit_length() - 1
            columns.setdefault(block, {})[level] = node
        items: list[Entry] = []
        for run in runs:
            if run.stop - run.start == 1:  # its record is looked up below: cheaper than a scan
                columns.setdefault(run.start, {}).update(enumerate(run.column(run.start)))
                continue
            stored = self._stored_blocks(writer, run.start, run.stop)
            if len(run.column(run.stop - 1)) < layout.full_levels(run.stop - 1):
                stored.add(run.stop - 1)
            for block in stored:
                columns.setdefault(block, {}).update(enumerate(run.column(block)))
            for start, stop in Ranges([(run.start, run.stop)]).minus(Ranges.of(stored)).pairs:
                complete.append(range(start, stop))
                items += self._complete(run, start, [blocks[at] for at in range(start, stop)])
        for block in chain.from_iterable(complete):
            columns.pop(block, None)  # a run inside of this one has fewer of its nodes
        for block, levels in columns.items():
            key = layout.record_key(self.number, block)
            value = writer.get(key)
            data = blocks.get(block)
            if value is None:
                outside = data is not None and len(data) > layout.INLINE_SIZE
                inline = None if outside else data
                encoded = layout.encode_record(block, levels, inline, outside=outside)
                items.append((key, encoded))
                if data is not None and outside:
                    items.append((key + layout.DATA_SUFFIX, data))
                continue
            record = Record.from_bytes(value, block)
            if not record.agrees_with(levels):
                return False
            if data is not None or not levels.keys() <= record.nodes.keys():
                items.extend(self._merged(record, levels, data))
        items.sort()
        writer.put_many(items)
        self.have.add(writer, Ranges.of(blocks))
        return True

    def _stored_blocks(self, reader: Reader, start: int, stop: int) -> set[int]:
        """Return which blocks of [start, stop) have a record, held or not."""
        low, high = layout.record_key(self.number, start), layout.record_key(self.number, stop)
        return {layout.block_of(key) for key, _ in reader.scan(low, high)}

    def _complete(self, run: Run, start: int, blocks: Sequence[bytes]) -> list[Entry]:
        """Return the entries of blocks from `start` on, with all the nodes that they complete."""
        if len(blocks) >= BATCH and max(map(len, blocks)) <= layout.INLINE_SIZE:
            first = self.number << layout.PLACE_BITS | start + 1
            places = range(first, first + len(blocks))
            keys = [place.to_bytes(layout.KEY_SIZE, "big") for place in places]
            return list(zip(keys, layout.complete_records(run, start, blocks), strict=True))
        items: list[Entry] = []
        for block, data in enumerate(blocks, start):
            key = layout.record_key(self.number, block)
            if len(data) <= layout.INLINE_SIZE:
                items.append((key, layout.complete_record(run.column(block), data)))
            else:
                items.append((key, layout.complete_record(run.column(block), None)))
                items.append((key + layout.DATA_SUFFIX, data))
        return items

    def _merged(
        self, record: Record, levels: dict[int, TreeNode], data: bytes | None
    ) -> Iterator[Entry]:
        """Yield the entries of a record with nodes and its block's data added."""
        record.nodes.update(levels)
        key = layout.record_key(self.number, record.block)
        if data is not None and not record.held:
            if len(data) <= layout.INLINE_SIZE:
                record.data = data
            else:
                record.outside = True
        yield key, record.to_bytes()
        if data is not None and record.outside:
            yield key + layout.DATA_SUFFIX, data

    def truncate(self, writer: Writer, length: int) -> None:
        """Remove every block, node and head past `length`."""
        writer.delete_range(layout.record_key(self.number, length), self.high)
        self.have.truncate(writer, length)

    def clear(self, writer: Writer, ranges: Ranges) -> None:
        """Remove the data of blocks and keep their nodes, so that proofs still work."""
        for block in ranges:
            record = self.record(writer, block)
            if record is None or not record.held:
                continue
            key = layout.record_key(self.number, block)
            if record.outside:
                writer.delete(key + layout.DATA_SUFFIX)
            record.data, record.outside = None, False
            writer.put(key, record.to_bytes())
        self.have.remove(writer, ranges)

    def purge(self, writer: Writer) -> None:
        """Remove every entry of the feed."""
        writer.delete_range(self.low, self.high)
        self.have.purge(writer)
