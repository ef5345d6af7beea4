"""Several ways of finding peers as one: the DHT and the local network, for example.

All are asked at once, and who answers first is heard first. None looks for more before what it
has found is taken and more is wanted. One that fails does no harm to the others: its error is
logged, and raised only when all have failed.

Must not know what any of them does.
"""

from __future__ import annotations

import asyncio
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
        heard: set[PeerAddress] = set()
        ends: dict[AsyncGenerator[PeerAddress], BaseException | None] = {}
        lookups = [part.lookup(topic) for part in self.parts]
        asked = {asyncio.create_task(_next(lookup)): lookup for lookup in lookups}
        try:
            while asked:
                done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                task = done.pop()
                lookup = asked.pop(task)
                peer = None if task.exception() else task.result()
                if peer is None:
                    ends[lookup] = task.exception()
                    continue
                if peer not in heard:
                    if len(heard) < MAX_HEARD:
                        heard.add(peer)
                    yield peer
                asked[asyncio.create_task(_next(lookup))] = lookup
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            for lookup in lookups:
                await lookup.aclose()
        _check([ends[lookup] for lookup in lookups], "looking")

    async def close(self) -> None:
        """Close all parts."""
        await asyncio.gather(*(part.close() for part in self.parts))

    async def _sum(self, calls: Sequence[Awaitable[int]]) -> int:
        results = await asyncio.gather(*calls, return_exceptions=True)
        _check(results, "announcing")
        return sum(result for result in results if isinstance(result, int))


async def _next(lookup: AsyncGenerator[PeerAddress]) -> PeerAddress | None:
    """Return what a lookup yields next, None at its end."""
    return await anext(lookup, None)


def _check(results: Sequence[int | BaseException | None], what: str) -> None:
    """Raise what all have failed with, or what is no failure of the network; log the rest."""
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if not isinstance(error, NetError):
            raise error
        log.debug("= one way of %s failed: %s", what, error)
    if len(errors) == len(results):
        raise errors[0]
