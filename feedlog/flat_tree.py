"""Index arithmetic of the flat in-order tree (the numbering of PPSP, RFC 7574, and Hypercore).

Leaf i has index 2i; a parent lies between its two subtrees:

    level 2           3
    level 1     1           5
    level 0   0   2       4   6
    block     0   1       2   3

A feed of n blocks has one root for each set bit of n: the perfect subtrees that
tile [0, n) from left to right. Spans are half-open ranges of block indexes.

Pure integers. Must not know hashes.
"""

from __future__ import annotations

from typing import NewType

NodeIndex = NewType("NodeIndex", int)
"""Index of a node in the flat tree; block i is the node 2i."""


def level(index: int) -> int:
    """Return the height of a node above the leaves: 0 for a leaf."""
    return (~index & (index + 1)).bit_length() - 1


def node(at_level: int, offset: int) -> NodeIndex:
    """Return the node that is the `offset`-th from the left on its level."""
    return NodeIndex((offset << (at_level + 1)) + (1 << at_level) - 1)


def offset(index: int) -> int:
    """Return how many nodes of its level lie to the left of a node."""
    return index >> (level(index) + 1)


def span(index: int) -> tuple[int, int]:
    """Return the range [first, last + 1) of blocks below a node."""
    half = (~index & (index + 1)) - 1  # leaves in indexes left or right of the node
    return (index - half) >> 1, ((index + half) >> 1) + 1


def last_block(index: int) -> int:
    """Return the rightmost block below a node: appending that block completes the node."""
    return (index + (~index & (index + 1)) - 1) >> 1


def parent(index: int) -> NodeIndex:
    """Return the node above."""
    bit = ~index & (index + 1)
    return NodeIndex((index | bit) & ~(bit << 1))


def sibling(index: int) -> NodeIndex:
    """Return the other child of the node's parent."""
    return NodeIndex(index ^ ((~index & (index + 1)) << 1))


def is_right(index: int) -> bool:
    """Tell whether a node is its parent's right child."""
    return bool(index & ((~index & (index + 1)) << 1))


def children(index: int) -> tuple[NodeIndex, NodeIndex]:
    """Return the two nodes below one that is not a leaf."""
    half = (~index & (index + 1)) >> 1
    assert half, f"leaf {index} has no children"
    return NodeIndex(index - half), NodeIndex(index + half)


def roots(length: int) -> list[NodeIndex]:
    """Return the roots of a feed of `length` blocks from left to right."""
    result = []
    start = 0
    while start < length:
        width = 1 << (length - start).bit_length() - 1
        result.append(NodeIndex(2 * start + width - 1))
        start += width
    return result


def root_span(length: int, block: int) -> tuple[int, int]:
    """Return the range of blocks below the root of a feed of `length` that is above a block."""
    width = 1 << (length ^ block).bit_length() - 1  # the first bit that `length` has more
    start = block & -width
    return start, start + width
