"""How many bytes a second go through one encrypted stream over UDP on loopback, in one process?

Ours is Noise over QUIC with datagrams of 1200 bytes, so everything is sealed twice; hyperdht's is
Noise over UDX. Bare UDX, which seals nothing, stands beside it for what its transport can do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import perf_counter

from benchmarks.harness import Bench
from benchmarks.nodes import LOOPBACK
from benchmarks.report import Answer, Limit, Times
from feedlog import KeyPair
from net import SecureStream
from net.carriers.quic import QuicCarrier, QuicPort
from net.carriers.udp import UdpSocket
from net.secure.opening import accept_stream, open_stream

CHUNK = bytes(64 << 10)


async def transfer(size: int, *, offload: bool) -> float:
    """Send `size` bytes from one port to another; return the seconds until the last is read."""
    near, far = [await UdpSocket.open(LOOPBACK, offload=offload) for _ in range(2)]
    arrived: asyncio.Future[QuicCarrier] = asyncio.get_running_loop().create_future()
    ports = QuicPort(near), QuicPort(far, arrived.set_result)
    dialling, listening = KeyPair.generate(), KeyPair.generate()
    carrier = await ports[0].connect(far.addresses[0])
    ours, theirs = await asyncio.gather(
        open_stream(carrier, dialling, listening.public_key),
        accept_stream(await arrived, listening),
    )
    reading = asyncio.ensure_future(read(theirs, size))
    start = perf_counter()
    for _ in range(size // len(CHUNK)):
        ours.write(CHUNK)
        await ours.drain()
    end = await reading
    ours.abort()
    theirs.abort()
    for thing in (*ports, near, far):
        thing.close()
    return end - start


async def read(stream: SecureStream, size: int) -> float:
    """Read `size` bytes; return when the last came."""
    while size > 0:
        size -= len(await stream.read(1 << 20))
    return perf_counter()


def run(bench: Bench) -> Iterator[Answer]:
    """Send 100 MB."""
    size = bench.size(1600, 160) * len(CHUNK)

    def rate(*, offload: bool) -> float:
        return size / asyncio.run(transfer(size, offload=offload)) / 1e6

    hyperdht = bench.peer("udp_stream.js", "hyperdht", bytes=size)
    udx = bench.peer("udx_stream.js", "udx-native", bytes=size)
    yield Answer(
        "bytes through one stream over UDP, loopback",
        bench.ours("MB/s", lambda: rate(offload=True)),
        (*hyperdht, *udx),
        (Limit(100.0, "MB/s"), Times(1.0, "hyperdht")),
    )
    yield Answer(
        "the same, a system call for each datagram",
        bench.ours("MB/s", lambda: rate(offload=False)),
        note="what systems without GSO and GRO get",
    )
