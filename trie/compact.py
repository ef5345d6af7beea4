"""Getting rid of what is no longer needed: the live state as a new feed, and dead blocks.

A feed only grows. What a version still reaches can be written to another feed, in
the order of paths, in a few large batches: every key once, with the shortest rows.
Or it stays, and the blocks that the version does not read are cleared from disk;
history and older versions are then gone from this copy.

Must not know codecs: keys and values are moved as bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from feedlog import Feed
from trie.core import Core, State
from trie.node import Node
from trie.nodes import DEFAULT_CAPACITY, Nodes
from trie.pending import Pending
from trie.scan import scan
from trie.walk import touched
from trie.write import Change

BATCH_KEYS = 10_000
"""Keys in one write of a compaction: enough that rows written twice do not matter."""
BATCH_BYTES = 8 << 20
"""Bytes of values after which a write ends before that."""


def compact_into(state: State, feed: Feed) -> None:
    """Write the keys of a version to an empty feed; raises `ValueError` if it is not empty."""
    if feed.length:
        raise ValueError(f"the feed to write to has {feed.length} blocks already")
    core = Core(feed, state.nodes.header, cache_size=DEFAULT_CAPACITY)
    for changes in _batches(state):
        with feed.transaction() as source:
            Pending(core, source, source.head).write(changes)


def _batches(state: State) -> Iterator[list[Change]]:
    changes: list[Change] = []
    room = BATCH_BYTES
    for node in scan(state.nodes, state.root):
        value = state.nodes.value(node)
        changes.append((node.path, node.key, value))
        room -= len(value)
        if len(changes) >= BATCH_KEYS or room <= 0:
            yield changes
            changes, room = [], BATCH_BYTES
    if changes:
        yield changes


def dead_blocks(nodes: Nodes, version: int) -> list[range]:
    """Return the blocks before a version that neither it nor a write to it reads."""

    def read(recording: Nodes, root: Node) -> None:
        for node in scan(recording, root):
            recording.value(node)

    dead = []
    before = 0
    for index in sorted(touched(nodes, version, read)):
        if index > before:
            dead.append(range(before, index))
        before = index + 1
    return dead
