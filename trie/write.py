"""Writing: one merge of sorted changes into the trie, for a put as for a batch.

The merge descends from the root along the path of one change, the leader. At
every level where the changes part from each other, or the old trie from the
leader, the row of that level is settled: what hangs there and is untouched keeps
its old pointer, and each other group of changes is merged into its own subtree
first. What remains at the end is the leader's node with all of its rows. The
leader is taken from the largest group each time, so a group that recurses has at
most half of the changes, and depth stays below log2 of their number.

Every change becomes one block; the last is the new root, and only it has rows from
level 0 on: the others have those from the level on where they are entered.

A delete leaves a node without a value. It goes on to stand for the subtrees in its
rows, and is dropped from the trie by the first write that finds them empty.

Invariant: a pointer leads to a subtree with at least one key (of which the old
trie's counters are taken at their word). Must not know feeds or transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trie import node as node_format
from trie.errors import TrieError
from trie.node import DELETE, PUT, PUT_CHUNKS, Node, Row
from trie.nodes import Nodes
from trie.path import NEVER, digit, parting, word_of

Run = tuple[int, int]
"""A long value that is in the feed already: its first chunk's index and its size."""

_NO_RUN: Run = (0, 0)


class Change:
    """One key's new state."""

    __slots__ = ("key", "path", "value", "word")

    def __init__(self, key: bytes, path: bytes, value: bytes | Run | None) -> None:
        """Take the key, its path and its value; None deletes it."""
        self.key = key
        self.path = path
        self.value = value
        self.word = word_of(path)


@dataclass(frozen=True, slots=True)
class Written:
    """The blocks of one write, to be appended as they are."""

    blocks: list[bytes]
    root: Node
    """The node of the last block."""


def merge(
    nodes: Nodes,
    root: Node | None,
    changes: Sequence[Change],
    *,
    start: int,
    header: bytes | None = None,
) -> Written:
    """Return the blocks that turn a version into the next.

    `changes` are in ascending order of their paths, at least one, no two alike.
    `start` is the index of the first block; a header, if given, becomes that block.
    """
    assert changes, "a write needs changes"
    merging = _Merge(nodes, changes, start)
    if header is not None:
        merging.blocks.append(header)
    merging.subtree(root, 0, 0, len(changes), whole=True)
    assert merging.root is not None, "the last node of a merge is the root"
    return Written(merging.blocks, merging.root)


class _Siblings:
    """A row while it changes."""

    __slots__ = ("below", "bitmap", "pointers")

    def __init__(self, row: Row | None) -> None:
        self.bitmap, self.below = (row.bitmap, row.below) if row else (0, 0)
        self.pointers = list(row.pointers) if row else []

    def insert(self, at_digit: int, index: int) -> None:
        bit = 1 << at_digit
        self.pointers.insert((self.bitmap & (bit - 1)).bit_count(), index)
        self.bitmap |= bit

    def remove(self, at_digit: int) -> int:
        """Take out the pointer of a digit; return it, or 0."""
        bit = 1 << at_digit
        if not self.bitmap & bit:
            return 0
        self.bitmap ^= bit
        return self.pointers.pop((self.bitmap & (bit - 1)).bit_count())


