"""Feeds that one node shares and another follows, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from feedlog import Feed, Store
from net.node import Node
from net.sharing.remote import Remote
from tests.net.conftest import StartNode

BLOCKS = [b"block %d" % i for i in range(500)]

PIECES = [bytes([i % 251]) * (i * 37 % 400) for i in range(600)]
BYTES = b"".join(PIECES)
SECRET = b"s" * 32


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it is for tests to look from outside
            await asyncio.sleep(0.001)


@pytest.fixture
def feed() -> Feed:
    feed = Store.memory().feed("log")
    feed.extend(BLOCKS)
    return feed


@pytest.fixture
async def writer(start_node: StartNode, feed: Feed) -> Node:
    node = await start_node()
    await node.share(feed)
    return node


@pytest.fixture
async def remote(start_node: StartNode, writer: Node, feed: Feed) -> Remote:
    return await (await start_node(writer)).follow(feed.key)


@pytest.fixture(params=["plain", "encrypted"])
def secret(request: pytest.FixtureRequest) -> bytes | None:
    return SECRET if request.param == "encrypted" else None


@pytest.fixture
def reel(secret: bytes | None) -> Feed:
    """A feed whose blocks are pieces of one long whole."""
    reel = Store.memory().feed("log", encryption_key=secret)
    reel.extend(PIECES)
    return reel


@pytest.fixture
async def film(start_node: StartNode, reel: Feed, secret: bytes | None) -> Remote:
    """The same from afar."""
    writer = await start_node()
    await writer.share(reel)
    store = Store.memory()
    store.feed(key=reel.key, encryption_key=secret)
    return await (await start_node(writer, store=store)).follow(reel.key)
