"""How long does connecting by public key take on loopback, in a DHT of ten nodes?

The connecting node is warm: it has joined the network, and it has not seen the listener before.
From the call to a stream that can be written: lookup, TCP connection, Noise handshake.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.nodes import LOOPBACK
from benchmarks.report import Answer, Times
from feedlog import Store
from net import Node, SecureStream

DHT_NODES = 10


@asynccontextmanager
async def network(size: int) -> AsyncIterator[str]:
    """Run a DHT of `size` nodes; yield an address to bootstrap from."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(Node(Store.memory(), host=LOOPBACK))
        for _ in range(size - 1):
            node = Node(Store.memory(), host=LOOPBACK, bootstrap=[first.address])
            await stack.enter_async_context(node)
        yield first.address


async def hold(stream: SecureStream) -> None:
    """Keep an accepted stream until the other end closes it."""
    await stream.read()


async def connect(bootstrap: str) -> float:
    """Start a listener and a dialler, connect them, and return the milliseconds it took."""
    async with (
        Node(Store.memory(), host=LOOPBACK, bootstrap=[bootstrap]) as listening,
        Node(Store.memory(), host=LOOPBACK, bootstrap=[bootstrap]) as dialling,
    ):
        await listening.listen(hold)
        start = perf_counter()
        stream = await dialling.connect(listening.public_key)
        spent = perf_counter() - start
        stream.close()
        return spent * 1000


async def connects(count: int) -> float:
    """The median of `count` connects in one network."""
    async with network(DHT_NODES) as bootstrap:
        return median([await connect(bootstrap) for _ in range(count)])


def run(bench: Bench) -> Iterator[Answer]:
    """Connect twenty times, each time between two nodes that have just joined."""
    count = bench.size(20, 2)
    yield Answer(
        f"connect by public key, DHT of {DHT_NODES}",
        bench.ours("ms", lambda: asyncio.run(connects(count))),
        bench.peer("connect.js", "hyperdht", nodes=DHT_NODES, connects=count),
        (Times(1.0, "hyperdht"),),
        lower_is_better=True,
    )
