"""Lookups: the node of one key, and the subtree of a prefix.

Both start at a version's root and follow one pointer for each level at which the
node at hand and the wanted path part. Every step must part at a deeper level than
the one before, whatever the blocks say: that is what bounds a lookup in a hostile
trie, and what shows that a node stands where its key's hash puts it.

Reads only, so a lookup that met a `BlockMissing` can be run again.
"""

from __future__ import annotations

from trie.node import DELETE, Node
from trie.nodes import Nodes
from trie.path import NEVER, WORD_BITS, WORD_SIZE, digit, levels, parting, word_of


def find(nodes: Nodes, root: Node | None, path: bytes) -> Node | None:
    """Return the live node with this path, or None."""
    if root is None:
        return None
    if len(path) > WORD_SIZE:
        return _find_long(nodes, root, path)
    word = int.from_bytes(path) << (WORD_BITS - 8 * len(path))
    node = root
    before = WORD_BITS
    young = nodes.young.get
    while True:
        difference = word ^ node.word
        if not difference:
            return None if node.kind == DELETE else node
        # The digit at which they part, counted in bits from the word's low end.
        shift = (difference.bit_length() - 1) & ~3
        if shift >= before:
            raise node.misplaced()
        before = shift
        link = shift << 2 | word >> shift & 15
        links = node.links
        index = links.get(link) if links else None
        if index is None:
            row = node.row((WORD_BITS - 4 - shift) >> 2)
            index = row.at(word >> shift & 15) if row else 0
            if not index:
                return None
            if links is None:
                links = node.links = {}
            links[link] = index
        node = young(index) or nodes.load(index)


def _find_long(nodes: Nodes, root: Node, path: bytes) -> Node | None:
    word = word_of(path)
    node = root
    before = -1
    while True:
        level = parting(path, word, node.path, node.word)
        if level == NEVER:
            return None if node.kind == DELETE else node
        if level <= before:
            raise node.misplaced()
        before = level
        row = node.row(level)
        index = row.at(digit(path, level)) if row else 0
        if not index:
            return None
        node = nodes.load(index)


def locate(nodes: Nodes, root: Node | None, prefix: bytes) -> Node | None:
    """Return the node that stands for the subtree of a path prefix, or None if it is empty.

    The subtree is entered there at level `levels(prefix)`.
    """
    if root is None or not prefix:
        return root
    word = word_of(prefix)
    entry = levels(prefix)
    node = root
    before = -1
    while True:
        level = parting(prefix, word, node.path, node.word)
        if level >= entry:
            return node
        if level <= before:
            raise node.misplaced()
        before = level
        row = node.row(level)
        index = row.at(digit(prefix, level)) if row else 0
        if not index:
            return None
        node = nodes.load(index)


def count(nodes: Nodes, root: Node | None, prefix: bytes) -> int:
    """Return how many keys lie below a path prefix, as the trie's writer counted them."""
    node = locate(nodes, root, prefix)
    return 0 if node is None else node.count(levels(prefix))
