"""Several ways of finding peers: the fastest first, and none spoils another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence

import pytest

from net.addresses import Address, RelayAddress
from net.discovery import PeerAddress
from net.errors import NetError, RefusedError
from net.finding.combined import CombinedDiscovery

TOPIC = bytes(20)
ONE = PeerAddress(bytes([1]) * 32, (("192.0.2.1", 1),))
TWO = PeerAddress(bytes([2]) * 32, (("192.0.2.2", 2),))


class Way:
    """A discovery that answers as it is told, when it is told."""

    def __init__(
        self,
        *peers: PeerAddress,
        count: int = 0,
        error: Exception | None = None,
        slow: bool = False,
    ) -> None:
        self._peers = peers
        self._count = count
        self._error = error
        self.go = asyncio.Event()
        if not slow:
            self.go.set()
        self.announced: list[tuple[bytes, Sequence[Address], Sequence[RelayAddress]]] = []
        self.given = 0
        self.ended = 0
        self.closed = False

    async def announce(
        self, topic: bytes, addresses: Sequence[Address], relays: Sequence[RelayAddress] = ()
    ) -> int:
        self.announced.append((topic, addresses, relays))
        return await self.unannounce(topic)

    async def unannounce(self, topic: bytes) -> int:
        assert topic == TOPIC
        if self._error is not None:
            raise self._error
        return self._count

    async def lookup(self, topic: bytes) -> AsyncGenerator[PeerAddress]:
        assert topic == TOPIC
        try:
            await self.go.wait()
            for peer in self._peers:
                self.given += 1
                yield peer
            if self._error is not None:
                raise self._error
        finally:
            self.ended += 1

    async def close(self) -> None:
        self.closed = True


async def test_who_answers_first_is_heard_first_and_once() -> None:
    slow, quick = Way(ONE, TWO, slow=True), Way(TWO)
    found = []
    async for peer in CombinedDiscovery([slow, quick]).lookup(TOPIC):
        found.append(peer)
        slow.go.set()
    assert found == [TWO, ONE]


async def test_a_way_that_fails_does_no_harm() -> None:
    both = CombinedDiscovery([Way(error=NetError("no network")), Way(ONE, count=3)])
    assert [peer async for peer in both.lookup(TOPIC)] == [ONE]
    assert await both.announce(TOPIC, ONE.addresses) == 3
    assert await both.unannounce(TOPIC) == 3


async def test_what_all_say_is_an_error() -> None:
    both = CombinedDiscovery([Way(error=RefusedError("full")), Way(error=NetError("no network"))])
    with pytest.raises(RefusedError, match="full"):
        await both.announce(TOPIC, ONE.addresses)
    with pytest.raises(RefusedError, match="full"):
        _ = [peer async for peer in both.lookup(TOPIC)]


async def test_a_mistake_is_not_hidden() -> None:
    both = CombinedDiscovery([Way(ONE), Way(error=ValueError("a topic has 20 bytes"))])
    with pytest.raises(ValueError, match="20 bytes"):
        _ = [peer async for peer in both.lookup(TOPIC)]
    with pytest.raises(ValueError, match="20 bytes"):
        await both.announce(TOPIC, ONE.addresses)


async def test_no_way_looks_for_more_than_is_taken() -> None:
    way = Way(ONE, TWO)
    peers = CombinedDiscovery([way]).lookup(TOPIC)
    async with contextlib.aclosing(peers):
        assert await anext(peers) == ONE
        await asyncio.sleep(0)
        assert way.given == 1
        assert await anext(peers) == TWO
    assert way.given == 2


async def test_leaving_a_lookup_ends_all_of_them() -> None:
    never, quick = Way(slow=True), Way(ONE)
    async with contextlib.aclosing(CombinedDiscovery([never, quick]).lookup(TOPIC)) as peers:
        assert await anext(peers) == ONE
    assert (never.ended, quick.ended) == (1, 1)


async def test_all_parts_are_told_and_closed() -> None:
    ways = [Way(count=1), Way(count=2)]
    both = CombinedDiscovery(ways)
    relay = RelayAddress(bytes(32), ("192.0.2.9", 9))
    assert await both.announce(TOPIC, ONE.addresses, [relay]) == 3
    assert [way.announced for way in ways] == [[(TOPIC, ONE.addresses, [relay])]] * 2
    await both.close()
    assert all(way.closed for way in ways)


async def test_nothing_cannot_be_combined() -> None:
    with pytest.raises(ValueError, match="one part"):
        CombinedDiscovery([])
