"""Who waits for what of a remote feed, and for how long.

A reader who gets one block after another makes one future a block, and its deadline
costs a number: a single timer looks after all of them.

Invariant: whoever waits is woken by what it waits for, by its deadline, or by `fail`.
Must not know peers, or how what is waited for is brought.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from feedlog.errors import FeedlogError
from net.errors import DeadlineError
from net.replicate.session import Query
from net.replicate.spans import Span

Late = Callable[[float], DeadlineError]
"""Makes the error for what did not come in so many seconds."""


class Waiting:
    """The waiters of one remote feed."""

    def __init__(self, late: Callable[[str, float], DeadlineError]) -> None:
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._blocks: dict[int, list[asyncio.Future[None]]] = {}
        self._queries: dict[int, asyncio.Future[bool]] = {}
        self._changes: set[asyncio.Future[None]] = set()
        self._due: dict[asyncio.Future[None], tuple[float, float, int]] = {}
        """When each waiter's time is up, how long it was, and the block."""
        self._timer: asyncio.TimerHandle | None = None

    # Blocks.

    def for_block(self, index: int, seconds: float | None) -> asyncio.Future[None]:
        """Return what is done when the block has come; `leave` when it is."""
        future: asyncio.Future[None] = self._loop.create_future()
        waiters = self._blocks.get(index)
        if waiters is None:
            self._blocks[index] = [future]
        else:
            waiters.append(future)
        if seconds is not None:
            at = self._loop.time() + seconds
            self._due[future] = at, seconds, index
            if self._timer is None or at < self._timer.when():
                self._set_timer(at)
        return future

    def leave(self, index: int, future: asyncio.Future[None]) -> None:
        """Wait for it no more."""
        future.cancel()
        self._due.pop(future, None)
        waiters = self._blocks[index]
        waiters.remove(future)
        if not waiters:
            del self._blocks[index]

    def blocks_came(self, spans: Iterable[Span]) -> None:
        """Wake who waits for these blocks."""
        blocks = self._blocks
        for start, stop in spans if blocks else ():
            indexes: Iterable[int] = range(start, stop)
            if stop - start > len(blocks):
                indexes = [index for index in blocks if start <= index < stop]
            for index in indexes:
                for future in blocks.get(index, ()):
                    if not future.done():
                        future.set_result(None)
        self.changed()

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._on_timeout)

    def _on_timeout(self) -> None:
        """Tell those whose time is up, and look again when the next one's is."""
        self._timer = None
        now = self._loop.time()
        for future, (at, seconds, index) in list(self._due.items()):
            if at <= now and not future.done():
                future.set_exception(self._late(f"block {index}", seconds))
        times = [at for future, (at, _, _) in self._due.items() if not future.done()]
        if times:
            self._set_timer(min(times))

    # Queries and changes.

    def for_query(self, query: Query) -> asyncio.Future[bool]:
        """Return what is done when the query is answered; `forget` it then."""
        future: asyncio.Future[bool] = self._loop.create_future()
        self._queries[id(query)] = future
        return future

    def forget(self, query: Query) -> None:
        """Wait for the answer no more."""
        del self._queries[id(query)]

    def resolve(self, query: Query, *, answered: bool) -> None:
        """Wake who waits for the query."""
        future = self._queries.get(id(query))
        if future is not None and not future.done():
            future.set_result(answered)

    async def for_change(self) -> None:
        """Wait until blocks have come, or another head."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._changes.add(future)
        try:
            await future
        finally:
            self._changes.discard(future)

    def changed(self) -> None:
        """Wake who waits for any change."""
        for future in self._changes:
            if not future.done():
                future.set_result(None)

    def fail(self, error: FeedlogError) -> bool:
        """Let everyone who waits know that it will not come; tell whether anyone did."""
        waiting: list[asyncio.Future[Any]] = [*self._queries.values(), *self._changes]
        waiting += [future for futures in self._blocks.values() for future in futures]
        waiting = [future for future in waiting if not future.done()]
        for future in waiting:
            future.set_exception(error)
        return bool(waiting)

    def close(self) -> None:
        """Look at the time no more: nobody waits."""
        if self._timer is not None:
            self._timer.cancel()


class Deadline:
    """`async with Deadline(seconds, late)`: raises what `late` makes when time is up."""

    def __init__(self, seconds: float | None, late: Late) -> None:
        self._scope = asyncio.timeout(seconds)
        self._seconds = seconds
        self._late = late

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._scope.__aexit__(kind, error, trace)
        except TimeoutError:
            assert self._seconds is not None, "without a time it is never up"
            raise self._late(self._seconds) from None
