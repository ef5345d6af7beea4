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

EVERYWHERE = "0.0.0.0"


async def share(node: Node, store: Store) -> None:
    feed = store.feed("news")
    feed.append(b"over the fence")
    await node.share(feed)
    print(feed.key.hex(), flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def read(node: Node, key: bytes) -> None:
    remote = await node.follow(key)
    print((await remote.get(0, timeout=20)).decode(), flush=True)


async def main() -> None:
    with Store.memory() as store:
        lan = LanDiscovery(store.key_pair("node"), [EVERYWHERE])
        await lan.start()
        async with Node(store, discovery=lan, host=EVERYWHERE) as node:
            if sys.argv[1] == "share":
                await share(node, store)
            else:
                await read(node, bytes.fromhex(sys.argv[2]))


asyncio.run(main())
