"""A feed that is held elsewhere, as its reader sees it.

    remote = await node.follow(key)
    await remote.get(5); await remote.update(); await remote.download(range(100))
    async for block in remote.live(): ...

`remote.feed` is the local replica: everything that comes is verified and stored there,
and what is there already costs no network. A synchronous reader of blocks, a trie for
example, runs unchanged in `run`: where it lacks a block, the block is fetched and the
reader runs again.

Invariant: nothing waits for ever unless it is told to; a `DeadlineError` says what was tried.
Must not know how peers are found, or what is in the blocks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from functools import partial
from typing import TypeVar, overload

from feedlog import BlockMissing, Feed, flat_tree
from feedlog.errors import FeedlogError
from net.errors import ClosedError, DeadlineError, RefusedError
from net.replicate.events import (
    BlocksStored,
    Event,
    HeadChanged,
    QueryAnswered,
    QueryFailed,
    StoreFailed,
)
from net.replicate.messages import MAX_PAYLOAD
from net.replicate.read_ahead import ReadAhead
from net.replicate.session import Query
from net.replicate.wants import Want
from net.sharing.remote_file import RemoteFile
from net.sharing.status import Status, status_of, tried
from net.sharing.swarm import Swarm
from net.sharing.waiting import Deadline, Waiting

TIMEOUT = 30.0
"""Seconds that a call waits for peers unless it is told otherwise."""

ATTEMPTS_KEPT = 32
"""Reports of failed connections that a timeout can tell about."""

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with how many blocks of how many are here."""


