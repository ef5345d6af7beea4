"""Walks over subtrees in the order of paths: what listings, ranges and counts iterate.

A node entered at level e stands for its own key and for the subtrees of its rows
from e on. In ascending order of paths these come as

    rows, ascending level:   digits below the node's own digit there
    the node's own key
    rows, descending level:  digits above the node's own digit there

so the walk keeps a stack of what is still to come. Nothing recurses: depth is
bounded by the digits of a key, work by the subtrees inside the bounds.

Must not know keys' meaning, versions or values.
"""

from __future__ import annotations

from collections.abc import Iterator

from trie.node import DELETE, Node, digits_of
from trie.nodes import Nodes
from trie.path import NEVER, digit, parting, word_of

Pending = tuple[Node, int, int, int, bool]
"""What is still to come: a node, then level, digit and index of one of its pointers (index 0:
its own key), and whether the bounds may cut that subtree."""

OWN_KEY = 0


class Bound:
    """A path that divides the others into those below and those from it on."""

    __slots__ = ("_path", "_word")

    def __init__(self, path: bytes) -> None:
        self._path = path
        self._word = word_of(path)

    def sides(self, node: Node, pending: list[Pending]) -> list[int]:
        """Tell of each part of a node: -1 all below, 1 all above, 0 holding or being the bound."""
        path = node.path
        parts_at = parting(self._path, self._word, path, node.word)
        if parts_at == NEVER:
            mine = whole = 0
        else:
            mine = digit(self._path, parts_at)
            whole = 1 if digit(path, parts_at) > mine else -1
        sides = []
        for _, level, at_digit, index, _ in pending:
            if index == OWN_KEY or level > parts_at:
                sides.append(whole)
                continue
            against = mine if level == parts_at else digit(path, level)
            sides.append((at_digit > against) - (at_digit < against))
        return sides


class Bounds:
    """The half-open range of paths [low, high); a high bound of None is the end."""

    __slots__ = ("_high", "_low")

    def __init__(self, low: bytes = b"", high: bytes | None = None) -> None:
        self._low = Bound(low) if low else None
        self._high = None if high is None else Bound(high)

    def inside(self, node: Node, pending: list[Pending]) -> list[Pending]:
        """Leave out what lies outside, and mark what still may be cut."""
        inside = [1] * len(pending)
        low = self._low.sides(node, pending) if self._low else inside
        high = self._high.sides(node, pending) if self._high else [-1] * len(pending)
        kept = []
        for part, above, below in zip(pending, low, high, strict=True):
            node, level, at_digit, index, _ = part
            if above >= 0 and (below < 0 or (below == 0 and index != OWN_KEY)):
                kept.append((node, level, at_digit, index, above == 0 or below == 0))
        return kept


def scan(
    nodes: Nodes,
    start: Node | None,
    entry: int = 0,
    *,
    bounds: Bounds | None = None,
    reverse: bool = False,
) -> Iterator[Node]:
    """Yield the live nodes of the subtree entered at `start`, in the order of their paths."""
    if start is None:
        return
    stack: list[Pending] = []
    _expand(stack, start, entry, bounds, reverse=reverse)
    while stack:
        node, level, at_digit, index, cut = stack.pop()
        if index == OWN_KEY:
            yield node
            continue
        child = nodes.follow(node, level, at_digit, index)
        if cut or (child.rows and child.rows[-1].level > level):
            _expand(stack, child, level + 1, bounds if cut else None, reverse=reverse)
        elif child.kind != DELETE:
            yield child


def _expand(
    stack: list[Pending], node: Node, entry: int, bounds: Bounds | None, *, reverse: bool
) -> None:
    """Push what a node stands for, so that it is popped in order."""
    before: list[Pending] = []
    after: list[Pending] = []
    path = node.path
    for row in node.rows:
        level = row.level
        if level < entry:
            continue
        own = digit(path, level)
        higher: list[Pending] = []
        for at_digit, index in zip(digits_of(row.bitmap), row.pointers, strict=True):
            side = before if at_digit < own else higher
            side.append((node, level, at_digit, index, False))
        after[:0] = higher
    if node.kind != DELETE:
        before.append((node, 0, 0, OWN_KEY, False))
    pending = before + after
    if bounds is not None:
        pending = bounds.inside(node, pending)
    stack.extend(pending if reverse else reversed(pending))
