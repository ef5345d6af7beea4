"""Both ends of a link with delay: a trie that is served, and a reader who begins with nothing.

    python -m tests.processes.far_trie serve KEYS
    python -m tests.processes.far_trie read "KEY ADDRESS" KEYS

The reader says how many round trips its first get took, connecting not counted, and how many
each of those after it.
"""

from __future__ import annotations

import asyncio
import json
import sys

from benchmarks.link import NEAR_ADDRESS
from benchmarks.nodes import serve
from feedlog import Store
from feedlog_cli.remote_trie import RemoteTrie
from net import Node
from trie import Trie

GETS = 10


def key_of(number: int) -> str:
    return f"packages/{number % 97}/{number}"


def offer(keys: int) -> None:
    with Store.memory() as store:
        feed = store.feed("trie")
        with Trie(feed).batch() as batch:
            for number in range(keys):
                batch[key_of(number)] = b"%d" % number
        asyncio.run(serve(feed, store))


async def read(told: str, keys: int) -> list[int]:
    key, address = told.split()
    spent = []
    with Store.memory() as store:
        async with Node(store, host=NEAR_ADDRESS, bootstrap=[address]) as node:
            remote = await node.follow(bytes.fromhex(key))
            trie = RemoteTrie(remote)
            for turn in range(1 + GETS):
                number = turn * 7919 % keys
                before = remote.status().round_trips
                assert await trie.get(key_of(number)) == b"%d" % number
                spent.append(remote.status().round_trips - before)
    return spent


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        offer(int(sys.argv[2]))
    else:
        print(json.dumps({"trips": asyncio.run(read(sys.argv[2], int(sys.argv[3])))}))
