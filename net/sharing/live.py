"""A feed as it grows: its blocks and its heads, for readers who wait for the next.

    async for block in live.blocks(0): ...
    async for fork, length in live.heads(): ...

Invariant: peers are asked to push what is new exactly while somebody reads here.
Must not know how blocks are brought, or what is in them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from feedlog import BlockMissing
from net.replicate.read_ahead import ReadAhead
from net.sharing.fetcher import Fetcher
from net.sharing.swarm import Swarm


class Live:
    """Those who read a feed as it grows."""

    def __init__(self, swarm: Swarm, fetcher: Fetcher) -> None:
        self._swarm = swarm
        self._core = swarm.core
        self._fetcher = fetcher
        self._readers = 0

    async def blocks(self, start: int) -> AsyncGenerator[bytes, None]:
        """Yield every block from `start` on; a negative one counts from the present end."""
        feed, fetcher = self._fetcher.feed, self._fetcher
        if start < 0:
            await fetcher.update()
            start = max(0, start + feed.length)
        self._enter()
        ahead = ReadAhead(self._core)
        try:
            index = start
            while True:
                while index >= feed.length:
                    fetcher.check()
                    await fetcher.waiting.for_change()
                if ahead.move(index, feed.length):
                    fetcher.pursue()
                try:
                    block = feed[index]
                except BlockMissing:
                    await fetcher.blocks([index])
                    block = feed[index]
                yield block
                index += 1
        finally:
            ahead.close()
            self._leave()

    async def heads(self) -> AsyncGenerator[tuple[int, int], None]:
        """Yield fork and length: as they are now, and whenever a newer head comes."""
        self._enter()
        standing = self._core.standing
        told: tuple[int, int] | None = None
        try:
            while True:
                self._fetcher.check()
                now = standing.fork, standing.length
                if now == told:
                    await self._fetcher.waiting.for_change()
                else:
                    told = now
                    yield now
        finally:
            self._leave()

    def _enter(self) -> None:
        self._readers += 1
        self._tell()

    def _leave(self) -> None:
        self._readers -= 1
        self._tell()

    def _tell(self) -> None:
        """Tell peers whether to push, where that is another thing than before."""
        live = self._readers > 0
        if self._core.live != live:
            self._core.live = live
            self._core.announce()
            self._swarm.settle()
