"""Two nodes' rendezvous on real sockets; the introducer is the other one's own method."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from feedlog import KeyPair
from net.carriers import Carrier
from net.carriers.punching import BUSY, MAX_PUNCHES, PunchPort
from net.carriers.quic import QuicPort
from net.carriers.udp import UdpSocket
from net.errors import DeadlineError, HandshakeError, NetError, PunchError
from net.punch.classify import NatClass
from net.punch.introduction import Introduction
from net.punch.messages import Offer
from net.reaching.rendezvous import MAX_ASKED, MAX_EACH, Rendezvous
from net.secure.opening import accept_stream, open_stream
from tests.reference.wire import ALICE, BOB, EVE

TOPIC = bytes(20)


class Place:
    """One node's UDP port with all that a rendezvous needs; it also introduces to itself."""

    def __init__(self, key_pair: KeyPair, udp: UdpSocket) -> None:
        self.key_pair = key_pair
        self.udp = udp
        self.offer = Offer(NatClass.OPEN, udp.addresses[0])
        self.arrived: asyncio.Queue[Carrier] = asyncio.Queue()
        self.banned: set[bytes] = set()
        self.punching = PunchPort(udp)
        self.quic = QuicPort(udp, self.came)
        self.rendezvous = Rendezvous(
            key_pair,
            self.punching,
            self.quic,
            offer=lambda: self.offer,
            allow=self.allow,
            accepted=self.arrived.put_nowait,
        )

    def came(self, carrier: Carrier) -> None:
        self.rendezvous.arrived(carrier)

    async def allow(self, key: bytes) -> bool:
        await asyncio.sleep(0)
        return key not in self.banned

    async def introduce(
        self,
        topic: bytes,
        public_key: bytes,
        message: bytes,
        *,
        timeout: float = 5.0,  # noqa: ASYNC109 - the protocol's signature
    ) -> bytes:
        assert (topic, public_key) == (TOPIC, self.key_pair.public_key)
        answer = await self.rendezvous.asked(message)
        if answer is None:
            raise DeadlineError(f"silent for {timeout:g} s")
        return answer

    @property
    def punches(self) -> int:
        return len(self.punching._punches)

    async def close(self) -> None:
        await self.rendezvous.close()
        self.quic.close()
        self.punching.close()
        self.udp.close()


@pytest.fixture
async def places() -> AsyncIterator[tuple[Place, Place]]:
    async with AsyncExitStack() as stack:
        made = []
        for key_pair in (ALICE, BOB):
            place = Place(key_pair, await UdpSocket.open("127.0.0.1"))
            stack.push_async_callback(place.close)
            made.append(place)
        yield made[0], made[1]


async def talk(near: Place, far: Place) -> tuple[str, str]:
    """Connect, carry bytes both ways over what was punched, and hang up."""
    reached = await near.rendezvous.connect(far, TOPIC, far.key_pair.public_key)
    come = await far.arrived.get()
    here, there = await asyncio.gather(
        open_stream(reached, near.key_pair, far.key_pair.public_key),
        accept_stream(come, far.key_pair),
    )
    here.write(b"ping")
    assert await there.readexactly(4) == b"ping"
    there.write(b"pong")
    assert await here.readexactly(4) == b"pong"
    assert near.punches == far.punches == 1
    here.close()
    there.close()
    await asyncio.gather(here.wait_closed(), there.wait_closed())
    while near.punches or far.punches:  # noqa: ASYNC110 - they end in a turn or two
        await asyncio.sleep(0)
    return here.description, there.description


async def test_a_hole_carries_a_stream_and_is_closed_after_it(places: tuple[Place, Place]) -> None:
    near, far = places
    assert await talk(near, far) == (
        f"punched quic 127.0.0.1:{far.udp.addresses[0][1]}",
        f"punched quic 127.0.0.1:{near.udp.addresses[0][1]}",
    )
    await talk(far, near)


@pytest.mark.parametrize("hidden", ["initiator", "responder"])
async def test_a_way_from_a_socket_of_its_own(places: tuple[Place, Place], hidden: str) -> None:
    near, far = places
    behind = near if hidden == "initiator" else far
    # Its shared port hears nothing: what meets the peer is one of its many sockets.
    behind.offer = Offer(NatClass.RANDOM, ("127.0.0.1", 9))
    behind.udp.detach([0x11])
    behind.udp.attach([0x11], lambda _: None)
    described = await talk(near, far)
    seen = described[1 if hidden == "initiator" else 0]
    assert seen.startswith("punched quic 127.0.0.1:")
    assert not seen.endswith(f":{behind.udp.addresses[0][1]}")


