"""Plain streams by key, on nodes on loopback."""

from __future__ import annotations

import asyncio

import pytest

from feedlog import KeyPair
from net.errors import ConnectError, DeadlineError
from net.secure.stream import SecureStream
from tests.net.conftest import StartNode


async def hold(stream: SecureStream) -> None:
    await stream.read()


async def test_a_node_listens_once_at_a_time(start_node: StartNode) -> None:
    node = await start_node()
    server = await node.listen(hold)
    assert server.public_key == node.public_key
    with pytest.raises(RuntimeError, match="listening already"):
        await node.listen(hold)
    await server.close()
    await server.close()
    await (await node.listen(hold)).close()


async def test_nobody_comes_where_nobody_listens_any_more(start_node: StartNode) -> None:
    node = await start_node()
    client = await start_node(node)
    server = await node.listen(hold)
    stream = await client.connect(node.public_key)
    await server.close()
    with pytest.raises(ConnectError):
        await client.connect(node.public_key)
    assert not stream.is_closing()
    stream.abort()


async def test_a_policy_may_take_its_time(start_node: StartNode) -> None:
    node = await start_node()
    client = await start_node(node)
    allowed = {client.public_key}

    async def allow(key: bytes) -> bool:
        await asyncio.sleep(0)
        return key in allowed

    server = await node.listen(hold, allow=allow)
    (await client.connect(server.public_key)).abort()
    assert await node._streams.admits(client.public_key)
    assert not await node._streams.admits(KeyPair.generate().public_key)


async def test_a_key_that_is_none_and_a_time_that_is_too_short(start_node: StartNode) -> None:
    node = await start_node()
    with pytest.raises(ValueError, match="32 bytes, not 3"):
        await node.connect(b"key")
    with pytest.raises(DeadlineError, match="in 0 s"):
        await node.connect(KeyPair.generate().public_key, timeout=0)


async def test_closing_a_node_ends_the_streams_of_others(start_node: StartNode) -> None:
    node = await start_node()
    server = await node.listen(hold)
    client = await start_node(node)
    stream = await client.connect(server.public_key)
    await node.close()
    assert await stream.read() == b""
    stream.close()
    await stream.wait_closed()
    await server.close()
