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
from trie.node import DELETE, PUT, PUT_CHUNKS, Node, Row, digits_of
from trie.nodes import Nodes
from trie.path import NEVER, digit, parting, word_of

Run = tuple[int, int]
"""A long value that is in the feed already: its first chunk's index and its size."""


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

        Returns the new pointer to it, or 0 if it is empty now, and its number of keys.
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
            if node is not None:
                parts_at = parting(leader.path, leader.word, node.path, node.word)
                if parts_at < entry:
                    raise node.misplaced()
                level = min(level, parts_at)
                for row in node.rows:
                    if entry <= row.level < level:
                        rows.append(row)
                        below += row.below
                    elif row.level == level:
                        settled = row
            if level == NEVER:
                break
            row, node, low, high = self._settle(node, settled, level, low, high)
            if row.bitmap:
                rows.append(row)
                below += row.below
            entry = level + 1
        index = self._emit(leader, rows, whole=whole)
        keys = below + (leader.value is not None)
        return (index if keys else 0), keys

    def _settle(
        self, node: Node | None, old: Row | None, level: int, low: int, high: int
    ) -> tuple[Row, Node | None, int, int]:
        """Make the row of a level at which something parts.

        Returns it with the subtree and the changes that the leader goes on with.
        """
        children: dict[int, int] = {}
        below = 0
        if old is not None:
            children = dict(zip(digits_of(old.bitmap), old.pointers, strict=True))
            below = old.below
        if node is not None:
            rest = node.count(level + 1)
            if rest:
                children[digit(node.path, level)] = node.index
                below += rest
        groups = self._groups(level, low, high)
        largest = max(groups, key=_size)
        for at_digit, group_low, group_high in groups:
            child = self._child(node, children.pop(at_digit, 0), level, at_digit)
            if child is not None:
                below -= child.count(level + 1)
            if group_low == largest[1]:
                following = child
                continue
            index, keys = self.subtree(child, level + 1, group_low, group_high)
            if index:
                children[at_digit] = index
                below += keys
        if below < len(children):
            raise TrieError(f"the counters below row {level} contradict each other")
        bitmap = 0
        pointers = []
        for at_digit in sorted(children):
            bitmap |= 1 << at_digit
            pointers.append(children[at_digit])
        return Row(level, bitmap, below, pointers), following, largest[1], largest[2]

    def _child(self, node: Node | None, index: int, level: int, at_digit: int) -> Node | None:
        if not index or node is None:
            return None
        if index == node.index:
            return node
        return self.nodes.follow(node, level, at_digit, index)

    def _groups(self, level: int, low: int, high: int) -> list[tuple[int, int, int]]:
        """Return the runs of changes that share a digit: the digit, and from where to where."""
        groups = []
        at = low
        current = digit(self.changes[low].path, level)
        for position in range(low + 1, high):
            here = digit(self.changes[position].path, level)
            if here != current:
                groups.append((current, at, position))
                at, current = position, here
        groups.append((current, at, high))
        return groups

    def _emit(self, change: Change, rows: list[Row], *, whole: bool) -> int:
        """Append a change's chunks and its block; return the block's index."""
        kind, value, run = DELETE, b"", (0, 0)
        if isinstance(change.value, tuple):
            kind, run = PUT_CHUNKS, change.value
        elif change.value is not None:
            kind, value = PUT, change.value
            if len(value) > node_format.MAX_INLINE_SIZE:
                kind, run = PUT_CHUNKS, (self.start + len(self.blocks), len(value))
                for at in range(0, len(value), node_format.CHUNK_SIZE):
                    piece = value[at : at + node_format.CHUNK_SIZE]
                    self.blocks.append(node_format.encode_chunk(piece))
        index = self.start + len(self.blocks)
        span = len(self.blocks) + 1 if whole else 0
        block = node_format.encode(index, kind, span, change.key, value, run, rows)
        self.blocks.append(block)
        if whole:
            self.root = node_format.decode(index, block).place(change.path)
            self.root.adopt(rows)
        return index


def _size(group: tuple[int, int, int]) -> int:
    return group[2] - group[1]
