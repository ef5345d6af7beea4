"""A remote feed as it grows, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from feedlog import Feed
from net.node import Node
from net.sharing import intake
from net.sharing.remote import Remote
from tests.net.conftest import StartNode
from tests.net.sharing.conftest import BLOCKS


async def test_old_and_new_blocks_in_order(remote: Remote, feed: Feed) -> None:
    got: list[bytes] = []

    async def read() -> None:
        async for block in remote.live(490):
            got.append(block)
            if len(got) == 30:
                return

    task = asyncio.create_task(read())
    for i in range(20):
        feed.append(b"new %d" % i)
        await asyncio.sleep(0)
    await task
    assert got == BLOCKS[490:] + [b"new %d" % i for i in range(20)]


async def test_only_what_is_new(remote: Remote, feed: Feed) -> None:
    await remote.update()
    blocks: AsyncIterator[bytes] = remote.live(-1)
    assert await anext(blocks) == BLOCKS[-1]
    waiting = asyncio.ensure_future(anext(blocks))
    await asyncio.sleep(0.01)
    feed.append(b"new")
    assert await waiting == b"new"


@pytest.mark.parametrize("quick", [True, False], ids=["stored at once", "stored in a thread"])
async def test_many_followers_get_every_append(
    start_node: StartNode,
    writer: Node,
    feed: Feed,
    quick: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not quick:  # pushes then come while the answer to a request waits for the disk
        monkeypatch.setattr(intake, "INLINE_WAIT", -1.0)
    remotes = [await (await start_node(writer)).follow(feed.key) for _ in range(10)]

    async def read(remote: Remote) -> list[bytes]:
        blocks = []
        async for block in remote.live(450):
            blocks.append(block)
            if len(blocks) == 350:
                break
        return blocks

    tasks = [asyncio.create_task(read(remote)) for remote in remotes]
    for i in range(300):
        feed.append(b"live %d" % i)
        if i % 10 == 0:
            await asyncio.sleep(0.001)
    expected = BLOCKS[450:] + [b"live %d" % i for i in range(300)]
    assert await asyncio.gather(*tasks) == [expected] * 10


async def test_heads_are_told_as_they_come(remote: Remote, feed: Feed) -> None:
    await remote.update()
    async with aclosing(remote.heads()) as heads, asyncio.timeout(20):
        assert await anext(heads) == (0, 500)
        feed.append(b"x")
        assert await anext(heads) == (0, 501)
        feed.truncate(9)
        assert await anext(heads) == (1, 9)


async def test_peers_push_while_somebody_reads(remote: Remote) -> None:
    def pushing() -> bool:
        return remote._fetcher.core.live

    async with aclosing(remote.heads()) as heads:
        assert not pushing()
        await anext(heads)
        assert pushing()
        async with aclosing(remote._live.blocks(-1)) as blocks:
            assert await anext(blocks) == BLOCKS[-1]
        assert pushing()
    assert not pushing()
