"""Listings: which nodes a prefix or a range of keys selects, in which order.

A listing is a scan of one or two subtrees inside bounds. It resumes from a key:
`after` names the last one seen, which need not exist any more, in this version or
a later one. With `recursive=False` it goes one component deep, as a directory
listing does: everything below the next "/" becomes one `Directory`, and the scan
starts anew behind it.

Keys are bytes here. Must not know codecs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from trie.get import count, locate
from trie.header import Header
from trie.node import Node
from trie.nodes import Nodes
from trie.path import SEPARATOR, Paths, levels
from trie.scan import Bounds, scan


@dataclass(frozen=True, slots=True)
class Directory:
    """Keys that go on below a "/", in a listing of one level."""

    name: bytes
    """The keys' beginning, up to and with the "/"."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to list; keys and prefixes are the trie's bytes."""

    prefix: bytes = b""
    start: bytes | None = None
    """The first key; only in key order."""
    stop: bytes | None = None
    """The key before which to end; only in key order."""
    after: bytes | None = None
    """The key, or with recursive=False the directory, after which to go on."""
    recursive: bool = True
    reverse: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        """Refuse a limit that is none."""
        if self.limit is not None and self.limit < 0:
            raise ValueError(f"a limit is not negative, got {self.limit}")

    def check(self, header: Header) -> None:
        """Raise `ValueError` for a range where the order of the trie has none."""
        if header.order != "key":
            raise ValueError("only a trie that was made with order='key' has ranges")

    @property
    def plain(self) -> bool:
        """Whether it selects all keys of its prefix."""
        bounded = (self.start, self.stop, self.after, self.limit) != (None,) * 4
        return self.recursive and not bounded


def select(nodes: Nodes, root: Node | None, query: Query) -> Iterator[Node | Directory]:
    """Yield what a query selects, in its order."""
    if root is None:
        return iter(())
    found = _all(nodes, root, query) if query.recursive else _one_level(nodes, root, query)
    return found if query.limit is None else islice(found, query.limit)


def length(nodes: Nodes, root: Node | None, query: Query) -> int:
    """Return how many entries a query selects, by the counters where they say it."""
    if root is None:
        return 0
    if query.plain:
        return sum(count(nodes, root, prefix) for prefix in nodes.paths.subtrees(query.prefix))
    return sum(1 for _ in select(nodes, root, query))


def _all(nodes: Nodes, root: Node, query: Query) -> Iterator[Node]:
    bounds = _bounds(nodes.paths, query)
    subtrees = nodes.paths.subtrees(query.prefix)
    for prefix in reversed(subtrees) if query.reverse else subtrees:
        node = locate(nodes, root, prefix)
        yield from scan(nodes, node, levels(prefix), bounds=bounds, reverse=query.reverse)


def _one_level(nodes: Nodes, root: Node, query: Query) -> Iterator[Node | Directory]:
    at = query
    while (node := next(_all(nodes, root, at), None)) is not None:
        end = node.key.find(SEPARATOR, len(query.prefix))
        if end < 0:
            yield node
            at = replace(at, after=node.key)
        else:
            name = node.key[: end + 1]
            yield Directory(name)
            at = replace(at, recursive=False, after=name)


def _bounds(paths: Paths, query: Query) -> Bounds | None:
    low, high = b"", None
    if query.start is not None:
        low = paths.bound(query.start)
    if query.stop is not None:
        high = paths.bound(query.stop)
    if query.after is not None:
        first, behind = _extent(paths, query)
        if query.reverse:
            high = first if high is None else min(high, first)
        else:
            low = max(low, behind)
    return Bounds(low, high) if low or high is not None else None


def _extent(paths: Paths, query: Query) -> tuple[bytes, bytes]:
    """Return bounds of what `after` names: its first path, and what comes next behind it."""
    after = query.after
    assert after is not None, "asked only then"
    if not query.recursive and after.endswith(SEPARATOR) and len(after) > len(query.prefix):
        subtree = paths.subtrees(after)[-1]
        last = subtree[-1]
        assert last < 0xFF, "a directory's subtree ends with 01 or with the separator"
        return subtree, subtree[:-1] + bytes((last + 1,))
    path = paths.path(after)
    return path, path + b"\x01"  # no other path begins with this one
