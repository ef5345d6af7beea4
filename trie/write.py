"""Writing: one merge of sorted changes into the trie, for a put as for a batch.

Changes that lie side by side in the order of their paths part at some level, and those
levels alone make the tree: one pass over the changes keeps a stack of the rows that are
open, and closes each at the last change below it. Then all of the row's subtrees but
one are written and pointed to; the largest is not yet, for its leading node goes on to
carry the row. So a lookup halves the keys each time that it leaves a batch's node for
another of it, and depth stays below log2 of their number. What the old trie has beside
the changes comes from `remains`, and joins the rows as they close.

Every change becomes one block; the last is the new root, and only it has rows from
level 0 on: the others have those from the level on where they are entered.

A delete leaves a node without a value. It goes on to stand for the subtrees in its
rows, and is dropped from the trie by the first write that finds them empty.

Invariant: a pointer leads to a subtree with at least one key. Must not know feeds or
transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from trie import node as node_format
from trie.node import DELETE, PUT, PUT_CHUNKS, Node, Row
from trie.nodes import Nodes
from trie.path import parting, word_of
from trie.remains import Remains, remains

Run = tuple[int, int]
"""A long value that is in the feed already: its first chunk's index and its size."""

Change = tuple[bytes, bytes, bytes | Run | None]
"""One key's new state: its path, the key, and the value; None deletes it."""

_NO_RUN: Run = (0, 0)


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
    paths = [path for path, _, _ in changes]
    words = list(map(word_of, paths))
    merging = _Merge(changes, paths, start)
    if header is not None:
        merging.blocks.append(header)
    levels = [
        parting(path, word, other, other_word)
        for (path, word), (other, other_word) in pairwise(zip(paths, words, strict=True))
    ]
    leader = merging.grow(levels, remains(nodes, root, paths, words))
    return Written(merging.blocks, merging.root(leader))


class _Merge:
    """A write in the making. A subtree goes by the position of the change that leads it."""

    def __init__(self, changes: Sequence[Change], paths: Sequence[bytes], start: int) -> None:
        self.blocks: list[bytes] = []
        self._changes = changes
        self._paths = paths
        self._start = start
        self._heads = [
            node_format.encode_put(key, value)
            if isinstance(value, bytes) and len(value) <= node_format.MAX_INLINE_SIZE
            else None
            for _, key, value in changes
        ]
        """All of each block but its rows, where that does not depend on where it will stand."""
        self._keys = [int(value is not None) for _, _, value in changes]
        """How many keys each subtree has."""
        self._rows: list[list[Row] | None] = [None] * len(changes)
        """The rows of each subtree's leader, in descending order of level."""

    def grow(self, levels: Sequence[int], old: Remains) -> int:
        """Write all subtrees of the trie; return its leader, which is yet to be written.

        `levels` are those at which neighbours part.
        """
        open_levels = [-1]
        members: list[list[int]] = [[]]
        for position, parts_at in enumerate([*levels, -1]):
            leader = position
            if position in old:
                for row in reversed(old[position]):
                    while open_levels[-1] > row.level:
                        leader = self._close(open_levels.pop(), members.pop(), leader)
                    if open_levels[-1] == row.level:
                        leader = self._close(open_levels.pop(), members.pop(), leader, row)
                    else:
                        self._add(leader, row)
            while open_levels[-1] > parts_at:
                leader = self._close(open_levels.pop(), members.pop(), leader)
            if open_levels[-1] == parts_at:
                members[-1].append(leader)
            else:
                open_levels.append(parts_at)
                members.append([leader])
        return leader

    def _close(self, level: int, subtrees: list[int], last: int, old: Row | None = None) -> int:
        """Write the subtrees of a row but the largest; return the leader, who carries the row.

        `last` completes the subtrees; `old` is what the old trie has in that row besides.
        """
        subtrees.append(last)
        keys, paths, heads, rows = self._keys, self._paths, self._heads, self._rows
        blocks, start = self.blocks, self._start
        leader = max(subtrees, key=keys.__getitem__)
        bitmap, below = (old.bitmap, old.below) if old else (0, 0)
        pointers = list(old.pointers) if old else []
        byte, shift = level >> 1, 0 if level & 1 else 4  # as `digit` does
        for subtree in subtrees:
            if subtree == leader:
                continue
            block = heads[subtree]
            if block is None or rows[subtree]:
                index = self._emit(subtree)
            else:  # most are leaves
                index = start + len(blocks)
                blocks.append(block)
            if keys[subtree]:
                bit = 1 << (paths[subtree][byte] >> shift & 15)
                pointers.insert((bitmap & (bit - 1)).bit_count(), index)
                bitmap |= bit
                below += keys[subtree]
        if bitmap:
            self._add(leader, Row(level, bitmap, below, tuple(pointers)))
        return leader

    def _add(self, leader: int, row: Row) -> None:
        self._keys[leader] += row.below
        rows = self._rows[leader]
        if rows is None:
            self._rows[leader] = [row]
        else:
            rows.append(row)

    def _emit(self, leader: int) -> int:
        """Append a leader's block, and before it the chunks of its value; return its index."""
        head = self._heads[leader]
        if head is None:
            kind, inline, run = self._contents(leader)
            index = self._start + len(self.blocks)
            key = self._changes[leader][1]
            head = node_format.encode_head(index, kind, 0, key, inline, run)
        return self._append(leader, head)

    def root(self, leader: int) -> Node:
        """Append the last block; return its node."""
        path, key, _ = self._changes[leader]
        kind, inline, run = self._contents(leader)
        span = len(self.blocks) + 1
        head = node_format.encode_head(self._start + span - 1, kind, span, key, inline, run)
        index = self._append(leader, head)
        root = Node(index, self.blocks[-1], kind, span, key, inline, run, len(head)).place(path)
        root.adopt((self._rows[leader] or [])[::-1])
        return root

    def _append(self, leader: int, block: bytes) -> int:
        rows = self._rows[leader]
        index = self._start + len(self.blocks)
        if rows:
            block = node_format.encode_rows(index, block, rows[::-1])
            if len(block) > node_format.MAX_NODE_SIZE:
                key = self._changes[leader][1]
                raise ValueError(
                    f"the keys around {key[:100]!r} part at {len(rows)} levels: its node would "
                    f"have {len(block)} bytes, the limit is {node_format.MAX_NODE_SIZE}"
                )
        self.blocks.append(block)
        return index

    def _contents(self, leader: int) -> tuple[int, bytes, Run]:
        """Return a node's kind, inline value and run, having appended the chunks of the value."""
        value = self._changes[leader][2]
        if value is None:
            return DELETE, b"", _NO_RUN
        if not isinstance(value, bytes):
            return PUT_CHUNKS, b"", value
        if len(value) <= node_format.MAX_INLINE_SIZE:
            return PUT, value, _NO_RUN
        run = self._start + len(self.blocks), len(value)
        for at in range(0, len(value), node_format.CHUNK_SIZE):
            piece = value[at : at + node_format.CHUNK_SIZE]
            self.blocks.append(node_format.encode_chunk(piece))
        return PUT_CHUNKS, b"", run
