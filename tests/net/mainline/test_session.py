"""Items in a Mainline DHT of libtorrent sessions on loopback."""

from __future__ import annotations

import asyncio

import pytest

from feedlog.keys import KeyPair
from net.errors import ClosedError
from net.mainline.session import EVERYWHERE, LOOPBACK, MainlineSession, interfaces_for


async def values(session: MainlineSession, key: bytes, salt: bytes) -> list[object]:
    return [value async for value in session.values((key, salt))]


async def stored(session: MainlineSession, pair: KeyPair, salt: bytes, value: bytes) -> None:
    while not await session.put(pair, salt, value):
        pass  # the network is not there yet


async def test_items_are_written_read_and_replaced(sessions: list[MainlineSession]) -> None:
    pair = KeyPair.generate()
    one, two = sessions[0], sessions[-1]
    await stored(one, pair, b"a", b"first")
    await stored(one, pair, b"b", b"other")
    assert (await values(two, pair.public_key, b"a"))[-1] == b"first"
    await stored(one, pair, b"a", b"second")
    assert (await values(two, pair.public_key, b"a"))[-1] == b"second"
    assert (await values(two, pair.public_key, b"b"))[-1] == b"other"
    assert await values(two, pair.public_key, b"c") == []


async def test_several_wait_for_one_item(sessions: list[MainlineSession]) -> None:
    pair = KeyPair.generate()
    await stored(sessions[0], pair, b"a", b"value")
    found = await asyncio.gather(*(values(sessions[1], pair.public_key, b"a") for _ in range(5)))
    assert all(b"value" in one for one in found)


async def test_its_end(sessions: list[MainlineSession]) -> None:
    session = MainlineSession([], ("127.0.0.1:0",), private=True)
    waiting = asyncio.create_task(session.put(KeyPair.generate(), b"", b"x"))
    await asyncio.sleep(0)
    await session.close()
    await session.close()
    with pytest.raises(ClosedError):
        await waiting
    with pytest.raises(ClosedError):
        await values(session, bytes(32), b"")
    with pytest.raises(ClosedError):
        session.add_node(("127.0.0.1", sessions[0].port))


def test_where_a_network_is_listened_to() -> None:
    assert interfaces_for(["127.0.0.1:1", "127.0.0.2:2"]) == LOOPBACK
    for elsewhere in ([], ["127.0.0.1:1", "192.0.2.1:1"], ["router.example:6881"]):
        assert interfaces_for(elsewhere) == EVERYWHERE


async def test_a_bootstrap_address_that_is_none() -> None:
    with pytest.raises(ValueError, match="host:port"):
        MainlineSession(["nowhere"], (), private=True)
