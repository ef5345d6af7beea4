"""What a node announces follows its addresses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from net.addresses import Address, RelayAddress
from net.discovery import PeerAddress
from net.errors import RefusedError
from net.finding.announcer import Announcer, Where

TOPIC, OTHER, FULL = b"t" * 20, b"o" * 20, b"f" * 20
HOME: list[Address] = [("192.0.2.1", 4000)]
AWAY: list[Address] = [("198.51.100.1", 4000)]


class Board:
    """A discovery that writes down what it is told, and refuses one topic."""

    def __init__(self) -> None:
        self.posted: dict[bytes, tuple[Sequence[Address], Sequence[RelayAddress]]] = {}
        self.changed = asyncio.Event()
        self.ready = asyncio.Event()
        self.ready.set()

    async def announce(
        self, topic: bytes, addresses: Sequence[Address], relays: Sequence[RelayAddress] = ()
    ) -> int:
        if topic == FULL:
            raise RefusedError("full")
        await self.ready.wait()
        self.posted[topic] = addresses, relays
        self.changed.set()
        return 1

    async def unannounce(self, topic: bytes) -> int:
        self.posted.pop(topic, None)
        return 1

    async def lookup(self, topic: bytes) -> AsyncGenerator[PeerAddress]:
        for key in (topic,):
            yield PeerAddress(key, ())

    async def close(self) -> None:
        pass


async def test_announcements_move_with_us_and_are_withdrawn() -> None:
    where: Where = HOME, ()
    board = Board()
    announcer = Announcer(board, lambda: where)
    announcer.start()
    assert await announcer.announce(TOPIC) == 1
    with pytest.raises(RefusedError):
        await announcer.announce(FULL)
    assert board.posted == {TOPIC: (HOME, ())}
    relay = RelayAddress(bytes(32), ("192.0.2.9", 9))
    where = AWAY, (relay,)
    board.changed.clear()
    announcer.look()
    await board.changed.wait()
    assert board.posted == {TOPIC: (AWAY, (relay,))}
    where = [*AWAY, *HOME], (relay,)
    board.changed.clear()
    announcer.look()
    await board.changed.wait()
    where = [*HOME, *AWAY], (relay,)  # the same in another order is no news
    announcer.look()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert board.posted == {TOPIC: ([*AWAY, *HOME], (relay,))}
    assert announcer.topics == {TOPIC, FULL}
    with pytest.raises(ValueError, match="20 bytes, not 3"):
        await announcer.announce(b"bad")
    assert announcer.topics == {TOPIC, FULL}
    await announcer.withdraw(FULL)
    await announcer.withdraw(bytes(20))
    await announcer.close()
    assert board.posted == {}


async def test_what_is_withdrawn_while_others_are_announced_anew_stays_withdrawn() -> None:
    where: Where = HOME, ()
    board = Board()
    announcer = Announcer(board, lambda: where)
    announcer.start()
    for topic in (TOPIC, OTHER):
        await announcer.announce(topic)
    where = AWAY, ()
    board.ready.clear()
    announcer.look()
    while announcer._topics[TOPIC] != where:  # noqa: ASYNC110 - it is at the first
        await asyncio.sleep(0)
    await announcer.withdraw(OTHER)
    board.changed.clear()
    board.ready.set()
    await board.changed.wait()
    await asyncio.sleep(0)
    assert board.posted == {TOPIC: (AWAY, ())}
    assert announcer.topics == {TOPIC}
    await announcer.close()
