"""Strangers at the door of a node, over carriers in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from net.carriers import memory_pair
from net.errors import NetError
from net.reaching.reception import Reception
from net.secure.opening import open_stream
from net.secure.stream import SecureStream
from tests.reference.receivers import Recording
from tests.reference.wire import ALICE, BOB, EVE


class House:
    """Bob's reception: Eve may not come in."""

    def __init__(self) -> None:
        self.guests: asyncio.Queue[SecureStream] = asyncio.Queue()
        self.reception = Reception(BOB, allow=self.allow, receive=self.receive)

    def allow(self, key: bytes, protocol: str) -> bool:
        return key != EVE.public_key and protocol == "test"

    async def receive(self, stream: SecureStream) -> None:
        self.guests.put_nowait(stream)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    yield made
    await made.reception.close()


async def test_who_may_come_is_received(house: House) -> None:
    near, far = memory_pair()
    house.reception.arrived(far)
    stream = await open_stream(near, ALICE, BOB.public_key, protocol="test")
    guest = await house.guests.get()
    assert guest.remote_key == ALICE.public_key
    stream.write(b"hello")
    assert await guest.readexactly(5) == b"hello"
    stream.abort()
    guest.abort()


async def test_who_may_not_is_turned_away(house: House) -> None:
    near, far = memory_pair()
    house.reception.arrived(far)
    with pytest.raises(NetError):
        await open_stream(near, EVE, BOB.public_key, protocol="test")
    assert house.guests.empty()


async def test_a_ban_is_known(house: House) -> None:
    assert not house.reception.is_banned(EVE.public_key)
    house.reception.ban(EVE.public_key)
    assert house.reception.is_banned(EVE.public_key)


async def test_closing_ends_handshakes_and_lets_nobody_in(house: House) -> None:
    near, far = memory_pair()
    near.start(seen := Recording())
    house.reception.arrived(far)
    await house.reception.close()
    await seen.call("lost")
    near, far = memory_pair()
    near.start(late := Recording())
    house.reception.arrived(far)
    await late.call("lost")
    await house.reception.close()