class _Merge:
    def __init__(self, nodes: Nodes, changes: Sequence[Change], start: int) -> None:
        self.nodes = nodes
        self.changes = changes
        self.start = start
        self.blocks: list[bytes] = []
        self.root: Node | None = None

    def subtree(
        self, node: Node | None, entry: int, low: int, high: int, *, whole: bool = False
    ) -> tuple[int, int]:
        """Merge changes[low:high] into the subtree entered at `node` on level `entry`.

        Returns the new pointer to it and its number of keys; with none there is no pointer.
        """
        rows: list[Row] = []
        below = 0
        while True:
            leader = self.changes[low]
            level = NEVER
            if high - low > 1:
                last = self.changes[high - 1]
                level = parting(leader.path, leader.word, last.path, last.word)
            settled = None
            rest = 0
            if node is not None:
                parts_at = parting(leader.path, leader.word, node.path, node.word)
                if parts_at < entry:
                    raise node.misplaced()
                level = min(level, parts_at)
                rest = int(node.live)
                for row in node.rows:
                    at = row.level
                    if at > level:
                        rest += row.below
                    elif at == level:
                        settled = row
                    elif at >= entry:
                        rows.append(row)
                        below += row.below
            if level == NEVER:
                break
            row, node, low, high = self._settle(node, rest, settled, level, low, high)
            if row.bitmap:
                rows.append(row)
                below += row.below
            entry = level + 1
        index = self._emit(leader, rows, whole=whole)
        keys = below + (leader.value is not None)
        return index, keys

    def _settle(
        self, node: Node | None, rest: int, old: Row | None, level: int, low: int, high: int
    ) -> tuple[Row, Node | None, int, int]:
        """Make the row of a level at which something parts, from the old one.

        `rest` is the number of keys for which `node` stands below that level. Returns the row
        with the subtree and the changes that the leader goes on with.
        """
        row = _Siblings(old)
        if node is not None and rest:
            row.insert(digit(node.path, level), node.index)
            row.below += rest
        groups = self._groups(level, low, high)
        largest = groups[0] if len(groups) == 1 else max(groups, key=_size)
        following = None
        for group in groups:
            at_digit, group_low, group_high = group
            child = None
            index = row.remove(at_digit)
            if index and node is not None:
                child = (
                    node if index == node.index else self.nodes.follow(node, level, at_digit, index)
                )
                row.below -= child.count(level + 1)
            if group is largest:
                following = child
                continue
            if child is None and group_high - group_low == 1:
                change = self.changes[group_low]
                index = self._emit(change, (), whole=False)
                keys = int(change.value is not None)
            else:
                index, keys = self.subtree(child, level + 1, group_low, group_high)
            if keys:
                row.insert(at_digit, index)
                row.below += keys
        if row.below < len(row.pointers):
            raise TrieError(f"the counters below row {level} contradict each other")
        settled = Row(level, row.bitmap, row.below, tuple(row.pointers))
        return settled, following, largest[1], largest[2]

    def _groups(self, level: int, low: int, high: int) -> list[tuple[int, int, int]]:
        """Return the runs of changes that share a digit: the digit, and from where to where."""
        if high - low == 1:
            return [(digit(self.changes[low].path, level), low, high)]
        changes = self.changes
        byte, shift = level >> 1, 0 if level & 1 else 4  # as `digit` does, for thousands at once
        groups = []
        first = low
        current = changes[low].path[byte] >> shift & 15
        for position in range(low + 1, high):
            here = changes[position].path[byte] >> shift & 15
            if here != current:
                groups.append((current, first, position))
                first, current = position, here
        groups.append((current, first, high))
        return groups

    def _emit(self, change: Change, rows: Sequence[Row], *, whole: bool) -> int:
        """Append a change's chunks and its block; return the block's index."""
        kind, value, run = DELETE, b"", _NO_RUN
        if isinstance(change.value, bytes):
            kind, value = PUT, change.value
            if len(value) > node_format.MAX_INLINE_SIZE:
                kind, run = PUT_CHUNKS, (self.start + len(self.blocks), len(value))
                for at in range(0, len(value), node_format.CHUNK_SIZE):
                    piece = value[at : at + node_format.CHUNK_SIZE]
                    self.blocks.append(node_format.encode_chunk(piece))
        elif change.value is not None:
            kind, run = PUT_CHUNKS, change.value
        index = self.start + len(self.blocks)
        span = len(self.blocks) + 1 if whole else 0
        block = node_format.encode(index, kind, span, change.key, value, run, rows)
        if len(block) > node_format.MAX_NODE_SIZE:
            raise ValueError(
                f"the keys around {change.key[:100]!r} part at {len(rows)} levels: its node would "
                f"have {len(block)} bytes, the limit is {node_format.MAX_NODE_SIZE}"
            )
        self.blocks.append(block)
        if whole:
            self.root = node_format.decode(index, block).place(change.path)
            self.root.adopt(rows)
        return index


def _size(group: tuple[int, int, int]) -> int:
    return group[2] - group[1]
