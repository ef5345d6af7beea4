"""A node whose addresses change under it, or are taken away and come back. It gives nobody up.

python roamer.py share HOST PORT BOOTSTRAP...    out: the feed's key; appends the lines of its input
python roamer.py follow HOST KEY BOOTSTRAP...    out: each block as it comes; ends with its input
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys

from feedlog import Store
from net import Node
from net.channels import liveness


async def share(store: Store, host: str, port: str, *bootstrap: str) -> None:
    async with Node(store, host=host, port=int(port), bootstrap=bootstrap) as node:
        feed = store.feed("news")
        await node.share(feed)
        print(feed.key.hex(), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            feed.append(line.strip().encode())


async def follow(store: Store, host: str, key: str, *bootstrap: str) -> None:
    async with Node(store, host=host, bootstrap=bootstrap) as node:
        remote = await node.follow(bytes.fromhex(key))

        async def show() -> None:
            async for block in remote.live(start=0):
                print(block.decode(), flush=True)

        showing = asyncio.create_task(show())
        await asyncio.to_thread(sys.stdin.read)
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing


async def main(what: str, *arguments: str) -> None:
    liveness.DEAD_AFTER = math.inf  # who moves is found because he is looked for
    with Store.memory() as store:
        await (share if what == "share" else follow)(store, *arguments)


asyncio.run(main(*sys.argv[1:]))
