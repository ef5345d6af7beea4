"""The window of blocks ahead of a sequential reader that are on their way before it asks.

    move(index, stop)   the reader is at `index` and will not go past `stop`
    close()             it reads no more

Invariant: no more than `READ_AHEAD_BYTES` (by the usual size of a block) and
`READ_AHEAD_BLOCKS` are wanted beyond the reader, and nothing past `stop`.
Must not know peers, clocks, or what is read.
"""

from __future__ import annotations

from net.replicate.core import Replication
from net.replicate.wants import Want

READ_AHEAD_BYTES = 4 << 20
"""What a sequential reader has on its way: 80 MB/s at 50 ms."""
READ_AHEAD_BLOCKS = 4096


class ReadAhead:
    """What one reader will want next."""

    def __init__(self, core: Replication) -> None:
        self._core = core
        self._start = self._until = 0
        self._want: Want | None = None

    def move(self, index: int, stop: int) -> bool:
        """Slide the window to a reader's place; True where there is something new to ask for."""
        if self._reaches(index, stop):
            return False
        self.close()
        size = self._core.scheduler.block_size
        count = max(1, min(READ_AHEAD_BLOCKS, READ_AHEAD_BYTES // size))
        self._start, self._until = index, min(stop, index + count)
        gaps = self._core.standing.held.gaps(index, self._until)
        self._want = self._core.wants.add(gaps, ahead=True)
        return not self._want.finished

    def _reaches(self, index: int, stop: int) -> bool:
        """Tell whether the window is good enough: it slides when half of it is behind."""
        if self._want is None or not self._start <= index < self._until:
            return False
        if self._until >= stop:
            return True
        ahead = self._until - index
        return not self._want.finished and 2 * ahead >= self._until - self._start

    def close(self) -> None:
        """Want nothing of it any more."""
        if self._want is not None:
            self._core.wants.drop(self._want)
            self._want = None
