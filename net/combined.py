"""Several ways of finding peers as one: the DHT and the local network, for example.

All are asked at once, and who answers first is heard first. One that fails does no harm to the
others: its error is logged, and raised only when all have failed.

Must not know what any of them does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Sequence

from net.addresses import Address, RelayAddress
from net.discovery import Discovery, PeerAddress
from net.errors import NetError

MAX_HEARD = 1024
"""Answers of one lookup that are remembered, so that each is given out once."""

log = logging.getLogger(__name__)


class CombinedDiscovery:
    """Announces and looks up everywhere. It owns its parts: closing it closes them."""

    def __init__(self, parts: Sequence[Discovery]) -> None:
        if not parts:
            raise ValueError("a combined discovery has at least one part")
        self.parts = tuple(parts)

    async def announce(
        self, topic: bytes, addresses: Sequence[Address], relays: Sequence[RelayAddress] = ()
    ) -> int:
        """Announce everywhere; see `net.discovery.Discovery`. Returns the sum."""
        return await self._sum([part.announce(topic, addresses, relays) for part in self.parts])

    async def unannounce(self, topic: bytes) -> int:
        """Withdraw everywhere; returns the sum."""
        return await self._sum([part.unannounce(topic) for part in self.parts])

    async def lookup(self, topic: bytes) -> AsyncGenerator[PeerAddress]:
        """Yield what any of them finds; ends when the last one does. An answer comes once."""
        found: asyncio.Queue[PeerAddress | None] = asyncio.Queue()  # each lookup is bounded
        heard: set[PeerAddress] = set()
        tasks = [asyncio.create_task(_search(part, topic, found)) for part in self.parts]
        for task in tasks:
            task.add_done_callback(lambda _: found.put_nowait(None))
        try:
            left = len(tasks)
            while left:
                peer = await found.get()
                if peer is None:
                    left -= 1
                elif peer not in heard:
                    if len(heard) < MAX_HEARD:
                        heard.add(peer)
                    yield peer
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        _check(results, "looking")

    async def close(self) -> None:
        """Close all parts."""
        await asyncio.gather(*(part.close() for part in self.parts))

    async def _sum(self, calls: Sequence[Awaitable[int]]) -> int:
        results = await asyncio.gather(*calls, return_exceptions=True)
        _check(results, "announcing")
        return sum(result for result in results if isinstance(result, int))


async def _search(part: Discovery, topic: bytes, found: asyncio.Queue[PeerAddress | None]) -> None:
    async with contextlib.aclosing(part.lookup(topic)) as peers:
        async for peer in peers:
            found.put_nowait(peer)


def _check(results: Sequence[int | BaseException | None], what: str) -> None:
    """Raise what all have failed with, or what is no failure of the network; log the rest."""
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if not isinstance(error, NetError):
            raise error
        log.debug("= one way of %s failed: %s", what, error)
    if len(errors) == len(results):
        raise errors[0]
