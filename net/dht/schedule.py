"""The operations of one node: which run, and which wait for their turn.

Invariant: none begins while `MAX_OPERATIONS` run that do not rest. They begin in the order in
which they came, except that joining goes first and, while nobody is known, the others wait for it.
Must not know what operations do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from net.dht.joining import Join
from net.dht.operations import Operation

MAX_OPERATIONS = 32
"""Operations that run at a time; more wait their turn, so that a node's own bursts stay small."""


class Schedule:
    """Operations by number."""

    def __init__(self) -> None:
        self._running: dict[int, Operation] = {}
        self._queue: deque[tuple[int, Operation]] = deque()
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._running) + len(self._queue)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._running.values())

    def add(self, operation: Operation) -> int:
        """Note an operation that is to run; returns its number."""
        self._numbers += 1
        if isinstance(operation, Join):
            self._queue.appendleft((self._numbers, operation))
        else:
            self._queue.append((self._numbers, operation))
        return self._numbers

    def start(self, *, alone: bool) -> tuple[int, Operation] | None:
        """Return the next operation that may run, which runs from now on.

        `alone` says that nobody is known: a search would find nobody, but who joins soon will.
        """
        if not self._queue or sum(not one.resting for one in self) >= MAX_OPERATIONS:
            return None
        if alone and not isinstance(self._queue[0][1], Join) and self.has(Join):
            return None
        number, operation = self._queue.popleft()
        self._running[number] = operation
        return number, operation

    def get(self, number: int) -> Operation | None:
        """Return an operation that runs."""
        return self._running.get(number)

    def find(self, number: int) -> Operation | None:
        """Return an operation that runs or waits for its turn."""
        return self._running.get(number) or dict(self._queue).get(number)

    def numbers(self) -> list[int]:
        """Return the numbers of those that run."""
        return list(self._running)

    def remove(self, number: int) -> Operation | None:
        """Forget an operation that is over, or not wanted any more; return it if it was there."""
        operation = self.find(number)
        self._running.pop(number, None)
        self._queue = deque(item for item in self._queue if item[0] != number)
        return operation

    def has(self, kind: type[Operation]) -> bool:
        """Tell whether an operation of a kind runs."""
        return any(isinstance(operation, kind) for operation in self._running.values())
