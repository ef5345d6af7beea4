from __future__ import annotations

import asyncio

from net.carriers import memory_pair
from net.discovery import PeerAddress
from net.errors import ConnectError
from net.moving import PROTOCOL
from net.opening import accept_stream, open_stream
from net.stream import SecureStream
from net.upgrade import PAUSES, Upgrades, is_relayed
from tests.reference.relays import RelayBed, streams_between, until
from tests.reference.wire import ALICE, BOB

PEER = PeerAddress(BOB.public_key, ())
TOPIC = bytes(20)


class Side:
    """Two nodes that can be reached directly once `open` is set."""

    def __init__(self) -> None:
        self.open = False
        self.attempts = 0
        self.opener = Upgrades(self.direct, pauses=(0.0, 0.001))
        self.other = Upgrades(self.direct)
        self.tasks: list[asyncio.Future[None]] = []

    async def direct(self, peer: PeerAddress, topic: bytes) -> SecureStream:
        assert (peer, topic) == (PEER, TOPIC)
        self.attempts += 1
        if not self.open:
            raise ConnectError("both NATs random")
        near, far = memory_pair()
        ours, theirs = await asyncio.gather(
            open_stream(near, ALICE, BOB.public_key, protocol=PROTOCOL), accept_stream(far, BOB)
        )
        self.tasks.append(asyncio.ensure_future(self.other.accept(theirs)))
        return ours

    async def close(self) -> None:
        await self.opener.close()
        await self.other.close()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def relayed(bed: RelayBed) -> tuple[SecureStream, SecureStream]:
    near, far = await bed.circuit()
    return await asyncio.gather(open_stream(near, ALICE, BOB.public_key), accept_stream(far, BOB))


async def test_a_relayed_stream_becomes_direct_when_it_can() -> None:
    bed, side = RelayBed(), Side()
    ours, theirs = await relayed(bed)
    assert is_relayed(ours)
    assert is_relayed(theirs)
    side.opener.watch(ours, PEER, TOPIC)
    side.other.add(theirs)
    await until(lambda: side.attempts > 2)
    ours.write(b"by relay, ")
    side.open = True
    await until(lambda: not is_relayed(ours) and not is_relayed(theirs))
    ours.write(b"and directly")
    assert await theirs.readexactly(22) == b"by relay, and directly"
    await until(lambda: not bed.service.circuits)
    await until(lambda: not side.opener._tasks)
    for stream in (ours, theirs):
        stream.close()
    await side.close()
    bed.close()


async def test_nothing_is_looked_for_when_the_stream_is_over() -> None:
    bed, side = RelayBed(), Side()
    ours, theirs = await relayed(bed)
    side.opener.watch(ours, PEER, TOPIC)
    await until(lambda: side.attempts)
    ours.abort()
    theirs.abort()
    await until(lambda: not side.opener._tasks)
    await side.close()
    bed.close()


async def test_direct_streams_are_left_alone() -> None:
    side = Side()
    ours, theirs = await streams_between(ALICE, BOB)
    side.opener.watch(ours, PEER, TOPIC)
    side.other.add(theirs)
    assert not side.opener._tasks
    assert not side.other._moves._streams
    ours.abort()


def test_pauses_grow() -> None:
    assert list(PAUSES) == sorted(PAUSES)


async def test_strangers_are_not_expected() -> None:
    bed, side = RelayBed(), Side()
    ours, theirs = await relayed(bed)
    assert not side.other.expects(ALICE.public_key)
    side.other.add(theirs)
    assert side.other.expects(ALICE.public_key)
    assert not side.other.expects(BOB.public_key)
    ours.abort()
    bed.close()
