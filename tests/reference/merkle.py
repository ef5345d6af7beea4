"""The tree as its definition reads: slow, recursive, and obviously right."""

from __future__ import annotations

from dataclasses import dataclass

from feedlog.hashing import HashSuite


@dataclass(frozen=True)
class Node:
    """A perfect subtree over the blocks [start, stop)."""

    start: int
    stop: int
    size: int
    digest: bytes

    @property
    def index(self) -> int:
        """The flat-tree index: midway between the outermost leaves 2 * start and 2 * (stop - 1)."""
        return self.start + self.stop - 1


def subtree(suite: HashSuite, blocks: list[bytes], start: int, stop: int) -> Node:
    """Build the node over [start, stop), whose width is a power of two."""
    if stop - start == 1:
        block = blocks[start]
        preimage = b"\x00" + len(block).to_bytes(8, "little") + block
        return Node(start, stop, len(block), suite.digest(preimage))
    middle = (start + stop) // 2
    left = subtree(suite, blocks, start, middle)
    right = subtree(suite, blocks, middle, stop)
    size = left.size + right.size
    preimage = b"\x01" + size.to_bytes(8, "little") + left.digest + right.digest
    return Node(start, stop, size, suite.digest(preimage))


def roots(suite: HashSuite, blocks: list[bytes]) -> list[Node]:
    """Tile the blocks with the largest perfect subtrees that fit, from left to right."""
    result = []
    start = 0
    while start < len(blocks):
        width = 1
        while start + 2 * width <= len(blocks):
            width *= 2
        result.append(subtree(suite, blocks, start, start + width))
        start += width
    return result


def tree_hash(suite: HashSuite, blocks: list[bytes]) -> bytes:
    """Hash the roots."""
    preimage = b"\x02"
    for root in roots(suite, blocks):
        preimage += root.digest
        preimage += root.index.to_bytes(8, "little")
        preimage += root.size.to_bytes(8, "little")
    return suite.digest(preimage)


def nodes(suite: HashSuite, blocks: list[bytes]) -> dict[int, Node]:
    """Return every node of the tree by its index."""
    found = {}
    pending = roots(suite, blocks)
    while pending:
        node = pending.pop()
        found[node.index] = node
        if node.stop - node.start > 1:
            middle = (node.start + node.stop) // 2
            pending.append(subtree(suite, blocks, node.start, middle))
            pending.append(subtree(suite, blocks, middle, node.stop))
    return found
