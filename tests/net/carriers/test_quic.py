"""QUIC carriers on real sockets; what every carrier must do is in test_conformance.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from net.addresses import Address, parse_address
from net.carriers.quic import QuicCarrier, QuicPort
from net.carriers.quic_connection import WINDOW
from net.carriers.segments import SegmentingSocket
from net.carriers.udp import UdpSocket
from net.errors import ClosedError, ConnectError
from net.secure.opening import accept_stream, open_stream
from tests.reference.files import no_file_left
from tests.reference.receivers import Recording
from tests.reference.wire import ALICE, BOB

LOOPBACK = "127.0.0.1"


class Host:
    """A UDP port that speaks QUIC both ways."""

    def __init__(self, udp: UdpSocket) -> None:
        self.udp = udp
        self.arrived: asyncio.Queue[QuicCarrier] = asyncio.Queue()
        self.port = QuicPort(udp, self.arrived.put_nowait)
        self.address = udp.addresses[0]

    def close(self) -> None:
        self.port.close()
        self.udp.close()


@pytest.fixture
async def hosts() -> AsyncIterator[list[Host]]:
    made = [Host(await UdpSocket.open(LOOPBACK)) for _ in range(3)]
    yield made
    for host in made:
        host.close()


async def test_a_connection_needs_no_file(hosts: list[Host]) -> None:
    near, far, _ = hosts
    with no_file_left():
        ours = await near.port.connect(far.address)
        theirs = await far.arrived.get()
        near.port._look_around()
    for carrier in (ours, theirs):
        carrier.abort()


class Router:
    """Carries datagrams between a client and a server, from a port that it changes at will."""

    def __init__(self, server: Address) -> None:
        self.server = server
        self.client: Address | None = None
        self.outside: UdpSocket | None = None

    async def open(self) -> None:
        self.inside = await UdpSocket.open(LOOPBACK)
        self.inside.attach(range(256), self._from_client)
        await self.change_port()

    async def change_port(self) -> None:
        old, self.outside = self.outside, await UdpSocket.open(LOOPBACK)
        self.outside.attach(range(256), self._from_server)
        if old is not None:
            old.close()

    def _from_client(self, datagrams: object) -> None:
        assert isinstance(datagrams, list)
        for data, address in datagrams:
            self.client = address
            assert self.outside is not None
            self.outside.send(data, self.server)

    def _from_server(self, datagrams: object) -> None:
        assert isinstance(datagrams, list)
        for data, _ in datagrams:
            assert self.client is not None
            self.inside.send(data, self.client)

    def close(self) -> None:
        self.inside.close()
        assert self.outside is not None
        self.outside.close()


async def test_one_port_is_client_and_server_of_several_at_once(hosts: list[Host]) -> None:
    pairs: list[tuple[QuicCarrier, QuicCarrier]] = []
    for client in hosts:
        for server in hosts:
            if client is not server:
                near = await client.port.connect(server.address)
                pairs.append((near, await server.arrived.get()))
    ends = []
    for number, (near, far) in enumerate(pairs):
        left, right = Recording(), Recording()
        near.start(left)
        far.start(right)
        near.write(b"to %d" % number)
        far.write(b"from %d" % number)
        ends.append((left, right))
        assert near.binding == far.binding
    for number, (left, right) in enumerate(ends):
        await right.size(4)
        await left.size(6)
        assert bytes(right.received) == b"to %d" % number
        assert bytes(left.received) == b"from %d" % number
    assert len({near.binding for near, _ in pairs}) == 3


async def test_a_stream_is_bound_to_the_certificate(hosts: list[Host]) -> None:
    near = await hosts[0].port.connect(hosts[1].address)
    far = await hosts[1].arrived.get()
    ours, theirs = await asyncio.gather(
        open_stream(near, ALICE, BOB.public_key), accept_stream(far, BOB)
    )
    ours.write(b"hello")
    assert await theirs.read(5) == b"hello"
    assert ours.description == f"quic 127.0.0.1:{hosts[1].address[1]}"
    near = await hosts[0].port.connect(hosts[1].address)
    far = await hosts[1].arrived.get()
    near.binding = bytes(32)  # as a man in the middle with a certificate of his own would have it
    results = await asyncio.gather(
        open_stream(near, ALICE, BOB.public_key),
        accept_stream(far, BOB),
        return_exceptions=True,
    )
    assert all(isinstance(result, Exception) for result in results)
    ours.abort()
    theirs.abort()


async def test_other_protocols_keep_their_datagrams(hosts: list[Host]) -> None:
    got: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    hosts[1].udp.attach(range(0x10, 0x11), lambda share: got.set_result(list(share)))
    near = await hosts[0].port.connect(hosts[1].address)
    hosts[0].udp.send(b"\x10dht", hosts[1].address)
    assert await got == [(b"\x10dht", hosts[0].address)]
    near.abort()


async def test_a_router_that_changes_the_port_is_not_noticed(hosts: list[Host]) -> None:
    client, server, _ = hosts
    router = Router(server.address)
    await router.open()
    near = await client.port.connect(router.inside.addresses[0])
    far = await server.arrived.get()
    left, right = Recording(), Recording()
    near.start(left)
    far.start(right)
    seen = set()
    for round_ in range(1, 7):
        near.write(bytes(200_000))
        await right.size(200_000 * round_)
        far.write(b"x")
        await left.size(round_)
        seen.add(far.description)
        lanes = set(server.udp._lanes)
        await router.change_port()
    assert len(seen) == 6
    assert lanes < {
        parse_address(one.removeprefix("quic ")) for one in seen
    }  # one, and none before
    assert len(lanes) == 1
    assert (left.calls, right.calls) == ([], [])
    near.abort()
    await left.call("lost")
    assert not client.udp._lanes
    router.close()


async def test_a_reader_that_stops_holds_no_more_than_the_window(hosts: list[Host]) -> None:
    near = await hosts[0].port.connect(hosts[1].address)
    far = await hosts[1].arrived.get()
    left, right = Recording(), Recording()
    near.start(left)
    far.start(right)
    far.pause_reading()
    written = 0
    full = False
    while not full or written < WINDOW or near._link.connection.in_flight:
        full = left.calls.count("pause") > left.calls.count("resume")
        if not full:
            near.write(bytes(65_536))
            written += 65_536
        await asyncio.sleep(0)
    assert WINDOW < written <= WINDOW + (1 << 20)
    assert right.received == b""
    assert far._link._unread == 0
    far.resume_reading()
    await right.size(written)


async def test_a_full_socket_stops_the_connection_and_not_the_data(
    hosts: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    near = await hosts[0].port.connect(hosts[1].address)
    far = await hosts[1].arrived.get()
    left, right = Recording(), Recording()
    near.start(left)
    far.start(right)
    send = SegmentingSocket.send
    turn = 0

    def sometimes(self: SegmentingSocket, datagrams: list[bytes], address: Address) -> int:
        nonlocal turn
        turn += 1
        if turn % 3 == 0:
            raise BlockingIOError
        return send(self, datagrams, address)

    monkeypatch.setattr(SegmentingSocket, "send", sometimes)
    for _ in range(30):
        near.write(bytes(65_536))
        await asyncio.sleep(0)
    await right.size(30 * 65_536)
    near.abort()
    far.abort()


async def test_nobody_there_is_a_clear_error(hosts: list[Host]) -> None:
    silent = await UdpSocket.open(LOOPBACK)
    where = f"quic 127.0.0.1:{silent.addresses[0][1]}"
    with pytest.raises(ConnectError, match=rf"{where}: no answer in 0\.05 s") as caught:
        await hosts[0].port.connect(silent.addresses[0], timeout=0.05)
    assert caught.value.tried == (where,)
    dialling = asyncio.ensure_future(hosts[0].port.connect(silent.addresses[0]))
    await asyncio.sleep(0)
    dialling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialling
    assert not hosts[0].port._connecting
    silent.close()


async def test_closing_the_port_ends_what_is_on_it(hosts: list[Host]) -> None:
    near = await hosts[0].port.connect(hosts[1].address)
    far = await hosts[1].arrived.get()
    silent = await UdpSocket.open(LOOPBACK)
    dialling = asyncio.ensure_future(hosts[0].port.connect(silent.addresses[0]))
    await asyncio.sleep(0)
    left, right = Recording(), Recording()
    near.start(left)
    far.start(right)
    hosts[0].port.close()
    hosts[0].port.close()
    await right.call("lost")
    assert isinstance(right.error, ConnectionResetError)
    assert left.calls == ["lost"]
    with pytest.raises(ConnectError, match="given up"):
        await dialling
    with pytest.raises(ClosedError):
        await hosts[0].port.connect(hosts[1].address)
    near.write(b"nobody reads this")
    silent.close()


async def test_a_port_that_accepts_nobody_can_still_connect(hosts: list[Host]) -> None:
    udp = await UdpSocket.open(LOOPBACK)
    port = QuicPort(udp)
    near = await port.connect(hosts[0].address)
    with pytest.raises(ConnectError):
        await hosts[0].port.connect(udp.addresses[0], timeout=0.05)
    assert port.counters["no connection"]
    near.abort()
    port.close()
    udp.close()


async def test_a_carrier_lost_before_start_is_told_at_start(hosts: list[Host]) -> None:
    near = await hosts[0].port.connect(hosts[1].address)
    far = await hosts[1].arrived.get()
    near.abort()
    async with asyncio.timeout(10):
        while far._lost is None:  # noqa: ASYNC110 - nothing tells: that is what is tested
            await asyncio.sleep(0)
    seen = Recording()
    far.start(seen)
    await seen.call("lost")
    assert isinstance(seen.error, ConnectionResetError)
