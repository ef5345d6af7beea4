"""Punches over real sockets on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random

import pytest

from net.carriers.punching import BUSY, MAX_PUNCHES, PunchPort
from net.carriers.udp import UdpSocket
from net.errors import ClosedError, PunchError
from net.punch.classify import NatClass
from net.punch.hashing import PunchKeys, punch_keys
from net.punch.messages import Offer
from net.punch.puncher import Puncher


@dataclass
class End:
    udp: UdpSocket
    port: PunchPort

    def offer(self, nat: NatClass = NatClass.OPEN) -> Offer:
        return Offer(nat, self.udp.addresses[0])


@pytest.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    sockets = [await UdpSocket.open("127.0.0.1") for _ in range(2)]
    made = [End(udp, PunchPort(udp)) for udp in sockets]
    yield made[0], made[1]
    for end in made:
        end.port.close()
        end.udp.close()


def keys(initiator: bool, number: int = 0) -> PunchKeys:
    pair = [bytes([number]) * 32, bytes([number + 1]) * 32]
    send, receive = pair if initiator else pair[::-1]
    return punch_keys(send, receive, bytes([number]) * 64)


def puncher(mine: Offer, theirs: Offer, initiator: bool, number: int = 0) -> Puncher:
    return Puncher(
        keys(initiator, number),
        mine,
        theirs,
        initiator=initiator,
        rng=Random(number),
        secret=bytes(32),
        now=asyncio.get_running_loop().time(),
    )


async def test_two_ports_agree_and_carry_other_protocols(ends: tuple[End, End]) -> None:
    near, far = ends
    arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    far.udp.attach([0x3F], lambda datagrams: arrived.set_result(datagrams[0][0]))
    a = near.port.start(keys(True), puncher(near.offer(), far.offer(), True))
    b = far.port.start(keys(False), puncher(far.offer(), near.offer(), False))
    one, two = await a.punched(), await b.punched()
    assert (one.address, two.address) == (far.udp.addresses[0], near.udp.addresses[0])
    assert one.udp is near.udp
    one.udp.send(b"\x3fhello", one.address)
    assert await arrived == b"\x3fhello"
    a.close()
    a.close()
    with pytest.raises(ClosedError):
        _ = a.way


async def test_blind_probes_come_from_sockets_of_their_own(ends: tuple[End, End]) -> None:
    near, far = ends
    hidden = Offer(NatClass.RANDOM, ("127.0.0.1", 9))
    wrong = Offer(NatClass.CONSISTENT, far.udp.addresses[0])
    # Nothing reaches the shared port of `near`: what finds the peer is one of its many sockets.
    near.port.close()
    near.udp.attach([0x11], lambda _: None)
    lonely = await UdpSocket.open("127.0.0.1")
    lonely_port = PunchPort(lonely)
    lonely.detach([0x11])
    a = lonely_port.start(keys(True), puncher(hidden, wrong, True))
    b = far.port.start(keys(False), puncher(far.offer(), hidden, False))
    way, other = await a.punched(), await b.punched()
    assert way.local > 0
    assert way.udp is not lonely
    assert way.udp.addresses[0][1] == other.address[1]
    lonely_port.close()
    lonely.close()


async def test_ways_that_are_kept_are_counted_apart(
    ends: tuple[End, End], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = ends
    monkeypatch.setattr("net.carriers.punching.MAX_KEPT", 1)
    monkeypatch.setattr("net.carriers.punching.MAX_PUNCHES", 1)
    kept = near.port.start(keys(True), puncher(near.offer(), far.offer(), True))
    far.port.start(keys(False), puncher(far.offer(), near.offer(), False))
    with pytest.raises(PunchError, match="1 punches run and 0 ways are kept"):
        near.port.start(keys(True, 9), puncher(near.offer(), far.offer(), True, 9))
    await kept.punched()
    with pytest.raises(PunchError, match="0 punches run and 1 ways are kept"):
        near.port.start(keys(True, 9), puncher(near.offer(), far.offer(), True, 9))
    kept.close()
    near.port.start(keys(True, 9), puncher(near.offer(), far.offer(), True, 9))


async def test_failures_are_errors_with_a_reason(ends: tuple[End, End]) -> None:
    near, _ = ends
    random = Offer(NatClass.RANDOM, ("192.0.2.1", 9))
    punch = near.port.start(keys(True), puncher(random, random, True))
    with pytest.raises(PunchError, match="another port") as caught:
        await punch.punched()
    assert caught.value.reason == "BOTH_RANDOM"
    assert caught.value.tried


async def test_closing_ends_a_wait(ends: tuple[End, End]) -> None:
    near, far = ends
    punch = near.port.start(keys(True), puncher(near.offer(), far.offer(), True))
    waiting = asyncio.ensure_future(punch.punched())
    await asyncio.sleep(0)
    near.port.close()
    with pytest.raises(ClosedError):
        await waiting
    near.udp.attach([0x11], lambda _: None)


async def test_punches_are_bounded_and_garbage_is_counted(ends: tuple[End, End]) -> None:
    near, far = ends
    for number in range(MAX_PUNCHES):
        near.port.start(keys(True, number), puncher(near.offer(), far.offer(), True, number))
    with pytest.raises(PunchError, match="limit") as caught:
        near.port.start(keys(True, 99), puncher(near.offer(), far.offer(), True, 99))
    assert caught.value.reason == BUSY
    drained = asyncio.Event()
    near.udp.attach([0x3F], lambda _: drained.set())
    for data in (b"\x11garbage", b"\x11" * 42, b"\x3f"):
        far.udp.send(data, near.udp.addresses[0])
    await drained.wait()
    assert near.udp.counters["punch malformed"] == 1
