"""Networks of DHT nodes on loopback sockets, closed when a test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from feedlog.keys import KeyPair
from net.carriers.udp import UdpSocket
from net.dht.node import DhtNode

StartNode = Callable[..., Awaitable[DhtNode]]


@pytest.fixture
async def start_node() -> AsyncIterator[StartNode]:
    async with AsyncExitStack() as stack:

        async def start(
            bootstrap: Sequence[str] = (), *, host: str = "127.0.0.1", **options: Any
        ) -> DhtNode:
            udp = await UdpSocket.open(host)
            stack.callback(udp.close)
            key_pair = options.pop("key_pair", None) or KeyPair.generate()
            node = DhtNode(key_pair, udp, bootstrap=bootstrap, **options)
            return await stack.enter_async_context(node)

        yield start
