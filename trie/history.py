"""The feed as a record of what happened: each put and delete once, in order.

Every block but the header is a node or a chunk of a value; chunks say so in their
first byte. Read forwards, chunks are passed over. Read backwards, they need not
even be held: a node knows how many blocks of its value stand before it.

Versions that can be looked at are those at which a write ends; the last node of a
write has the number of its blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

from trie.errors import MalformedNode
from trie.node import PUT_CHUNKS, Node, chunks, is_chunk
from trie.nodes import Nodes


def selects(prefix: bytes, key: bytes) -> bool:
    """Tell whether a prefix selects a key; see `Paths.subtrees`."""
    if not prefix or prefix.endswith(b"/"):
        return key.startswith(prefix)
    return key == prefix or key.startswith(prefix + b"/")


def forwards(nodes: Nodes, since: int, version: int) -> Iterator[Node]:
    """Yield the nodes of the blocks [since, version), oldest first."""
    for index in range(max(since, 1), version):
        if index in nodes.young or not is_chunk(nodes.source[index]):
            yield nodes.load(index)


def backwards(nodes: Nodes, since: int, version: int) -> Iterator[Node]:
    """Yield the nodes of the blocks [since, version), newest first; reads no chunk."""
    index = version - 1
    while index >= max(since, 1):
        node = nodes.load(index)
        yield node
        index -= 1
        if node.kind == PUT_CHUNKS:
            first, size = node.run
            if first + chunks(size) == node.index:
                index = first - 1


def previous(nodes: Nodes, version: int) -> int:
    """Return the version before the write that ends at a version."""
    node = nodes.load(version - 1)
    if not node.span:
        raise MalformedNode(node.index, "a version ends inside a batch")
    return version - node.span
