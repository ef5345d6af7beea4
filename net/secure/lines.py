"""The lines of one stream: the one that it writes on, the one that it reads, and those it has left.

    lines.go_on(left, owner)             # write on the line of another stream from now on
    left = lines.switch()                # and read it, too: the old one has brought all it had

They are one line, except while the stream moves (`net.secure.moving`): then it writes on the new
one already and reads what the old one still brings.

Invariant: the new line is held until the old one was read to its end; a line that was left is
closed when the other end has all of it, or after `FLUSH_DEADLINE`.
Must not know what the stream reads or writes, or why it moves.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import NamedTuple, Protocol

from net.secure.line import Line, LineOwner

FLUSH_DEADLINE = 60.0
"""Seconds in which what was written must have left a line that is over."""


class Surrendered(NamedTuple):
    """What a stream gives to the one that goes on over its line."""

    line: Line
    early: bytes
    """What the line has brought already."""
    ended: bool
    """Whether it will bring no more."""
    paused: bool
    """Whether its carrier has enough to send."""


class Giver(Protocol):
    """A stream that was opened for another one to go on over."""

    def surrender(self) -> Surrendered:
        """Give the line away."""

    def is_closing(self) -> bool:
        """Tell whether there is no line to give any more."""


class Lines:
    """The lines of one stream."""

    def __init__(self, line: Line) -> None:
        self.written = self.read = line
        self.left: set[Line] = set()
        """Lines that we have left and that are not gone."""
        self._expected: Giver | None = None
        self._taken: Surrendered | None = None

    def __contains__(self, line: Line) -> bool:
        return line is self.written or line is self.read

    @property
    def moving(self) -> bool:
        """Whether a move is agreed on, or not over."""
        return self._expected is not None or bool(self.left)

    def expect(self, onto: Giver) -> None:
        """Have a stream ready to go on over, as soon as the peer does."""
        self._expected = onto

    def forget(self, onto: Giver) -> None:
        """Expect that no longer; nothing happens where it has come to pass."""
        if self._expected is onto:
            self._expected = None

    def take_expected(self) -> Giver | None:
        """Return what was expected, now that the peer has gone on."""
        onto, self._expected = self._expected, None
        return onto

    def go_on(self, taken: Surrendered, owner: LineOwner) -> None:
        """Write on another line from now on; what it brings waits until `switch`."""
        self.left.add(self.written)
        self.written.writer.leave()
        taken.line.hold()
        taken.line.owner = owner
        self._taken = taken
        self.written = taken.line

    def switch(self) -> Surrendered:
        """Read the line that is written on; `release` it when what it brought is dealt with."""
        taken, self._taken = self._taken, None
        assert taken is not None, "a stream switches after it has gone on"
        old, self.read = self.read, self.written
        timer = asyncio.get_running_loop().call_later(FLUSH_DEADLINE, old.carrier.abort)
        old.on_lost += [timer.cancel, partial(self.left.discard, old)]
        old.retire()
        return taken

    def drop(self) -> None:
        """End the lines that are written and read at once."""
        self.written.drop()
        self.read.drop()
