"""Nodes on loopback, with stores of their own, closed when a test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from feedlog import Store
from net.node import Node

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
