"""A hundred followers of one live feed, all in this process. Run by `make soak`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from feedlog import Store
from net.node import Node
from net.sharing.remote import Remote

FOLLOWERS = 100
APPENDS = 10_000
BURST = 50
SETTLED = APPENDS // 5
"""Appends after which caches and windows have their size."""
GROWTH = 64 << 20
"""Bytes that memory may grow by from then on: less than half of what is delivered meanwhile."""

BLOCK = b"%08d" + bytes(200)


def memory() -> int:
    """Return the bytes of this process that are not pages of files, as those of stores are."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("/proc/self/status names no RssAnon")


async def read(remote: Remote, reached: list[asyncio.Event]) -> int:
    """Take every append, in order."""
    number = 0
    async for block in remote.live():
        assert block == BLOCK % number
        number += 1
        if number % BURST == 0:
            reached[number // BURST - 1].set()
        if number == APPENDS:
            break
    return number


async def _all(waits: Iterable[Awaitable[Any]]) -> None:
    await asyncio.gather(*waits)


@pytest.mark.soak
async def test_a_hundred_followers_get_every_append_in_order(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:

        async def start(name: str, *bootstrap: str) -> tuple[Store, Node]:
            store = stack.enter_context(Store(tmp_path / name, durability="relaxed"))
            node = Node(store, host="127.0.0.1", bootstrap=bootstrap)
            return store, await stack.enter_async_context(node)

        store, writer = await start("writer")
        feed = store.feed("log")
        await writer.share(feed)
        arrivals = [[asyncio.Event() for _ in range(APPENDS // BURST)] for _ in range(FOLLOWERS)]
        readers = []
        for number, reached in enumerate(arrivals):
            _, node = await start(f"follower{number}", writer.address)
            remote = await node.follow(feed.key)
            readers.append(asyncio.create_task(read(remote, reached)))
        settled = 0
        for burst in range(APPENDS // BURST):
            for number in range(burst * BURST, (burst + 1) * BURST):
                feed.append(BLOCK % number)
            waits = [reached[burst].wait() for reached in arrivals]
            done = asyncio.ensure_future(_all(waits))
            some: list[asyncio.Future[Any]] = [done, *readers]
            await asyncio.wait(some, return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                await asyncio.gather(*(task for task in readers if task.done()))
            await done
            if (burst + 1) * BURST == SETTLED:
                settled = memory()
        assert await asyncio.gather(*readers) == [APPENDS] * FOLLOWERS
        growth = memory() - settled
        print(f"memory {settled >> 20} MiB after {SETTLED} appends, {growth >> 10} KiB more at end")
        assert growth < GROWTH
