"""Networks of DHT nodes on loopback sockets, closed when a test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import pytest

from feedlog.keys import KeyPair
from net.carriers.udp import UdpSocket
from net.dht.node import DhtNode

StartNode = Callable[..., Awaitable[DhtNode]]


@pytest.fixture
async def start_node() -> AsyncIterator[StartNode]:
    async with AsyncExitStack() as stack:

        async def start(
            bootstrap: Sequence[str] = (), *, host: str = "127.0.0.1", ephemeral: bool = False
        ) -> DhtNode:
            udp = await UdpSocket.open(host)
            stack.callback(udp.close)
            node = DhtNode(KeyPair.generate(), udp, bootstrap=bootstrap, ephemeral=ephemeral)
            return await stack.enter_async_context(node)

        yield start
