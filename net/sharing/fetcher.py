"""What readers of a remote feed lack, brought here: blocks, and answers of peers.

    await fetcher.block(5, 30.0); await fetcher.blocks([1, 2, 3])
    await fetcher.update(); await fetcher.ask(Query(seek=1000))

Whoever uses the feed waits here, and is told here why what it waits for will not come.

Invariant: what a call wants is wanted and asked for while the call runs, and no longer.
Must not know how peers are found, or what readers do with blocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from feedlog import Feed
from feedlog.errors import FeedlogError
from net.errors import ClosedError, DeadlineError, RefusedError
from net.replicate.core import Replication
from net.replicate.events import (
    BlocksStored,
    Event,
    HeadChanged,
    QueryAnswered,
    QueryFailed,
    StoreFailed,
)
from net.replicate.session import Query
from net.sharing.swarm import Swarm
from net.sharing.waiting import Deadline, Waiting


class Fetcher:
    """What brings the blocks of one feed. `tried` says what was done to find peers, for errors."""

    def __init__(self, swarm: Swarm, *, tried: Callable[[], str]) -> None:
        self.feed: Feed = swarm.feed
        self.core: Replication = swarm.core
        self.waiting = Waiting(self._late)
        """Those who wait; `for_change` serves whoever looks at the feed again and again."""
        self._swarm = swarm
        self._tried = tried
        self._loop = asyncio.get_running_loop()
        self.closed = False
        """Whether nothing is brought any more."""
        self._error: FeedlogError | None = None
        swarm.listeners.append(self._on_event)

    # Blocks.

    async def block(self, index: int, seconds: float | None) -> None:
        """Wait for one block below the end: the usual request, made with little ado.

        Raises `DeadlineError` when it has not come in time.
        """
        self.check()
        wants = self.core.wants
        wants.block(index)
        future = self.waiting.for_block(index, seconds)
        try:
            self.pursue()
            await future
        finally:
            wants.unblock(index)
            self.waiting.leave(index, future)

    async def blocks(self, indexes: Iterable[int]) -> None:
        """Wait until blocks are held; asks for a newer head where one lies past the end.

        Raises `IndexError` where it does so then, too, or is negative.
        """
        standing = self.core.standing
        missing = [index for index in dict.fromkeys(indexes) if index not in standing.held]
        if not missing:
            return
        self.check()
        wants = self.core.wants
        for index in missing:
            wants.block(index)
        futures = [self.waiting.for_block(index, None) for index in missing]
        try:
            last = max(missing)
            if last >= standing.length:
                await self.update()
            if last >= standing.length or min(missing) < 0:
                raise IndexError(
                    f"block {last} is past the end: the feed has {standing.length} blocks"
                )
            self.pursue()
            for future in futures:
                await future
        finally:
            for index, future in zip(missing, futures, strict=True):
                wants.unblock(index)
                self.waiting.leave(index, future)

    def pursue(self) -> None:
        """Ask for what is wanted: wants have changed."""
        self.core.pursue(self._loop.time())
        self._swarm.settle()

    # Questions.

    async def update(self) -> None:
        """Learn the newest head that the peers have; raises `RefusedError` if nobody says it."""
        query = Query()
        if not await self.ask(query):
            raise RefusedError(f"no peer could say what is newest: {'; '.join(query.reasons)}")

    async def ask(self, query: Query) -> bool:
        """Put a question to peers until one answers; False when all have failed to.

        Waits for a peer as long as it takes.
        """
        self.check()
        future = self.waiting.for_query(query)
        try:
            self.core.query(query, self._loop.time())
            self._swarm.settle()
            return await future
        finally:
            self.core.drop(query)
            self.waiting.forget(query)

    # How it ends.

    def deadline(self, seconds: float | None, what: str) -> Deadline:
        """Return a context that raises `DeadlineError` when `what` has not come in time."""
        return Deadline(seconds, partial(self._late, what))

    def _late(self, what: str, seconds: float) -> DeadlineError:
        return DeadlineError(
            f"{what} of {self.feed.id} did not come in {seconds:g} s: {self._tried()}"
        )

    def check(self) -> None:
        """Raise what keeps the feed from being read: that it was closed, or what the disk says."""
        if self.closed:
            raise ClosedError("the remote feed was closed")
        if self._error is not None:
            error, self._error = self._error, None  # told once: the disk may have room later
            raise error

    def _on_event(self, event: Event) -> None:
        match event:
            case BlocksStored(spans):
                self.waiting.blocks_came(spans)
            case HeadChanged():
                self.waiting.changed()
            case QueryAnswered(query):
                self.waiting.resolve(query, answered=True)
            case QueryFailed(query):
                self.waiting.resolve(query, answered=False)
            case StoreFailed(error):
                self._fail(error)
            case _:
                pass

    def _fail(self, error: FeedlogError) -> None:
        """Let everyone who waits know that it will not come."""
        self._error = None if self.waiting.fail(error) else error

    def close(self) -> None:
        """Bring nothing any more, and let whoever waits know; called once."""
        self.closed = True
        self._swarm.listeners.remove(self._on_event)
        self._fail(ClosedError("the remote feed was closed"))
        self.waiting.close()
