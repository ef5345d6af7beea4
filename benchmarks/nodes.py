"""Two nodes of ours that replicate one feed, for the questions that need them.

Over TCP on loopback with the whole stack between: discovery, Noise, channels, proofs. The peers'
two ends are joined by a pipe inside their process, which costs them less.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.link import FAR_ADDRESS, NEAR_ADDRESS
from feedlog import Feed, Store
from feedlog_cli.trie_hints import EXTENSION, TrieHints
from net import Node, Remote

LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def following(feed: Feed, source: Store, copy: Store) -> AsyncIterator[Remote]:
    """Serve `feed` of the store `source`; yield it as a node on `copy` sees it, connected."""
    async with (
        Node(source, host=LOOPBACK) as serving,
        Node(copy, host=LOOPBACK, bootstrap=[serving.address]) as reading,
    ):
        await serving.share(feed)
        remote = await reading.follow(feed.key)
        await remote.update()
        yield remote


async def serve(feed: Feed, store: Store) -> None:
    """Serve a feed at the far end of a link until killed; say so as `Link.ask` expects."""
    node = Node(store, host=FAR_ADDRESS)
    node.extension(EXTENSION, TrieHints())
    async with node:
        await node.share(feed)
        print(json.dumps({"key": f"{feed.key.hex()} {node.address}"}), flush=True)
        await asyncio.Event().wait()


@asynccontextmanager
async def across(told: str, store: Store) -> AsyncIterator[Remote]:
    """At the near end of a link, follow what `serve` said."""
    key, address = told.split()
    async with Node(store, host=NEAR_ADDRESS, bootstrap=[address]) as node:
        remote = await node.follow(bytes.fromhex(key))
        await remote.update()
        yield remote