async def test_who_may_not_come_gets_no_answer_and_costs_nothing(
    places: tuple[Place, Place],
) -> None:
    near, far = places
    far.banned.add(ALICE.public_key)
    with pytest.raises(DeadlineError):
        await near.rendezvous.connect(far, TOPIC, BOB.public_key)
    assert near.punches == far.punches == 0
    assert far.rendezvous.counters == {"not allowed": 1}


async def test_two_random_routers_are_an_error_with_that_reason(
    places: tuple[Place, Place],
) -> None:
    near, far = places
    near.offer = far.offer = Offer(NatClass.RANDOM, ("192.0.2.1", 9))
    with pytest.raises(PunchError) as caught:
        await near.rendezvous.connect(far, TOPIC, BOB.public_key)
    assert caught.value.reason == "BOTH_RANDOM"
    await asyncio.sleep(0)
    assert near.punches == far.punches == 0


async def test_garbage_is_met_with_silence(places: tuple[Place, Place]) -> None:
    _, far = places
    for message in (
        b"",
        b"garbage",
        bytes(512),
        Introduction.ask(ALICE, EVE.public_key, far.offer).message,
    ):
        assert await far.rendezvous.asked(message) is None
    assert far.rendezvous.counters == {"malformed": 4}


async def test_one_key_has_so_many_and_all_have_so_many(places: tuple[Place, Place]) -> None:
    near, far = places

    async def ask(key_pair: KeyPair) -> bytes | None:
        nowhere = Offer(NatClass.OPEN, ("192.0.2.1", 9))
        message = Introduction.ask(key_pair, BOB.public_key, nowhere).message
        return await far.rendezvous.asked(message)

    answers = [await ask(ALICE) for _ in range(MAX_EACH + 1)]
    assert [answer is None for answer in answers] == [False] * MAX_EACH + [True]
    while far.punches < min(MAX_ASKED, MAX_PUNCHES):
        far.rendezvous._looked_into = 0
        assert await ask(KeyPair.generate()) is not None
    assert await ask(KeyPair.generate()) is None
    assert far.rendezvous.counters["too many"] == 2
    assert near.punches == 0


async def test_only_so_many_a_second_are_looked_into(
    places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = places
    monkeypatch.setattr("net.reaching.rendezvous.MAX_RATE", 0)
    message = Introduction.ask(ALICE, BOB.public_key, near.offer).message
    assert await far.rendezvous.asked(message) is None
    assert far.rendezvous.counters == {"rate": 1}


async def test_too_many_punches_of_our_own_are_busy(places: tuple[Place, Place]) -> None:
    near, far = places
    far.offer = Offer(NatClass.OPEN, ("192.0.2.1", 9))
    waiting = []
    for _ in range(MAX_PUNCHES):
        key_pair = KeyPair.generate()
        made = Introduction.ask(near.key_pair, key_pair.public_key, near.offer)
        other = Introduction.asked(key_pair, made.message)
        other.answer(far.offer)
        made.finish(other.message)
        waiting.append(near.rendezvous._start(made))
    with pytest.raises(PunchError) as caught:
        await near.rendezvous.connect(far, TOPIC, BOB.public_key)
    assert caught.value.reason == BUSY
    assert len(waiting) == near.punches


async def test_an_answer_of_somebody_else_is_none(places: tuple[Place, Place]) -> None:
    near, far = places
    far.rendezvous._key_pair = EVE
    with pytest.raises(NetError) as caught:
        await near.rendezvous.connect(far, TOPIC, BOB.public_key)
    assert isinstance(caught.value, HandshakeError | DeadlineError)


async def test_a_cancelled_connect_leaves_no_punch(places: tuple[Place, Place]) -> None:
    near, far = places
    far.offer = Offer(NatClass.OPEN, ("192.0.2.1", 9))
    dialling = asyncio.ensure_future(near.rendezvous.connect(far, TOPIC, BOB.public_key))
    while not near.punches:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0)
    dialling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialling
    await asyncio.sleep(0)
    assert near.punches == 0
