"""Differences of two versions, in time proportional to the difference.

Two subtrees with the same path prefix that are reached by the same block index are
the same subtree, so the walk goes down both versions at once and leaves out every
pair of equal pointers. A write copies the pointers that it does not change: so
what remains is the paths of the keys written in between, and the rows beside them.

A key that was written in between appears, even if it has its old value again.
It resumes behind a path: subtrees that lie before it are not entered. Order of paths;
an explicit stack; the levels of a pair rise, which bounds the work.
"""

from __future__ import annotations

from collections.abc import Iterator

from trie.get import locate
from trie.node import Node, Row, digits_of
from trie.nodes import Nodes
from trie.path import DIGITS, NEVER, digit, levels, parting, word_of

Pair = tuple[Node | None, Node | None]
Side = tuple[Node | None, int, Node | None]
"""A subtree to be loaded: the node that points to it (None: it is at hand), index, node."""


Todo = tuple[Node | None, Node | None, int, bool]
"""A pair of subtrees, the level of entry, and whether some of it may lie before `after`."""


def diff(
    nodes: Nodes, left: Node | None, right: Node | None, prefix: bytes, after: bytes = b""
) -> Iterator[Pair]:
    """Yield the live nodes, left and right, of each key below a path prefix that differs.

    Leaves out the keys up to a path `after`.
    """
    entry = levels(prefix)
    word = word_of(after)
    stack: list[Todo] = []
    _push(stack, locate(nodes, left, prefix), locate(nodes, right, prefix), entry, cut=bool(after))
    while stack:
        one, other, entry, cut = stack.pop()
        level = _next_level(one, other, entry)
        either = one or other
        assert either is not None, "a pair has a side"
        if cut:
            parts_at = parting(after, word, either.path, either.word)
            if parts_at == NEVER and level == NEVER:
                continue
            if parts_at < level:
                if digit(either.path, parts_at) < digit(after, parts_at):
                    continue
                cut = False
        if level == NEVER:
            pair = _live(one), _live(other)
            if pair != (None, None):
                yield pair
            continue
        ours, theirs = _children(one, level), _children(other, level)
        lowest = digit(after, level) if cut else 0
        for at_digit in range(DIGITS - 1, lowest - 1, -1):
            mine, yours = ours[at_digit], theirs[at_digit]
            if mine != yours:
                _push(
                    stack,
                    _load(nodes, one, level, at_digit, mine),
                    _load(nodes, other, level, at_digit, yours),
                    level + 1,
                    cut=cut and at_digit == lowest,
                )


def _push(
    stack: list[Todo], one: Node | None, other: Node | None, entry: int, *, cut: bool
) -> None:
    if (one.index if one else 0) != (other.index if other else 0):
        stack.append((one, other, entry, cut))


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
