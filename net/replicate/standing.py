"""Where our copy of a feed stands: its head and which blocks it holds.

Read from the store when something has changed, by us or by another process, and kept
until then, so that the many decisions in between cost no look-up.
"""

from __future__ import annotations

from feedlog import BlockMissing, Feed, Head
from net.replicate.spans import Spans


class Standing:
    """The facts of one feed that replication decides by."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.head: Head | None = None
        self.held = Spans()
        self._generation = -1
        self.refresh()

    @property
    def length(self) -> int:
        """Blocks in the feed, held or not."""
        return self.head.length if self.head else 0

    @property
    def fork(self) -> int:
        """The fork that our head is of."""
        return self.head.fork if self.head else 0

    @property
    def outdated(self) -> bool:
        """Whether something in the store has changed since the facts were read."""
        return self.feed.generation != self._generation

    def refresh(self) -> Spans:
        """Read the facts again; return the blocks that are held now or are not any more."""
        self._generation = self.feed.generation
        before, self.head = self.held, self.feed.head
        self.held = Spans.ascending((part.start, part.stop) for part in self.feed.have)
        return self.held.changes(before)

    def provable(self, length: int) -> bool:
        """Tell whether we can check proofs against the first `length` blocks."""
        if length >= self.length:
            return length == self.length
        try:
            self.feed.root_hash(length)
        except BlockMissing:
            return False
        return True
