"""Agreeing on TCP beside QUIC, with real sockets; one end is played by hand where it is told of.

On loopback there is no router that drops a SYN, so two ends refuse each other:
tests/natbed/test_crossing.py has the routers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from net.addresses import Address
from net.carriers import Carrier, simultaneous
from net.carriers.tcp_listener import TcpListener, listen_tcp
from net.errors import ClosedError, ConnectError, DeadlineError, NetError, ProtocolError
from net.punch.messages import PORTS_SIZE, Ports, decode_ports, encode_ports
from net.reaching.admission import owner_of
from net.reaching.crossing import MAX_CROSSINGS, MAX_SHARE, PROTOCOL, Crossings
from net.secure.opening import accept_stream, open_stream
from net.secure.stream import SecureStream
from tests.reference.quic import quic_pair
from tests.reference.relays import streams_between, until
from tests.reference.wire import ALICE, BOB


class Ends:
    """Two ends of a stream by QUIC, a listener on the far host, and who came there."""

    def __init__(self, near: SecureStream, far: SecureStream, listener: TcpListener) -> None:
        assert near.address is not None
        assert far.address is not None
        self.near, self.far = near, far
        self.near_udp, self.far_udp = far.address[1], near.address[1]
        self.listener = listener
        self.tcp = listener.addresses[0][1]
        self.came: list[Carrier] = []
        self.crossings = Crossings([("127.0.0.1", self.near_udp)])

    async def tell(self, ports: Ports) -> Ports:
        """Say something as the far end; return what the near one says."""
        self.far.write(encode_ports(ports))
        return decode_ports(await self.far.readexactly(PORTS_SIZE))

    async def fails(self, kind: type[NetError], words: str) -> None:
        """Try at the near end, in vain."""
        with pytest.raises(kind, match=words):
            await self.crossings.cross(self.near)
        assert self.near.is_closing()
        assert self.came == []


@asynccontextmanager
async def two_ends() -> AsyncIterator[Ends]:
    came: list[Carrier] = []
    async with quic_pair("127.0.0.1") as (client, server):
        near, far = await asyncio.gather(
            open_stream(client, ALICE, BOB.public_key, protocol=PROTOCOL),
            accept_stream(server, BOB),
        )
        listener = await listen_tcp(came.append, "127.0.0.1")
        ends = Ends(near, far, listener)
        ends.came = came
        yield ends
        listener.close()
        near.abort()
        far.abort()
        for carrier in came:
            carrier.abort()


@pytest.fixture
async def ends(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ends]:
    monkeypatch.setattr(simultaneous, "MIN_PAUSE", 0.0)
    monkeypatch.setattr("net.reaching.crossing.HEAD_START", 0.0)
    async with two_ends() as made:
        yield made


async def test_who_says_his_ports_is_connected_to(ends: Ends) -> None:
    crossing = asyncio.ensure_future(ends.crossings.cross(ends.near))
    told = await ends.tell(Ports(ends.far_udp, ends.tcp))
    carrier = await crossing
    await until(lambda: ends.came)
    assert told.udp == ends.near_udp
    assert ends.came[0].address == ("127.0.0.1", told.tcp)
    assert carrier.description == f"punched tcp 127.0.0.1:{ends.tcp}"
    assert ends.near.is_closing()
    carrier.abort()


async def test_two_that_let_everybody_in_refuse_each_other(ends: Ends) -> None:
    """Nothing holds a SYN back until the other end has sent its own; this is what TCP is for."""
    far = Crossings([("127.0.0.1", ends.far_udp)])
    outcomes = await asyncio.gather(
        ends.crossings.cross(ends.near), far.cross(ends.far), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [ConnectError, ConnectError]


async def test_a_changed_udp_port_is_reason_enough_not_to_try(ends: Ends) -> None:
    ends.far.write(encode_ports(Ports(ends.far_udp - 1, ends.tcp)))
    await ends.fails(ConnectError, f"router has changed udp port {ends.far_udp - 1}")


async def test_ports_of_services_are_not_connected_to(ends: Ends) -> None:
    ends.far.write(encode_ports(Ports(ends.far_udp, 1023)))
    await ends.fails(ProtocolError, "tcp port 1023, less than 1024")


async def test_an_end_that_does_not_want_to_hangs_up(ends: Ends) -> None:
    ends.far.write(b"\x00")
    ends.far.close()
    await ends.fails(ClosedError, "does not try")


async def test_an_end_that_says_nothing_is_not_waited_for(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("net.reaching.crossing.AGREEMENT", 0.0)
    await ends.fails(DeadlineError, "not said its ports")


async def test_a_carrier_without_an_address_has_no_tcp_beside_it() -> None:
    near, far = await streams_between(ALICE, BOB)
    assert near.address is None
    with pytest.raises(ConnectError, match="no tcp beside memory"):
        await Crossings([("127.0.0.1", 4000)]).cross(near)
    far.abort()


async def test_an_address_of_a_family_that_we_do_not_have(ends: Ends) -> None:
    ends.crossings = Crossings([("::1", ends.near_udp)])
    await ends.fails(ConnectError, "no tcp beside quic")


async def test_one_at_a_time_with_each_peer_and_then_a_rest(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("net.reaching.crossing.REST", 0.0)
    first = asyncio.ensure_future(ends.crossings.cross(ends.near))
    await ends.far.readexactly(PORTS_SIZE)
    async with two_ends() as again:
        again.crossings = ends.crossings
        await again.fails(ConnectError, "being tried")
        with pytest.raises(asyncio.IncompleteReadError):
            await again.far.readexactly(PORTS_SIZE)
    assert list(ends.crossings._tried) == [(BOB.public_key, True)]
    ends.far.close()
    with pytest.raises(ClosedError):
        await first
    await until(lambda: not ends.crossings._tried)


def asked(number: int, owner: bytes = b"") -> dict[tuple[bytes, bool], bytes]:
    """Return what is remembered of proposals of so many peers."""
    return {(bytes([n]), False): owner or bytes([n]) for n in range(number)}


async def test_so_many_at_a_time(ends: Ends) -> None:
    """Those of others are refused; ours wait."""
    ends.crossings._tried = asked(MAX_CROSSINGS)
    with pytest.raises(ConnectError, match=f"or {MAX_CROSSINGS} in all"):
        await ends.crossings.cross(ends.far)
    async with AsyncExitStack() as stack:
        for number in range(MAX_CROSSINGS):
            await stack.enter_async_context(ends.crossings.turn(bytes([number])))
        another = ends.crossings.turn(b"another")
        waiting = asyncio.ensure_future(another.__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting
    await another.__aexit__(None, None, None)


async def test_so_many_of_one_host(ends: Ends) -> None:
    ends.crossings._tried = asked(MAX_SHARE, b"somebody else")
    crossing = asyncio.ensure_future(ends.crossings.cross(ends.far))
    await ends.near.readexactly(PORTS_SIZE)
    crossing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await crossing
    async with two_ends() as again:
        ends.crossings._tried = asked(MAX_SHARE, owner_of(again.far.address))
        with pytest.raises(ConnectError, match=f"{MAX_SHARE} of its host's"):
            await ends.crossings.cross(again.far)


async def test_what_strangers_propose_leaves_room_for_our_own(ends: Ends) -> None:
    ends.crossings._tried = asked(MAX_CROSSINGS)
    crossing = asyncio.ensure_future(ends.crossings.cross(ends.near))
    await ends.tell(Ports(ends.far_udp, ends.tcp))
    (await crossing).abort()
    await until(lambda: ends.came)


async def test_streams_to_one_peer_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.reaching.crossing.REST", 0.01)
    crossings, order = Crossings([]), list[str]()

    async def one(name: str, public_key: bytes) -> None:
        async with crossings.turn(public_key):
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    async with asyncio.TaskGroup() as group:
        for name, key in (("1", ALICE), ("2", ALICE), ("3", ALICE), ("other", BOB)):
            group.create_task(one(name, key.public_key))
    assert order[:2] == ["1 begins", "other begins"]
    assert [what for what in order if "other" not in what] == [
        f"{name} {what}" for name in "123" for what in ("begins", "ends")
    ]
    await until(lambda: not crossings._turns)


async def test_who_is_cancelled_in_the_line_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.reaching.crossing.REST", 0.0)
    crossings = Crossings([])

    async def one() -> None:
        async with crossings.turn(ALICE.public_key):
            await asyncio.Event().wait()

    first, second = asyncio.create_task(one()), asyncio.create_task(one())
    await asyncio.sleep(0)
    for task in (second, first):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    async with crossings.turn(ALICE.public_key):
        pass


async def test_a_cancelled_attempt_leaves_nothing_open(ends: Ends) -> None:
    crossing = asyncio.ensure_future(ends.crossings.cross(ends.near))
    told = decode_ports(await ends.far.readexactly(PORTS_SIZE))
    crossing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await crossing
    here: Address = ("127.0.0.1", told.tcp)
    listener = await listen_tcp(lambda carrier: carrier.abort(), *here)  # its port is free again
    listener.close()
    assert ends.near.is_closing()
