from __future__ import annotations

import asyncio
import random

import pytest

from net.carriers import Carrier, memory_pair
from net.errors import ClosedError
from net.noise import NoiseSession
from net.secure.opening import accept_stream, open_stream
from net.secure.reader import READ_HIGH
from net.secure.stream import SecureStream
from tests.reference.receivers import Recording
from tests.reference.wire import ALICE, BOB

StreamPair = tuple[SecureStream, SecureStream]


@pytest.fixture
async def streams(carriers: tuple[Carrier, Carrier]) -> StreamPair:
    return await asyncio.gather(
        open_stream(carriers[0], ALICE, BOB.public_key, protocol="test"),
        accept_stream(carriers[1], BOB),
    )


async def test_a_conversation(streams: StreamPair) -> None:
    ours, theirs = streams
    assert ours.remote_key == BOB.public_key
    assert theirs.remote_key == ALICE.public_key
    assert ours.handshake_hash == theirs.handshake_hash
    assert ours.protocol == theirs.protocol == "test"
    assert (ours.initiator, theirs.initiator) == (True, False)
    assert BOB.public_key.hex()[:16] in repr(ours)
    ours.write(b"hello ")
    ours.write(bytearray(b"world"))
    await ours.drain()
    assert await theirs.readexactly(11) == b"hello world"
    theirs.write(memoryview(b"and back"))
    assert await ours.read(3) == b"and"
    assert await ours.read(0) == b""
    assert await ours.read(100) == b" back"


async def test_megabytes_arrive_as_they_were(streams: StreamPair) -> None:
    ours, theirs = streams
    data = random.Random(1).randbytes(5_000_000)

    async def send() -> None:
        for start in range(0, len(data), 300_000):
            ours.write(data[start : start + 300_000])
            await ours.drain()
        ours.write_eof()

    sending = asyncio.ensure_future(send())
    assert await theirs.read() == data
    assert theirs.at_eof()
    assert await theirs.read(1) == b""
    await sending


async def test_a_reader_that_stops_stops_the_writer(streams: StreamPair) -> None:
    ours, theirs = streams
    chunk = bytes(65536)
    written = 0
    while not ours._writing_paused:
        ours.write(chunk)
        written += len(chunk)
        await asyncio.sleep(0)
    assert theirs._reader.size <= READ_HIGH + (1 << 20)
    draining = asyncio.ensure_future(ours.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    assert len(await theirs.readexactly(written)) == written
    await draining


async def test_one_direction_may_end_before_the_other(streams: StreamPair) -> None:
    ours, theirs = streams
    ours.write(b"question")
    ours.write_eof()
    ours.write_eof()
    with pytest.raises(ClosedError, match="closed for writing"):
        ours.write(b"more")
    assert await theirs.read() == b"question"
    theirs.write(b"answer")
    theirs.close()
    assert await ours.read() == b"answer"
    ours.close()
    await ours.wait_closed()
    await theirs.wait_closed()


async def test_close_sends_what_was_written(streams: StreamPair) -> None:
    ours, theirs = streams
    async with ours:
        ours.write(bytes(3_000_000))
        reading = asyncio.ensure_future(theirs.read())
        ours.close()
        assert ours.is_closing()
        assert len(await reading) == 3_000_000
        theirs.close()
    await theirs.wait_closed()
    assert await ours.read(1) == b""
    with pytest.raises(asyncio.IncompleteReadError):
        await theirs.readexactly(1)


async def test_a_cut_is_not_an_end(streams: StreamPair) -> None:
    ours, theirs = streams
    ours.write(b"all that came")
    await ours.drain()
    assert await theirs.read(100) == b"all that came"
    waiting = asyncio.ensure_future(theirs.read(1))
    draining = [asyncio.ensure_future(theirs.drain()) for _ in range(2)]
    await asyncio.sleep(0)
    ours.abort()
    with pytest.raises(ClosedError, match="was cut"):
        await waiting
    with pytest.raises(ClosedError):
        theirs.write(b"x")
    await asyncio.gather(*draining, return_exceptions=True)
    await theirs.wait_closed()
    theirs.close()
    await ours.wait_closed()


async def test_a_consumer_gets_what_was_kept_and_what_comes(streams: StreamPair) -> None:
    ours, theirs = streams

    class Consumer(Recording):
        def stream_ended(self) -> None:
            self.carrier_ended()

        def stream_lost(self, error: Exception | None) -> None:
            self.carrier_lost(error)

    ours.write(b">kept ")
    assert await theirs.readexactly(1) == b">"
    consumer = Consumer()
    theirs.attach(consumer)
    with pytest.raises(RuntimeError, match="has a consumer"):
        theirs.attach(consumer)
    ours.write(b"coming")
    ours.close()
    await consumer.call("ended")
    assert consumer.received == b"kept coming"
    theirs.close()
    await consumer.call("lost")
    assert consumer.error is None


async def test_before_the_handshake_there_is_no_peer() -> None:
    left, _ = memory_pair()
    stream = SecureStream(left, NoiseSession(BOB, initiator=False))
    assert "nobody yet" in repr(stream)
    with pytest.raises(RuntimeError, match="not finished"):
        _ = stream.remote_key
    stream.close()
