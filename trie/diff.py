"""Differences of two versions, in time proportional to the difference.

Two subtrees with the same path prefix that are reached by the same block index are
the same subtree, so the walk goes down both versions at once and leaves out every
pair of equal pointers. A write copies the pointers that it does not change: so
what remains is the paths of the keys written in between, and the rows beside them.

A key that was written in between appears, even if it has its old value again.
Order of paths; an explicit stack; the levels of a pair rise, which bounds the work.
"""

from __future__ import annotations

from collections.abc import Iterator

from trie.get import locate
from trie.node import Node, Row, digits_of
from trie.nodes import Nodes
from trie.path import DIGITS, NEVER, digit, levels, parting

Pair = tuple[Node | None, Node | None]
Side = tuple[Node | None, int, Node | None]
"""A subtree to be loaded: the node that points to it (None: it is at hand), index, node."""


def diff(nodes: Nodes, left: Node | None, right: Node | None, prefix: bytes) -> Iterator[Pair]:
    """Yield the live nodes, left and right, of each key below a path prefix that differs."""
    entry = levels(prefix)
    stack: list[tuple[Node | None, Node | None, int]] = []
    _push(stack, locate(nodes, left, prefix), locate(nodes, right, prefix), entry)
    while stack:
        one, other, entry = stack.pop()
        level = _next_level(one, other, entry)
        if level == NEVER:
            pair = _live(one), _live(other)
            if pair != (None, None):
                yield pair
            continue
        ours, theirs = _children(one, level), _children(other, level)
        for at_digit in range(DIGITS - 1, -1, -1):
            mine, yours = ours[at_digit], theirs[at_digit]
            if mine != yours:
                _push(
                    stack,
                    _load(nodes, one, level, at_digit, mine),
                    _load(nodes, other, level, at_digit, yours),
                    level + 1,
                )


def _push(
    stack: list[tuple[Node | None, Node | None, int]],
    one: Node | None,
    other: Node | None,
    entry: int,
) -> None:
    if (one.index if one else 0) != (other.index if other else 0):
        stack.append((one, other, entry))


def _live(node: Node | None) -> Node | None:
    return node if node is not None and node.live else None


def _next_level(one: Node | None, other: Node | None, entry: int) -> int:
    """Return the next level at which either subtree branches or the two part, or NEVER."""
    level = NEVER
    if one is not None and other is not None:
        level = parting(one.path, one.word, other.path, other.word)
        if level < entry:
            raise other.misplaced()
    for node in (one, other):
        if node is not None:
            row = _row_from(node, entry)
            if row is not None:
                level = min(level, row.level)
    return level


def _row_from(node: Node, entry: int) -> Row | None:
    for row in node.rows:
        if row.level >= entry:
            return row
    return None


def _children(node: Node | None, level: int) -> list[int]:
    """Return the block index for each digit of a level, 0 for none."""
    children = [0] * DIGITS
    if node is not None:
        row = node.row(level)
        if row is not None:
            for at_digit, index in zip(digits_of(row.bitmap), row.pointers, strict=True):
                children[at_digit] = index
        if node.live or (node.rows and node.rows[-1].level > level):
            children[digit(node.path, level)] = node.index
    return children


def _load(nodes: Nodes, node: Node | None, level: int, at_digit: int, index: int) -> Node | None:
    if not index or node is None:
        return None
    if index == node.index:
        return node
    return nodes.follow(node, level, at_digit, index)
