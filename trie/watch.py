"""Watching a prefix: each change once, deletes included.

A watch remembers the version up to which it has told. It reads the blocks that came
since from the newest back, so that values in chunks need not be here, and tells the
changes in the order in which they were written. A `BlockMissing` leaves the watch
where it was. It does not wait: whoever learns that the feed has grown asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from trie import history
from trie.core import Core
from trie.entries import Change
from trie.errors import TrieError
from trie.header import Header
from trie.keyspace import Keyspace


class Watch:
    """The changes under a prefix since a version."""

    def __init__(
        self, core: Core, space: Callable[[Header], Keyspace], prefix: str | bytes, since: int
    ) -> None:
        """Tell of the changes after version `since`."""
        core.latest()  # which learns the present fork
        self._core = core
        self._space = space
        self._prefix = prefix
        self._fork = core.fork
        self.version = since
        """The version up to which all changes have been told."""

    def poll(self) -> list[Change]:
        """Return the changes since the last call, oldest first.

        Raises `TrieError` once when the feed was truncated, since what happened in the
        blocks that are gone can not be told; the next call goes on from the new end.
        """
        latest = self._core.latest()
        if self._core.fork != self._fork or latest < self.version:
            self._fork, self.version = self._core.fork, latest
            raise TrieError(f"the feed was truncated; its fork is {self._fork} now")
        if latest == self.version:
            return []
        space = self._space(self._core.nodes.header)
        prefix = space.encode_prefix(self._prefix)
        nodes = self._core.nodes
        found = [
            node
            for node in history.backwards(nodes, self.version, latest)
            if history.selects(prefix, node.key)
        ]
        changes = [space.change(nodes, node) for node in reversed(found)]
        self.version = latest
        return changes

    def __iter__(self) -> Iterator[Change]:
        """Yield the changes up to now; iterate again for those that come later."""
        return iter(self.poll())
