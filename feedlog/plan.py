"""What a proof consists of: one small program that prover and verifier both run.

`plan` says, from numbers alone, which nodes a multiproof carries and how they
combine. The prover reads the GIVEN nodes from its store in that order; the
verifier executes the steps on a stack. As both derive the steps from the same
question, no node is sent twice, none that the verifier can compute, and one
left over is a fault. Specified in docs/spec/feed.md, section 6.

Steps, on a stack of nodes:

    GIVEN index     push the proof's next node
    KNOWN index     push a node that the verifier trusts already
    BLOCKS index    push the root of a perfect subtree, all of whose blocks are in the proof
    JOIN index      pop right and left, push their parent
    CHECK index     pop a node that must equal the trusted one

What remains on the stack at the end are the roots of `length`, if the proof
shows a head, and nothing otherwise. Pure integers; no hashes, no storage.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import cast

from feedlog import flat_tree
from feedlog.flat_tree import NodeIndex
from feedlog.ranges import Ranges


class Step(IntEnum):
    """What to do with a node; the module's docstring has the table."""

    GIVEN = 0
    KNOWN = 1
    BLOCKS = 2
    JOIN = 3
    CHECK = 4


Steps = list[tuple[Step, NodeIndex]]


@dataclass(frozen=True, slots=True)
class Question:
    """What a proof answers.

    `length` is the length of the head that everything is shown against. The
    verifier trusts the roots of the first `since` blocks (0: nothing) and the
    nodes `anchors` below them. `blocks` are shown with their data, `hashes` are
    tree nodes shown alone. `signed` asks for the climb to the head itself.
    """

    length: int
    blocks: Ranges = Ranges()  # noqa: RUF009 - immutable
    hashes: tuple[NodeIndex, ...] = ()
    since: int = 0
    anchors: tuple[NodeIndex, ...] = ()
    signed: bool = True

    def check(self) -> None:
        """Raise `ValueError` where the numbers make no question."""
        if not 0 <= self.since <= self.length:
            raise ValueError(f"since {self.since} is not in 0..{self.length}")
        if not self.signed and self.since != self.length:
            raise ValueError(
                f"an unsigned proof is against a trusted length: since {self.since} "
                f"is not {self.length}"
            )
        if self.blocks.stop > self.length:
            raise ValueError(f"block {self.blocks.stop - 1} is past the length {self.length}")
        for name, nodes, limit in (
            ("hashes", self.hashes, self.length),
            ("anchors", self.anchors, self.since),
        ):
            if not nodes:
                continue
            if list(nodes) != sorted(set(nodes)):
                raise ValueError(f"{name} must ascend: {nodes[:8]}")
            if nodes[0] < 0 or max(flat_tree.span(n)[1] for n in nodes) > limit:
                raise ValueError(f"{name} reach past the length {limit}")


class _Interest:
    """Sorted node indexes, asked by span."""

    __slots__ = ("_sorted", "nodes")

    def __init__(self, nodes: Iterable[NodeIndex]) -> None:
        self.nodes = frozenset(nodes)
        self._sorted = sorted(self.nodes)

    def below(self, index: NodeIndex) -> bool:
        """Tell whether a node strictly below `index` is in the set."""
        if not self._sorted:
            return False
        half = (~index & (index + 1)) - 1
        at = bisect_left(self._sorted, index - half)
        if at == len(self._sorted) or self._sorted[at] > index + half:
            return False
        if self._sorted[at] != index:
            return True
        return at + 1 < len(self._sorted) and self._sorted[at + 1] <= index + half


def plan(question: Question) -> Steps:
    """Return the steps of the minimal proof; the question must have passed its check.

    Takes O((ranges + hashes + anchors) log length) time and steps.
    """
    planner = _Planner(question)
    if question.signed:
        for root in flat_tree.roots(question.length):
            planner.push(root)
    for node in planner.checked():
        planner.derive(node)
        planner.steps.append((Step.CHECK, node))
    return planner.steps


def climb(question: Question) -> tuple[NodeIndex, list[NodeIndex]] | None:
    """Return how one block is shown against a trusted node: the node, and the siblings on the way.

    The siblings stand in the order of the way up; the proof carries them from left to
    right. None for every other question: it takes a plan.
    """
    pairs, anchors = question.blocks.pairs, question.anchors
    if question.signed or question.hashes or len(pairs) != 1 or len(anchors) > 1:
        return None
    block, stop = pairs[0]
    if stop - block != 1:
        return None
    start, stop = flat_tree.root_span(question.since, block)
    if anchors:
        low, high = flat_tree.span(anchors[0])
        if low <= block < high:
            start, stop = low, high
        elif start <= low < stop:
            return None  # it lies beside the way: siblings above it are shown by it
    levels = range((stop - start).bit_length() - 1)
    # The node at a level, `offset` nodes from the left: flat_tree.node, without the call.
    siblings = [
        NodeIndex((((block >> level) ^ 1) << level + 1) + (1 << level) - 1) for level in levels
    ]
    return NodeIndex(start + stop - 1), siblings


