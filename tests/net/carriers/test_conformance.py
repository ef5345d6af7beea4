"""What every carrier must do, run on each: the rules at the top of net/carriers/base.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from net.carriers import Carrier, connect_tcp, listen_tcp, memory_pair
from net.carriers.base import HIGH_WATER
from net.carriers.held import HeldCarrier
from net.carriers.medium import Medium
from net.carriers.memory import MemoryCarrier
from tests.reference.quic import quic_pair
from tests.reference.receivers import Recording
from tests.reference.relays import RelayBed

Pair = tuple[Carrier, Carrier]


KINDS = [
    "memory",
    "memory in single bytes",
    "tcp",
    "tcp6",
    "quic",
    "quic6",
    "quic, backwards",
    "quic, no offloading",
    "quic, held",
    "relay",
    "relay, backwards",
]


@pytest.fixture(params=KINDS)
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    if request.param.startswith("memory"):
        yield memory_pair(chunk=1) if "single" in request.param else memory_pair()
        return
    if request.param.startswith("relay"):
        bed = RelayBed()
        asking, waiting = await bed.circuit()
        yield (waiting, asking) if "backwards" in request.param else (asking, waiting)
        bed.close()
        return
    host = "::1" if request.param.endswith("6") else "127.0.0.1"
    if request.param.startswith("quic"):
        async with quic_pair(host, offload="no off" not in request.param) as (client, server):
            if request.param.endswith("held"):
                yield HeldCarrier(client, lambda: None, Medium.PUNCHED_QUIC, "192.0.2.1:9"), server
                return
            yield (server, client) if "backwards" in request.param else (client, server)
        return
    accepted: asyncio.Future[Carrier] = asyncio.get_running_loop().create_future()
    listener = await listen_tcp(accepted.set_result, host)
    port = listener.addresses[0][1]
    left = await connect_tcp(host, port)
    right = await accepted
    listener.close()
    yield left, right
    left.abort()
    right.abort()


def start(pair: Pair) -> tuple[Recording, Recording]:
    left, right = Recording(), Recording()
    pair[0].start(left)
    pair[1].start(right)
    return left, right


async def test_bytes_arrive_in_order_both_ways(pair: Pair) -> None:
    left, right = start(pair)
    for number in range(100):
        pair[0].write(b"%d," % number)
        pair[1].write(b"%d;" % number)
    await right.size(290)
    await left.size(290)
    assert right.received == b"".join(b"%d," % number for number in range(100))
    assert left.received == b"".join(b"%d;" % number for number in range(100))


async def test_nothing_comes_before_start(pair: Pair) -> None:
    pair[0].write(b"early")
    pair[0].write_end()
    await asyncio.sleep(0)
    _, right = start(pair)
    await right.call("ended")
    assert right.received == b"early"


async def test_one_direction_may_end(pair: Pair) -> None:
    left, right = start(pair)
    pair[0].write(b"last")
    pair[0].write_end()
    await right.call("ended")
    pair[1].write(b"still open this way")
    await left.size(19)
    assert right.received == b"last"
    assert right.calls == ["ended"]


async def test_close_delivers_what_was_written(pair: Pair) -> None:
    left, right = start(pair)
    pair[0].write(b"x" * 1000)
    pair[0].close()
    await left.call("lost")
    assert left.error is None
    await right.call("ended")
    assert len(right.received) == 1000


async def test_abort_ends_both_ends(pair: Pair) -> None:
    left, right = start(pair)
    pair[0].abort()
    await left.call("lost")
    pair[1].write(b"x")
    if "lost" not in right.calls:
        await right.wait()
        pair[1].close()
        await right.call("lost")
    pair[0].write(b"nobody reads this")
    pair[0].abort()
    assert left.calls.count("lost") == 1


async def test_a_reader_that_pauses_stops_the_writer(pair: Pair) -> None:
    left, right = start(pair)
    pair[1].pause_reading()
    chunk, written = bytes(65536), 0
    for end in pair:
        if isinstance(end, MemoryCarrier):
            end._chunk = max(end._chunk, 4096)  # a byte a turn would take long
    while "pause" not in left.calls:
        pair[0].write(chunk)
        written += len(chunk)
        await asyncio.sleep(0)
    assert written >= HIGH_WATER
    before = len(right.received)
    pair[1].resume_reading()
    await left.call("resume")
    await right.size(written)
    assert before < written
    assert len(right.received) == written


async def test_a_writer_that_never_waits_is_told_to_pause(pair: Pair) -> None:
    class Eager(Recording):
        """Writes all it may in the call that tells it something."""

        written = 0

        def data_received(self, data: bytes | bytearray | memoryview) -> None:
            super().data_received(data)
            while "pause" not in self.calls and self.written < 64 << 20:
                pair[1].write(bytes(65536))
                self.written += 65536

    left, right = Recording(), Eager()
    pair[0].start(left)
    pair[1].start(right)
    pair[0].pause_reading()
    pair[0].write(b"go")
    await right.size(1)
    while "pause" not in right.calls:
        pair[1].write(bytes(65536))
        right.written += 65536
        await asyncio.sleep(0)
    assert right.written < 64 << 20
    for end in pair:
        if isinstance(end, MemoryCarrier):
            end._chunk = max(end._chunk, 4096)  # a byte a turn would take long
    pair[0].resume_reading()
    await left.size(right.written)
    assert "resume" in right.calls


async def test_it_says_which_way_the_bytes_go(pair: Pair) -> None:
    assert pair[0].description.startswith(f"{pair[0].medium} ")
    assert pair[0].binding == pair[1].binding
