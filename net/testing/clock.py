"""A clock that a test moves: things happen in the order of their times, and nobody sleeps.

Invariant: `now` never goes back, and what is due at one moment happens in the order in which
it was asked for, so that a run with one seed is always the same run.
Must not know networks.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Timer:
    """Something that is to happen; `cancel` prevents it."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Let it not happen. Harmless when it has happened."""
        self.callback = None


class Clock:
    """Virtual seconds and what is to happen in them."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Have something happen at a moment, at once if that has passed."""
        timer = Timer(callback)
        self._count += 1
        heapq.heappush(self._heap, (max(when, self.now), self._count, timer))
        return timer

    def run(self, until: float, stop: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass until a moment, or until `stop()`; tells whether it was `stop`."""
        while not stop():
            if not self._heap or self._heap[0][0] > until:
                self.now = max(self.now, until)
                return False
            self.now, _, timer = heapq.heappop(self._heap)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        return True
