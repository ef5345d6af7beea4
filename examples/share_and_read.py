"""Two nodes: one shares a long log, the other reads one block of it by the log's key."""

import asyncio

from feedlog import Store
from net import Node


async def main() -> None:
    with Store.memory() as theirs, Store.memory() as ours:
        feed = theirs.feed("history")
        feed.extend(f"event {n}".encode() for n in range(50_000))
        async with Node(theirs, host="127.0.0.1") as publisher:  # it starts a network
            await publisher.share(feed)
            async with Node(ours, bootstrap=[publisher.address], host="127.0.0.1") as reader:
                remote = await reader.follow(feed.key)
                print("block 40000 is", await remote.get(40_000))
                status = remote.status()
                print(f"{status.held} of {status.length} blocks are here")
                print(f"{status.proof_bytes} bytes of proof came with it")
                await remote.download(range(100))
                print(f"{remote.status().held} after a download of 100")


asyncio.run(main())
