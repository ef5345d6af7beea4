"""Whose fragment goes next.

Urgent lanes before bulk lanes; inside each, channels take turns, a fragment a turn, so
a channel with much to say delays another by one frame for each that is in line.

Invariant: a channel stands in a line at most once, and one that cannot send for want of
credit or messages leaves it. Must not know bytes, frames or credit amounts.
"""

from __future__ import annotations

from collections import deque

from net.channels.channel import Channel


class Schedule:
    """Two lines of channels."""

    def __init__(self) -> None:
        self._lines: tuple[deque[Channel], deque[Channel]] = (deque(), deque())
        self._standing: tuple[set[int], set[int]] = (set(), set())

    def __bool__(self) -> bool:
        return bool(self._lines[0] or self._lines[1])

    def add(self, channel: Channel) -> None:
        """Let the channel stand in each line in which it has something to send."""
        for urgent in (True, False):
            if channel.sendable(urgent=urgent) and channel.number not in self._standing[urgent]:
                self._standing[urgent].add(channel.number)
                self._lines[urgent].append(channel)

    def next(self) -> tuple[Channel, bool] | None:
        """Return whose turn it is and whether in the urgent line; it leaves the line."""
        for urgent in (True, False):
            line = self._lines[urgent]
            while line:
                channel = line.popleft()
                self._standing[urgent].discard(channel.number)
                if channel.sendable(urgent=urgent):
                    return channel, urgent
        return None
