"""What a write leaves of the old trie: the rows that its new nodes take over.

Before changes are merged, this goes down the old trie along their paths. At each level
where the changes of a subtree part from each other or from the old node there, the
pointers to what none of them touches stay; so do, whole, the rows between such levels.
Every row that stays belongs to the subtree of some run of changes, and is filed under
the position of the run's last, where the merge knows what else is in that row.

Invariant: a pointer that stays leads to a subtree with at least one key, of which the
old trie's counters are taken at their word. Levels rise on every way down, so the work
is bounded by the digits of the changes, whatever the old blocks say. No recursion.
"""

from __future__ import annotations

from collections.abc import Sequence

from trie.errors import TrieError
from trie.node import Node, Row
from trie.nodes import Nodes
from trie.path import NEVER, digit, parting

Remains = dict[int, list[Row]]
"""Rows that stay by the position of the last change below them, in ascending order of level.

A row may have no pointers for the digits of the changes; it never points to what they replace.
"""
Way = tuple[Node, int, int, int]
"""A subtree to go down into: node and level of entry, and the changes from where to where."""

Group = tuple[int, int, int]
"""Changes that share a digit: the digit, and from where to where."""


def remains(
    nodes: Nodes, root: Node | None, paths: Sequence[bytes], words: Sequence[int]
) -> Remains:
    """Return what stays below a root when the keys of some paths, ascending, are written anew."""
    rows: Remains = {}
    ways: list[Way] = []
    if root is not None:
        ways.append((root, 0, 0, len(paths)))
    while ways:
        node, entry, low, high = ways.pop()
        last = high - 1
        level = parting(paths[low], words[low], node.path, node.word)
        if low != last:
            level = min(level, parting(paths[last], words[last], node.path, node.word))
        if level < entry:
            raise node.misplaced()
        settled = None
        rest = int(node.live)
        for row in node.rows:
            at = row.level
            if at > level:
                rest += row.below
            elif at == level:
                settled = row
            elif at >= entry:
                rows.setdefault(last, []).append(row)
        if level != NEVER:
            groups = _groups(paths, level, low, high)
            stays, further = _settle(nodes, node, settled, rest, level, groups)
            if stays is not None:
                rows.setdefault(last, []).append(stays)
            ways += further
    return rows


def _settle(
    nodes: Nodes,
    node: Node,
    settled: Row | None,
    rest: int,
    level: int,
    groups: list[Group],
) -> tuple[Row | None, list[Way]]:
    """Return what stays of a row, and the ways on into what the groups of changes touch.

    `rest` is the number of keys for which `node` itself stands below that level.
    """
    bitmap, below = (settled.bitmap, settled.below) if settled else (0, 0)
    pointers = list(settled.pointers) if settled else []
    own = digit(node.path, level)
    ways = []
    for at_digit, low, high in groups:
        bit = 1 << at_digit
        if bitmap & bit:
            index = pointers.pop((bitmap & (bit - 1)).bit_count())
            bitmap ^= bit
            child = nodes.follow(node, level, at_digit, index)
            below -= child.count(level + 1)
            ways.append((child, level + 1, low, high))
        elif rest and at_digit == own:
            ways.append((node, level + 1, low, high))
            rest = 0
    if rest:
        bit = 1 << own
        pointers.insert((bitmap & (bit - 1)).bit_count(), node.index)
        bitmap |= bit
        below += rest
    if below < len(pointers):
        raise TrieError(f"the counters below row {level} contradict each other")
    return Row(level, bitmap, below, tuple(pointers)) if bitmap else None, ways


def _groups(paths: Sequence[bytes], level: int, low: int, high: int) -> list[Group]:
    """Return the groups of a run of changes at a level."""
    if high - low == 1:
        return [(digit(paths[low], level), low, high)]
    byte, shift = level >> 1, 0 if level & 1 else 4  # as `digit` does, for thousands at once
    groups = []
    first = low
    current = paths[low][byte] >> shift & 15
    for position in range(low + 1, high):
        here = paths[position][byte] >> shift & 15
        if here != current:
            groups.append((current, first, position))
            first, current = position, here
    groups.append((current, first, high))
    return groups