def given_nodes(question: Question) -> list[NodeIndex]:
    """Return the nodes that a proof carries: those of the GIVEN steps of its plan, in their order.

    Where all blocks lie to one side of what is trusted, these nodes are the perfect
    subtrees that tile what is between the blocks, and no plan has to be drawn up.
    """
    way = climb(question)
    if way is not None:
        return sorted(way[1])
    pairs, length = question.blocks.pairs, question.length
    at, end = (question.since, length) if question.signed else (0, 0)
    if question.hashes or question.anchors or (pairs and pairs[0][0] < at):
        return [index for step, index in plan(question) if step is Step.GIVEN]
    nodes: list[int] = []  # a call of NodeIndex for each would cost as much as its arithmetic
    for start, stop in pairs:
        if start >= end:  # against a root that no range before needs
            _tile(nodes, at, end)
            at, _ = flat_tree.root_span(length, start)
        _tile(nodes, at, start)
        at = stop
        if not question.signed and stop > end:
            _, end = flat_tree.root_span(length, stop - 1)
    _tile(nodes, at, end)
    return cast("list[NodeIndex]", nodes)


def _tile(nodes: list[int], start: int, stop: int) -> None:
    """Add the largest perfect subtrees that lie side by side in the blocks [start, stop)."""
    width = start & -start
    while 0 < width <= stop - start:  # up, as far as places and room allow
        nodes.append(2 * start + width - 1)
        start += width
        width = start & -start
    while start < stop:  # and down
        width = 1 << (stop - start).bit_length() - 1
        nodes.append(2 * start + width - 1)
        start += width


class _Planner:
    """Appends steps to a list: a recursion of generators would pay for its depth at every step."""

    def __init__(self, question: Question) -> None:
        self.steps: Steps = []
        self.blocks = question.blocks
        self.hashes = _Interest(question.hashes)
        self.since = question.since
        self.trusted = _Interest([*flat_tree.roots(question.since), *question.anchors])

    def push(self, index: NodeIndex) -> None:
        """Push a node; targets below a trusted one are shown against that node later."""
        if index in self.trusted.nodes:
            self.steps.append((Step.KNOWN, index))
        else:
            self.derive(index)

    def derive(self, index: NodeIndex) -> None:
        """Push a node without trusting it: from blocks, from its children, or as given."""
        width = ~index & (index + 1)
        start = (index - width + 1) >> 1
        stop = start + width
        trusted = self.trusted.below(index)
        hashes = self.hashes.below(index)
        wanted = self.blocks.touches(start, stop)
        if not trusted and not hashes:
            if wanted:
                self._derive_from_blocks(start, width)
            else:
                self.steps.append((Step.GIVEN, index))
        elif wanted or hashes or start < self.since < stop or self._derivable(index):
            left, right = flat_tree.children(index)
            self.push(left)
            self.push(right)
            self.steps.append((Step.JOIN, index))
        else:
            self.steps.append((Step.GIVEN, index))

    def _derive_from_blocks(self, start: int, width: int) -> None:
        """Push the node over `width` blocks from `start`: some are asked for, and nothing else.

        The way of nearly every step, hence without the questions of `derive`.
        """
        steps, blocks = self.steps, self.blocks
        index = NodeIndex(2 * start + width - 1)
        if blocks.covers(start, start + width):
            steps.append((Step.BLOCKS, index))
            return
        width >>= 1
        middle = start + width
        for first in (start, middle):
            if blocks.touches(first, first + width):
                self._derive_from_blocks(first, width)
            else:
                steps.append((Step.GIVEN, NodeIndex(2 * first + width - 1)))
        steps.append((Step.JOIN, index))

    def _derivable(self, index: NodeIndex) -> bool:
        """Tell whether trusted nodes alone give this one."""
        return self.trusted.below(index) and all(
            child in self.trusted.nodes or self._derivable(child)
            for child in flat_tree.children(index)
        )

    def checked(self) -> list[NodeIndex]:
        """Return, ascending, the trusted nodes against which targets are shown."""
        pairs = self.blocks.pairs
        if not self.hashes.nodes and all(stop - start == 1 for start, stop in pairs):
            # The usual question of a reader: climbing takes a set look-up a level.
            found = {self._climb(flat_tree.node(0, block)) for block, _ in pairs}
            return sorted(node for node in found if node is not None)
        return [node for node in sorted(self.trusted.nodes) if self.lowest_above_a_target(node)]

    def _climb(self, index: NodeIndex) -> NodeIndex | None:
        """Return the lowest trusted node above a leaf, None where the reader trusts none."""
        trusted = self.trusted.nodes
        bit, end = 1, 2 * self.since - 2  # a trusted node's last leaf is at most the last of since
        while index not in trusted:
            bit <<= 1
            index = NodeIndex(index & ~bit | bit >> 1)
            if index + bit - 1 > end:
                return None
        return index

    def lowest_above_a_target(self, index: NodeIndex) -> bool:
        """Tell whether a target lies below `index` with no other trusted node between."""
        if not (self.blocks.touches(*flat_tree.span(index)) or self.hashes.below(index)):
            return False
        if not self.trusted.below(index):
            return True
        return any(
            child not in self.trusted.nodes
            and (child in self.hashes.nodes or self.lowest_above_a_target(child))
            for child in flat_tree.children(index)
        )
