"""A host that knows nobody: shares a feed on the local network, or reads one from there.

python neighbour.py share               out: the feed's key; ends with standard input
python neighbour.py read KEY            out: the feed's first block
"""

from __future__ import annotations

import asyncio
import sys

from feedlog import Store
from net import Node
from net.lan.discovery import LanDiscovery


async def share(node: Node, store: Store) -> None:
    feed = store.feed("news")
    feed.append(b"over the fence")
    await node.share(feed)
    print(feed.key.hex(), flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def read(node: Node, key: bytes) -> None:
    remote = await node.follow(key)
    print((await remote.get(0, timeout=20)).decode(), flush=True)


async def main(host: str, word: str) -> None:
    with Store.memory() as store:
        lan = LanDiscovery(store.key_pair("node"), [host])
        await lan.start()
        async with Node(store, discovery=lan, host=host) as node:
            if word == "share":
                await share(node, store)
            else:
                await read(node, bytes.fromhex(sys.argv[3]))


asyncio.run(main(*sys.argv[1:3]))
