"""A Mainline DHT of one's own: libtorrent sessions on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from feedlog.keys import KeyPair
from net.mainline.discovery import MainlineDiscovery
from net.mainline.session import MainlineSession

HERE = ("127.0.0.1:0",)
NODES = 4

StartMainline = Callable[..., Awaitable[MainlineDiscovery]]


@pytest.fixture
async def sessions() -> AsyncIterator[list[MainlineSession]]:
    """Nodes that know each other, as those of strangers would."""
    async with AsyncExitStack() as stack:
        made: list[MainlineSession] = []
        for _ in range(NODES):
            session = MainlineSession([], HERE, private=True)
            stack.push_async_callback(session.close)
            for other in made:
                session.add_node(("127.0.0.1", other.port))
                other.add_node(("127.0.0.1", session.port))
            made.append(session)
        yield made


@pytest.fixture
async def start_mainline(sessions: list[MainlineSession]) -> AsyncIterator[StartMainline]:
    """Start discoveries that use this network."""
    async with AsyncExitStack() as stack:

        async def start(key_pair: KeyPair | None = None) -> MainlineDiscovery:
            bootstrap = [f"127.0.0.1:{session.port}" for session in sessions]
            discovery = MainlineDiscovery(
                key_pair or KeyPair.generate(), bootstrap=bootstrap, interfaces=HERE, private=True
            )
            return await stack.enter_async_context(discovery)

        yield start
