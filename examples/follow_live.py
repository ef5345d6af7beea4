"""A reader that gets every new block of somebody's log as it is appended."""

import asyncio

from feedlog import Store
from net import Node


async def main() -> None:
    with Store.memory() as theirs, Store.memory() as ours:
        feed = theirs.feed("chat")
        feed.append(b"hello")
        async with Node(theirs, host="127.0.0.1") as publisher:
            await publisher.share(feed)
            async with Node(ours, bootstrap=[publisher.address], host="127.0.0.1") as reader:
                remote = await reader.follow(feed.key)
                async for block in remote.live():
                    print("<", block.decode())
                    if len(feed) == 4:
                        break
                    feed.append(f"message {len(feed)}".encode())


asyncio.run(main())
