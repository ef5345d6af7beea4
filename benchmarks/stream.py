"""How many bytes a second go through one encrypted stream on loopback, both ends in one process?

Ours goes over TCP, which is tried first wherever it connects; hyperdht has UDP only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.nodes import LOOPBACK
from benchmarks.report import Answer, Limit
from feedlog import Store
from net import Node, SecureStream

CHUNK = bytes(64 << 10)


async def transfer(size: int) -> float:
    """Send `size` bytes from one node to another; return the seconds until the last is read."""
    received = asyncio.get_running_loop().create_future()

    async def count(stream: SecureStream) -> None:
        left = size
        while left > 0:
            left -= len(await stream.read(1 << 20))
        received.set_result(perf_counter())

    async with (
        Node(Store.memory(), host=LOOPBACK) as listening,
        Node(Store.memory(), host=LOOPBACK, bootstrap=[listening.address]) as dialling,
    ):
        await listening.listen(count)
        stream = await dialling.connect(listening.public_key)
        start = perf_counter()
        for _ in range(size // len(CHUNK)):
            stream.write(CHUNK)
            await stream.drain()
        end: float = await received
        stream.close()
        return end - start


def run(bench: Bench) -> Iterator[Answer]:
    """Send 400 MB."""
    size = bench.size(6400, 160) * len(CHUNK)
    yield Answer(
        "bytes through one stream, loopback (ours TCP)",
        bench.ours("MB/s", lambda: size / asyncio.run(transfer(size)) / 1e6),
        bench.peer("udp_stream.js", "hyperdht", bytes=min(size, 100_000_000)),
        (Limit(400.0, "MB/s"),),
    )
