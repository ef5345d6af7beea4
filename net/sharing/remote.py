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

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import TypeVar, overload

from feedlog import BlockMissing, Feed
from net.replicate.messages import MAX_PAYLOAD
from net.replicate.session import Query
from net.sharing.download import Progress, download
from net.sharing.fetcher import Fetcher
from net.sharing.live import Live
from net.sharing.remote_bytes import RemoteBytes
from net.sharing.remote_file import RemoteFile
from net.sharing.setbacks import Setback
from net.sharing.status import Status, status_of, tried
from net.sharing.swarm import Swarm

TIMEOUT = 30.0
"""Seconds that a call waits for peers unless it is told otherwise."""

ATTEMPTS_KEPT = 32
"""Reports of failed connections that a timeout can tell about."""

T = TypeVar("T")


class Remote:
    """A feed of somebody else. Made by `Node.follow`."""

    def __init__(self, swarm: Swarm, *, closed: Callable[[Remote], None]) -> None:
        self.feed: Feed = swarm.feed
        self.attempts: deque[Setback] = deque(maxlen=ATTEMPTS_KEPT)
        """What was done to find peers and did not help, for people."""
        self.searches = 0
        """How often peers were looked for."""
        self._swarm = swarm
        self._standing = swarm.core.standing
        self._on_closed = closed
        self._fetcher = Fetcher(swarm, tried=self.tried)
        self._bytes = RemoteBytes(self._fetcher, self.get)
        self._live = Live(swarm, self._fetcher)

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
        standing = self._standing
        if index in standing.held:
            try:
                return self.feed[index]
            except BlockMissing:
                self._swarm.changed()  # another process has cleared it, or the disk refused it
        if 0 <= index < standing.length:
            await self._fetcher.block(index, timeout)
        else:
            await self._fetch([index], timeout)
        return self.feed[index]

    async def _fetch(self, indexes: list[int], seconds: float | None) -> None:
        what = f"block {indexes[0]}" if len(indexes) == 1 else f"{len(indexes)} blocks"
        async with self._fetcher.deadline(seconds, what):
            if any(index < 0 for index in indexes):
                await self._fetcher.update()
                length = self.feed.length
                indexes[:] = [index + length if index < 0 else index for index in indexes]
            await self._fetcher.blocks(indexes)

    async def update(self, *, timeout: float | None = TIMEOUT) -> int:  # noqa: ASYNC109 - as in get
        """Learn the newest head that the peers have; return the feed's length."""
        async with self._fetcher.deadline(timeout, "the newest head"):
            await self._fetcher.update()
        return self.feed.length

    async def seek(self, offset: int, *, timeout: float | None = TIMEOUT) -> tuple[int, int]:  # noqa: ASYNC109 - as in get
        """Return the block with a byte of the feed, and the offset inside it; fetches the block."""
        return await self._bytes.seek(offset, timeout)

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
        return await self._bytes.open(offset, length, timeout)

    async def read(
        self,
        offset: int,
        length: int,
        *,
        timeout: float | None = TIMEOUT,  # noqa: ASYNC109 - as in get
    ) -> bytes:
        """Return `length` bytes of the feed from `offset` on, or fewer where it ends before."""
        async with (
            self._fetcher.deadline(timeout, f"{length} bytes from {offset} on"),
            await self._bytes.open(offset, length, None) as file,
        ):
            return await file.read()

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
        async with self._fetcher.deadline(timeout, "a download"):
            await download(self._fetcher, blocks, progress)

    def live(self, start: int = 0) -> AsyncIterator[bytes]:
        """Yield every block from `start` on, and new ones as they are appended, for ever.

        A negative `start` counts from the present end. Reads ahead.
        """
        return self._live.blocks(start)

    def heads(self) -> AsyncGenerator[tuple[int, int], None]:
        """Yield fork and length: as they are now, and whenever a newer head comes, for ever."""
        return self._live.heads()

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
        async with self._fetcher.deadline(timeout, "a reader's blocks"):
            hinted = hint is None
            if not self.feed.length:
                if hint is None or not await self.hint(*hint):
                    await self._fetcher.update()
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
                await self._fetcher.blocks([index])

    async def hint(self, name: str, payload: bytes) -> bool:
        """Let a peer's extension choose blocks for us; False where no peer has it.

        The blocks are verified as any others. Waits for a peer as long as it takes.
        """
        if len(payload) > MAX_PAYLOAD:
            return False
        return await self._fetcher.ask(Query(hint=(name, payload)))

    # Knowing.

    def tried(self) -> str:
        """Return what was done to find peers, and how it went, in one line."""
        return tried(self._swarm, self.attempts)

    def status(self) -> Status:
        """Return lengths, counters and what is known of each peer."""
        return status_of(self._swarm)

    async def close(self) -> None:
        """Follow the feed no more; the replica stays."""
        if not self._fetcher.closed:
            self._fetcher.close()
            self._on_closed(self)