class Remote:
    """A feed of somebody else. Made by `Node.follow`."""

    def __init__(self, swarm: Swarm, *, closed: Callable[[Remote], None]) -> None:
        self.feed: Feed = swarm.feed
        self.attempts: deque[str] = deque(maxlen=ATTEMPTS_KEPT)
        """What was done to find peers and did not help, for people."""
        self.searches = 0
        """How often peers were looked for."""
        self._swarm = swarm
        self._core = swarm.core
        self._on_closed = closed
        self._loop = asyncio.get_running_loop()
        self._waiting = Waiting(self._late)
        self._live = 0
        self._closed = False
        self._error: FeedlogError | None = None
        swarm.listeners.append(self._on_event)

    def __repr__(self) -> str:
        return f"<Remote {self.feed.id} length={self.feed.length} peers={len(self._swarm.peers)}>"

    # Blocks.

    @overload
    async def get(self, index: int, *, timeout: float | None = ...) -> bytes: ...  # noqa: ASYNC109 - as below
    @overload
    async def get(
        self,
        index: Iterable[int],
        *,
        timeout: float | None = ...,  # noqa: ASYNC109 - as below
    ) -> list[bytes]: ...

    async def get(
        self,
        index: int | Iterable[int],
        *,
        timeout: float | None = TIMEOUT,  # noqa: ASYNC109 - the error says what was tried
    ) -> bytes | list[bytes]:
        """Return a block, or a list for several, from here or from whoever has them.

        A negative index counts from the end of the feed as the peers know it. Raises
        `IndexError` past that end, `DeadlineError` when no peer brings it in time.
        """
        if not isinstance(index, int):
            indexes = list(index)
            await self._fetch(indexes, timeout)
            return [self.feed[one] for one in indexes]
        standing = self._core.standing
        if index in standing.held:
            try:
                return self.feed[index]
            except BlockMissing:
                self._swarm.changed()  # another process has cleared it, or the disk refused it
        if 0 <= index < standing.length:
            await self._wait_for(index, timeout)
        else:
            await self._fetch([index], timeout)
        return self.feed[index]

    async def _wait_for(self, index: int, seconds: float | None) -> None:
        """Wait for one block below the end: the usual request, made with little ado."""
        self._check()
        wants = self._core.wants
        wants.block(index)
        future = self._waiting.for_block(index, seconds)
        try:
            self._pursue()
            await future
        finally:
            wants.unblock(index)
            self._waiting.leave(index, future)

    async def _fetch(self, indexes: list[int], seconds: float | None) -> None:
        what = f"block {indexes[0]}" if len(indexes) == 1 else f"{len(indexes)} blocks"
        async with self._deadline(seconds, what):
            if any(index < 0 for index in indexes):
                await self._update()
                length = self.feed.length
                indexes[:] = [index + length if index < 0 else index for index in indexes]
            await self._bring(indexes)

    async def _bring(self, indexes: Iterable[int]) -> None:
        """Wait until blocks are held; asks for a newer head where one lies past the end."""
        standing = self._core.standing
        missing = [index for index in dict.fromkeys(indexes) if index not in standing.held]
        if not missing:
            return
        self._check()
        wants = self._core.wants
        for index in missing:
            wants.block(index)
        futures = [self._waiting.for_block(index, None) for index in missing]
        try:
            last = max(missing)
            if last >= standing.length:
                await self._update()
            if last >= standing.length or min(missing) < 0:
                raise IndexError(
                    f"block {last} is past the end: the feed has {standing.length} blocks"
                )
            self._pursue()
            for future in futures:
                await future
        finally:
            for index, future in zip(missing, futures, strict=True):
                wants.unblock(index)
                self._waiting.leave(index, future)

    async def update(self, *, timeout: float | None = TIMEOUT) -> int:  # noqa: ASYNC109 - as in get
        """Learn the newest head that the peers have; return the feed's length."""
        async with self._deadline(timeout, "the newest head"):
            await self._update()
        return self.feed.length

    async def _update(self) -> None:
        query = Query()
        if not await self._ask(query):
            raise RefusedError(f"no peer could say what is newest: {'; '.join(query.reasons)}")

    async def seek(self, offset: int, *, timeout: float | None = TIMEOUT) -> tuple[int, int]:  # noqa: ASYNC109 - as in get
        """Return the block with a byte of the feed, and the offset inside it; fetches the block."""
        async with self._deadline(timeout, f"byte {offset}"):
            if not self.feed.length:
                await self._update()
            try:
                return self.feed.seek(offset)
            except BlockMissing:
                pass
            query = Query(seek=offset)
            if not await self._ask(query):
                raise RefusedError(f"no peer could find byte {offset}: {'; '.join(query.reasons)}")
        return self.feed.seek(offset)

    async def open(
        self,
        offset: int = 0,
        length: int | None = None,
        *,
        timeout: float | None = TIMEOUT,  # noqa: ASYNC109 - as in get
    ) -> RemoteFile:
        """Return `length` bytes from `offset` on as a file, up to the present end by default.

        Offsets count as those of `Feed.read`. Blocks come as they are read, with others
        read ahead; each has `timeout` seconds to come. Close the file when done.
        """
        if offset < 0 or (length is not None and length < 0):
            raise ValueError(f"{length} bytes from {offset} on are no range of a file")
        async with self._deadline(timeout, f"byte {offset}"):
            if length is None or offset + length > self.feed.size:
                await self._update()
            size = self.feed.size
            end = size if length is None else min(size, offset + length)
            fork, stop = self.feed.fork, self.feed.length
            if offset < end < size:
                places = (self._locate(offset), self._locate(end - 1))
                stop = (await asyncio.gather(*places))[1][0] + 1
        ahead = ReadAhead(self._core)

        async def block(index: int) -> bytes:
            if ahead.move(index, stop):
                self._pursue()
            data = await self.get(index, timeout=timeout)
            if self.feed.fork != fork:
                raise ClosedError("the feed was truncated since the file was opened")
            return data

        async def locate(at: int) -> tuple[int, int]:
            async with self._deadline(timeout, f"byte {at}"):
                return await self._locate(at)

        size = max(0, end - offset)
        return RemoteFile(offset, size, block=block, locate=locate, closed=ahead.close)

    async def read(
        self,
        offset: int,
        length: int,
        *,
        timeout: float | None = TIMEOUT,  # noqa: ASYNC109 - as in get
    ) -> bytes:
        """Return `length` bytes of the feed from `offset` on, or fewer where it ends before."""
        async with (
            self._deadline(timeout, f"{length} bytes from {offset} on"),
            await self.open(offset, length, timeout=None) as file,
        ):
            return await file.read()

    async def _locate(self, offset: int) -> tuple[int, int]:
        """Return the place of a byte as a reader counts it, and what leads there."""
        feed = self.feed
        try:
            return feed.locate(offset)
        except BlockMissing:
            pass
        # Envelopes are taken for evenly spread; without encryption there are none.
        stored = offset + (feed.byte_length - feed.size) * offset // feed.size
        query = Query(seek=stored)
        if not await self._ask(query):
            raise RefusedError(f"no peer could find byte {offset}: {'; '.join(query.reasons)}")
        while True:
            try:
                return feed.locate(offset)
            except BlockMissing as missing:
                node = missing.index
            await self._bring([flat_tree.span(flat_tree.NodeIndex(node))[0]])

    async def download(
        self,
        blocks: Iterable[int] | None = None,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in get
    ) -> None:
        """Bring blocks here: all that the feed has now, or those given.

        Cancel the task to stop; what has come is kept. Raises `DeadlineError` after
        `timeout` seconds without an end to it, if one is given.
        """
        async with self._deadline(timeout, "a download"):
            if blocks is None:
                await self._update()
                blocks = range(self.feed.length)
            spans = _spans(blocks)
            if spans and spans[-1][1] > self.feed.length:
                await self._update()
                if spans[-1][1] > self.feed.length:
                    raise IndexError(
                        f"block {spans[-1][1] - 1} is past the end: "
                        f"the feed has {self.feed.length} blocks"
                    )
            want = self._core.wants.add(spans)
            try:
                for start, stop in self._core.standing.held:
                    want.missing.remove(start, stop)
                    self._core.wants.bulk.remove(start, stop)
                self._pursue()
                await self._finish(want, progress)
            finally:
                self._core.wants.drop(want)

    async def _finish(self, want: Want, progress: Progress | None) -> None:
        while True:
            self._check()
            if progress is not None:
                progress(want.done, want.total)
            if want.finished:
                return
            await self._waiting.for_change()

    async def live(self, start: int = 0) -> AsyncIterator[bytes]:
        """Yield every block from `start` on, and new ones as they are appended, for ever.

        A negative `start` counts from the present end. Reads ahead.
        """
        if start < 0:
            await self._update()
            start = max(0, start + self.feed.length)
        self._live += 1
        self._set_live()
        ahead = ReadAhead(self._core)
        try:
            index = start
            while True:
                while index >= self.feed.length:
                    self._check()
                    await self._waiting.for_change()
                if ahead.move(index, self.feed.length):
                    self._pursue()
                try:
                    block = self.feed[index]
                except BlockMissing:
                    await self._bring([index])
                    block = self.feed[index]
                yield block
                index += 1
        finally:
            ahead.close()
            self._live -= 1
            self._set_live()

    async def heads(self) -> AsyncGenerator[tuple[int, int], None]:
        """Yield fork and length: as they are now, and whenever a newer head comes, for ever."""
        self._live += 1
        self._set_live()
        standing = self._core.standing
        told: tuple[int, int] | None = None
        try:
            while True:
                self._check()
                now = standing.fork, standing.length
                if now == told:
                    await self._waiting.for_change()
                else:
                    told = now
                    yield now
        finally:
            self._live -= 1
            self._set_live()

    def _set_live(self) -> None:
        live = self._live > 0
        if self._core.live != live:
            self._core.live = live
            self._core.announce()
            self._swarm.settle()

    # Synchronous readers.

    async def run(
        self,
        function: Callable[[], T],
        *,
        hint: tuple[str, bytes] | None = None,
        timeout: float | None = TIMEOUT,  # noqa: ASYNC109 - as in get
    ) -> T:
        """Return what `function` returns, which reads `feed` and may lack blocks of it.

        On `BlockMissing` the block is fetched and the function called again, so it must
        not have effects. `hint` names an extension and a message for it, by which a peer
        finds all blocks that the function will need: then they come in one round trip.
        """
        async with self._deadline(timeout, "a reader's blocks"):
            hinted = hint is None
            if not self.feed.length:
                if hint is None or not await self.hint(*hint):
                    await self._update()
                hinted = True
            while True:
                try:
                    return function()
                except BlockMissing as missing:
                    index = missing.index
                if not hinted and hint is not None:
                    hinted = True
                    if await self.hint(*hint):
                        continue
                await self._bring([index])

    async def hint(self, name: str, payload: bytes) -> bool:
        """Let a peer's extension choose blocks for us; False where no peer has it.

        The blocks are verified as any others. Waits for a peer as long as it takes.
        """
        if len(payload) > MAX_PAYLOAD:
            return False
        return await self._ask(Query(hint=(name, payload)))

    async def _ask(self, query: Query) -> bool:
        self._check()
        future = self._waiting.for_query(query)
        try:
            self._core.query(query, self._loop.time())
            self._swarm.settle()
            return await future
        finally:
            self._core.drop(query)
            self._waiting.forget(query)

    # What happens.

    def _on_event(self, event: Event) -> None:
        match event:
            case BlocksStored(spans):
                self._waiting.blocks_came(spans)
            case HeadChanged():
                self._waiting.changed()
            case QueryAnswered(query):
                self._waiting.resolve(query, answered=True)
            case QueryFailed(query):
                self._waiting.resolve(query, answered=False)
            case StoreFailed(error):
                self._fail(error)
            case _:
                pass

    def _fail(self, error: FeedlogError) -> None:
        """Let everyone who waits know that it will not come."""
        self._error = None if self._waiting.fail(error) else error

    def _pursue(self) -> None:
        self._core.pursue(self._loop.time())
        self._swarm.settle()

    def _check(self) -> None:
        if self._closed:
            raise ClosedError("the remote feed was closed")
        if self._error is not None:
            error, self._error = self._error, None  # told once: the disk may have room later
            raise error

    def _deadline(self, seconds: float | None, what: str) -> Deadline:
        return Deadline(seconds, partial(self._late, what))

    def _late(self, what: str, seconds: float) -> DeadlineError:
        return DeadlineError(
            f"{what} of {self.feed.id} did not come in {seconds:g} s: {self.tried()}"
        )

    # Knowing.

    def tried(self) -> str:
        """Return what was done to find peers, and how it went, in one line."""
        return tried(self._swarm, self.attempts)

    def status(self) -> Status:
        """Return lengths, counters and what is known of each peer."""
        return status_of(self._swarm)

    async def close(self) -> None:
        """Follow the feed no more; the replica stays."""
        if self._closed:
            return
        self._closed = True
        self._swarm.listeners.remove(self._on_event)
        self._fail(ClosedError("the remote feed was closed"))
        self._waiting.close()
        self._on_closed(self)


def _spans(blocks: Iterable[int]) -> list[tuple[int, int]]:
    """Return ascending spans of block indexes; a range of step 1 is one."""
    if isinstance(blocks, range) and blocks.step == 1:
        return [(blocks.start, blocks.stop)] if blocks else []
    spans: list[tuple[int, int]] = []
    for index in sorted(set(blocks)):
        if index < 0:
            raise ValueError(f"block {index} to download: negative indexes name no block")
        if spans and spans[-1][1] == index:
            spans[-1] = (spans[-1][0], index + 1)
        else:
            spans.append((index, index + 1))
    return spans
