from __future__ import annotations

import asyncio

import pytest

from net.addresses import RelayAddress
from net.carriers.base import Carrier
from net.carriers.memory import memory_pair
from net.errors import ClosedError, NetError, ProtocolError, RefusedError
from net.relay import client as client_module
from net.relay.client import MAX_ANSWERS, RelayClient
from net.relay.limits import RelayLimits
from net.relay.messages import Incoming, Limits, Message, Ready, Reserved, encode_message
from net.secure.opening import accept_stream, open_stream
from net.secure.stream import SecureStream
from tests.reference.relays import ADDRESS, RELAY, RelayBed, until
from tests.reference.wire import ALICE, BOB, EVE


async def test_who_does_not_wait_cannot_be_reached() -> None:
    bed = RelayBed()
    with pytest.raises(RefusedError, match=r"relay 192\.0\.2\.1:4000 refused: .* not wait at this"):
        await bed.client(ALICE).connect(ADDRESS, BOB.public_key)
    bed.close()


async def test_a_reservation_lasts_until_it_is_closed() -> None:
    bed = RelayBed()
    reservation = await bed.client(BOB).reserve(ADDRESS, lambda _: None)
    assert reservation.limits == RelayLimits().of_circuit
    reservation.close()
    await reservation.wait_closed()
    assert isinstance(reservation.error, ClosedError)
    await until(lambda: not bed.service.reservations)
    bed.close()


async def test_a_relay_that_stops_ends_its_reservations() -> None:
    bed = RelayBed()
    reservation = await bed.client(BOB).reserve(ADDRESS, lambda _: None)
    bed.close()
    await reservation.wait_closed()
    assert isinstance(reservation.error, NetError)


async def test_a_reserving_peer_may_decline() -> None:
    bed = RelayBed()
    await bed.client(BOB).reserve(ADDRESS, lambda _: None, allow=lambda key: key != EVE.public_key)
    with pytest.raises(RefusedError, match="the peer does not want to"):
        await bed.client(EVE).connect(ADDRESS, BOB.public_key)
    assert await bed.client(ALICE).connect(ADDRESS, BOB.public_key)
    bed.close()


async def test_limits_of_the_relay_reach_the_client() -> None:
    bed = RelayBed(RelayLimits(reservations=1, circuits=1))
    await bed.circuit()
    with pytest.raises(RefusedError, match="all 1 reservations are taken"):
        await bed.client(EVE).reserve(ADDRESS, lambda _: None)
    with pytest.raises(RefusedError, match="all 1 circuits are taken"):
        await bed.client(EVE).connect(ADDRESS, BOB.public_key)
    bed.close()


async def lying(*messages: Message, then: bytes = b"") -> tuple[RelayClient, list[SecureStream]]:
    """Return a client of a relay that says these messages whatever it is asked."""
    streams: list[SecureStream] = []

    async def dial(relay: RelayAddress) -> SecureStream:
        near, far = memory_pair()
        ours, theirs = await asyncio.gather(
            open_stream(near, ALICE, relay.public_key), accept_stream(far, RELAY)
        )
        streams.append(theirs)
        theirs.write(b"".join(map(encode_message, messages)) + then)
        return ours

    return RelayClient(dial), streams


async def test_a_relay_that_answers_nonsense_is_a_peer_at_fault() -> None:
    client, _ = await lying(Reserved(Limits(1, 1, 1, 1)))
    with pytest.raises(ProtocolError, match="answered with Reserved, not Ready"):
        await client.connect(ADDRESS, BOB.public_key)
    client, _ = await lying(Ready(Limits(1, 1, 1, 1)))
    with pytest.raises(ProtocolError, match="Ready is not for a client"):
        await client.reserve(ADDRESS, lambda _: None)
    client, _ = await lying(then=b"\xff\xff\xff\xff")
    with pytest.raises(NetError, match="limit 1024"):
        await client.connect(ADDRESS, BOB.public_key)


async def test_a_relay_cannot_pass_itself_off_as_the_peer() -> None:
    client, streams = await lying(Ready(Limits(1 << 30, 1 << 30, 3600, 180)))
    carrier = await client.connect(ADDRESS, BOB.public_key)
    with pytest.raises(NetError):
        await asyncio.gather(
            open_stream(carrier, ALICE, BOB.public_key), answer_as_oneself(streams[0])
        )


async def answer_as_oneself(stream: SecureStream) -> None:
    await stream.read(1)
    stream.abort()


async def test_a_relay_that_ends_without_a_word() -> None:
    client, streams = await lying()
    connecting = asyncio.ensure_future(client.connect(ADDRESS, BOB.public_key))
    await until(lambda: streams)
    streams[0].close()
    with pytest.raises(ClosedError, match="ended the stream without a word"):
        await connecting


async def test_a_flood_of_calls_by_the_relay_makes_few_streams() -> None:
    calls = [Incoming(bytes([number]) * 16, EVE.public_key) for number in range(200)]
    client, streams = await lying(Reserved(Limits(1, 1, 1, 1)), *calls)
    arrived: list[Carrier] = []
    reservation = await client.reserve(ADDRESS, arrived.append)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(streams) <= 1 + MAX_ANSWERS
    assert not arrived
    reservation.close()


async def test_answers_have_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_RATE", 2)
    bed = RelayBed()
    reservation = await bed.client(BOB).reserve(ADDRESS, lambda carrier: carrier.abort())
    loop = asyncio.get_running_loop()
    second = loop.time() // 1  # not any number: timers would see a jump, and close what is silent
    monkeypatch.setattr(loop, "time", lambda: second)
    for _ in range(2):
        await bed.client(ALICE).connect(ADDRESS, BOB.public_key)
    with pytest.raises(RefusedError, match="does not want to"):
        await bed.client(ALICE).connect(ADDRESS, BOB.public_key)
    monkeypatch.setattr(loop, "time", lambda: second + 1)
    await bed.client(ALICE).connect(ADDRESS, BOB.public_key)
    reservation.close()
    bed.close()


async def test_bytes_that_come_with_ready_are_the_other_ends() -> None:
    client, _ = await lying(Ready(Limits(1000, 1000, 3600, 180)), then=b"hello")
    carrier = await client.connect(ADDRESS, BOB.public_key)
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    class Taking:
        def data_received(self, data: bytes | bytearray | memoryview) -> None:
            received.set_result(bytes(data))

        def carrier_ended(self) -> None: ...
        def carrier_lost(self, error: Exception | None) -> None: ...
        def pause_writing(self) -> None: ...
        def resume_writing(self) -> None: ...

    carrier.start(Taking())
    assert await received == b"hello"
    carrier.abort()
