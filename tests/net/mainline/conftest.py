"""Discoveries in a Mainline DHT on loopback, closed when a test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from feedlog.keys import KeyPair
from net.mainline.discovery import MainlineDiscovery
from net.mainline.session import MainlineSession
from tests.reference.mainline_network import mainline_network, names

StartMainline = Callable[..., Awaitable[MainlineDiscovery]]


@pytest.fixture
async def sessions() -> AsyncIterator[list[MainlineSession]]:
    """Nodes that know each other, as those of strangers would."""
    async with mainline_network() as made:
        yield made


@pytest.fixture
async def start_mainline(sessions: list[MainlineSession]) -> AsyncIterator[StartMainline]:
    """Start discoveries that use this network."""
    async with AsyncExitStack() as stack:

        async def start(key_pair: KeyPair | None = None) -> MainlineDiscovery:
            owner = key_pair or KeyPair.generate()
            discovery = MainlineDiscovery(owner, bootstrap=names(sessions), private=True)
            return await stack.enter_async_context(discovery)

        yield start
