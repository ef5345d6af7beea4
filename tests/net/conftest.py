"""Nodes on loopback, with stores of their own, and pairs of carriers; closed when a test ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from feedlog import Store
from net.carriers import Carrier, connect_tcp, listen_tcp, memory_pair
from net.node import Node
from tests.reference.quic import quic_pair

StartNode = Callable[..., Awaitable[Node]]


@pytest.fixture
async def start_node() -> AsyncIterator[StartNode]:
    """Start a node; `node.store` in the test is the store that it was given, or a new one."""
    async with AsyncExitStack() as stack:

        async def start(
            *known: Node, store: Store | None = None, host: str = "127.0.0.1", **options: Any
        ) -> Node:
            store = store or stack.enter_context(Store.memory())
            bootstrap = options.pop("bootstrap", [node.address for node in known[:1]])
            node = Node(store, bootstrap=bootstrap, host=host, **options)
            return await stack.enter_async_context(node)

        yield start


@pytest.fixture(params=["memory", "tcp", "quic"])
async def carriers(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Carrier, Carrier]]:
    """Two ends of one connection, for each kind of carrier."""
    if request.param == "memory":
        yield memory_pair()
        return
    if request.param == "quic":
        async with quic_pair() as pair:
            yield pair
        return
    accepted: asyncio.Future[Carrier] = asyncio.get_running_loop().create_future()
    listener = await listen_tcp(accepted.set_result, "127.0.0.1")
    left = await connect_tcp(*listener.addresses[0])
    yield left, await accepted
    listener.close()
    for end in (left, accepted.result()):
        end.abort()
