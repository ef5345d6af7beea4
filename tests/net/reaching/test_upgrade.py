from __future__ import annotations

import asyncio

import pytest

from net.carriers import memory_pair
from net.carriers.held import HeldCarrier
from net.carriers.medium import Medium
from net.discovery import PeerAddress
from net.errors import ConnectError
from net.reaching.upgrade import PAUSES, Upgrades, may_improve
from net.secure.moving import PROTOCOL, Moves
from net.secure.opening import accept_stream, open_stream
from net.secure.stream import SecureStream
from tests.reference.relays import RelayBed, streams_between, until
from tests.reference.wire import ALICE, BOB

PEER = PeerAddress(BOB.public_key, ())
TOPIC = bytes(20)


class Side:
    """Two nodes that can be reached directly, and by TCP beside QUIC, once `open` is set."""

    def __init__(self) -> None:
        self.open = False
        self.attempts = 0
        self.opener = Upgrades(self.direct, self.beside, pauses=(0.0, 0.001))
        self.other = Upgrades(self.direct, self.beside)
        self.tasks: list[asyncio.Future[None]] = []

    async def direct(self, peer: PeerAddress, topic: bytes) -> SecureStream:
        assert (peer, topic) == (PEER, TOPIC)
        return await self.better("both NATs random")

    async def beside(self, stream: SecureStream) -> SecureStream:
        assert may_improve(stream)
        return await self.better("a router has changed a port")

    async def better(self, why_not: str) -> SecureStream:
        self.attempts += 1
        if not self.open:
            raise ConnectError(why_not)
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
    assert [stream.medium for stream in (ours, theirs)] == [Medium.RELAY] * 2
    side.opener.watch(ours, PEER, TOPIC)
    side.other.add(theirs)
    await until(lambda: side.attempts > 2)
    ours.write(b"by relay, ")
    side.open = True
    await until(lambda: ours.medium is theirs.medium is Medium.MEMORY)
    ours.write(b"and directly")
    assert await theirs.readexactly(22) == b"by relay, and directly"
    await until(lambda: not bed.service.circuits)
    await until(lambda: not side.opener._tasks)
    for stream in (ours, theirs):
        stream.close()
    await side.close()
    bed.close()


async def by_quic(medium: Medium, protocol: str = "") -> tuple[SecureStream, SecureStream]:
    """Return both ends of a stream that seems to run by QUIC."""
    near, far = (HeldCarrier(one, lambda: None, medium, "192.0.2.1:9") for one in memory_pair())
    return await asyncio.gather(
        open_stream(near, ALICE, BOB.public_key, protocol=protocol), accept_stream(far, BOB)
    )


@pytest.mark.parametrize("medium", [Medium.QUIC, Medium.PUNCHED_QUIC])
async def test_a_stream_by_quic_goes_to_tcp_when_it_can(medium: Medium) -> None:
    side = Side()
    ours, theirs = await by_quic(medium)
    side.opener.watch(ours, PEER, TOPIC)
    side.other.add(theirs)
    assert side.other.expects(ALICE.public_key)
    await until(lambda: side.attempts > 2)
    ours.write(b"by quic, ")
    side.open = True
    await until(lambda: not may_improve(ours) and not may_improve(theirs))
    ours.write(b"and by tcp")
    assert await theirs.readexactly(19) == b"by quic, and by tcp"
    await until(lambda: not side.opener._tasks)
    for stream in (ours, theirs):
        stream.close()
    await side.close()


async def test_a_way_is_not_improved_by_itself() -> None:
    """What a stream is about to go on over is not that stream."""
    side = Side()
    ours, theirs = await by_quic(Medium.QUIC, PROTOCOL)
    side.opener.watch(ours, PEER, TOPIC)
    side.other.add(theirs)
    assert not side.opener._tasks
    assert not side.other.expects(ALICE.public_key)
    for stream in (ours, theirs):
        stream.abort()


async def test_from_a_relay_through_a_hole_to_tcp() -> None:
    """Each step begins with the shortest pause again: with the next one it would take an hour."""
    bed, side = RelayBed(), Side()
    side.opener = Upgrades(side.direct, side.beside, pauses=(0.05, 3600.0))
    ours, theirs = await relayed(bed)
    ways = [Medium.PUNCHED_QUIC, Medium.TCP]

    async def better(why_not: str) -> SecureStream:
        assert why_not
        near, far = (HeldCarrier(one, lambda: None, ways[0], "to") for one in memory_pair())
        del ways[0]
        ours, theirs = await asyncio.gather(
            open_stream(near, ALICE, BOB.public_key, protocol=PROTOCOL), accept_stream(far, BOB)
        )
        side.other.add(theirs)
        side.tasks.append(asyncio.ensure_future(side.other.accept(theirs)))
        return ours

    side.better = better  # type: ignore[method-assign]  # one way after the other
    side.opener.watch(ours, PEER, TOPIC)
    side.other.add(theirs)
    await until(lambda: not side.opener._tasks)
    assert (ours.description, theirs.description) == ("tcp to", "tcp to")
    ours.write(b"still there")
    assert await theirs.readexactly(11) == b"still there"
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


async def test_a_stream_that_the_other_end_has_moved_stays_there() -> None:
    side = Side()
    side.opener = Upgrades(side.direct, side.beside, pauses=(0.5,))
    ours, theirs = await by_quic(Medium.QUIC)
    side.opener.watch(ours, PEER, TOPIC)
    (search,) = side.opener._tasks
    near, far = memory_pair()
    onto, here = await asyncio.gather(
        open_stream(near, BOB, ALICE.public_key, protocol=PROTOCOL), accept_stream(far, ALICE)
    )
    side.tasks.append(asyncio.ensure_future(side.opener.accept(here)))
    await Moves().move(theirs, onto)
    await search
    assert (side.attempts, may_improve(ours), ours.is_closing()) == (0, False, False)
    for stream in (ours, theirs):
        stream.abort()
    await side.close()


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
