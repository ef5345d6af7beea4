"""What strangers and hostile peers can do to a QUIC port.

Cost it bounded memory and end their own connections: never raise, never end somebody
else's connection, never have it send more to a third party than three times what was sent.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter

import pytest

from net.addresses import Address
from net.carriers.quic import QuicCarrier, QuicPort
from net.carriers.quic_endpoint import HALF_OPEN_TIMEOUT, MAX_HALF_OPEN, MAX_UNPROVEN
from net.carriers.quic_link import LinkLost
from net.carriers.quic_packet import QUIC_BYTES
from net.carriers.segments import Burst
from net.carriers.udp import UdpSocket
from tests.reference.quic import FAR, NEAR, QuicWire, make_endpoint
from tests.reference.receivers import Recording

STRANGER = ("203.0.113.9", 999)


def first_flight(seed: int = 0) -> list[bytes]:
    end = make_endpoint(seed, accepting=False)
    end.connect(FAR, 1000.0)
    return [d for _, group in end.datagrams_to_send(1000.0) for d in group]


def noise(rng: random.Random) -> bytes:
    """A datagram that begins as QUIC's do."""
    data = bytearray(rng.randbytes(rng.choice((1, 9, 21, 60, 1199, 1200, 1400))))
    data[0] = rng.choice(QUIC_BYTES)
    if data[0] & 0x80 and len(data) > 20:
        data[1:5] = b"\x00\x00\x00\x01"
        data[5] = rng.choice((0, 8, 20, 21, 255))
    return bytes(data)


def test_random_datagrams_leave_nothing_behind() -> None:
    wire = QuicWire()
    rng = random.Random(1)
    for _ in range(3000):
        data = noise(rng)
        size = rng.choice((len(data), max(1, len(data) // 3)))
        wire.far.receive([Burst(data, size, STRANGER)], wire.now)
    assert wire.far.links == []
    assert not wire.far._half_open
    assert list(wire.far.datagrams_to_send(wire.now)) == []


@pytest.mark.parametrize("seed", range(6))
def test_mangled_packets_end_at_most_their_own_connection(seed: int) -> None:
    wire = QuicWire()
    rng = random.Random(seed)
    bystander = wire.connect()

    def mangle(data: bytes) -> bytes:
        if rng.random() < 0.7:
            return data
        mangled = bytearray(data)
        for _ in range(rng.choice((1, 1, 5, 100))):
            mangled[rng.randrange(len(mangled))] = rng.randrange(256)
        return bytes(mangled[: rng.randrange(len(mangled)) + 1] if rng.random() < 0.2 else mangled)

    wire.mangle = mangle
    for _ in range(5):
        link = wire.near.connect(FAR, wire.now)
        wire.pass_time(2.0)
        link.release()
        link.send(rng.randbytes(30_000))
        wire.near.touch(link)
        wire.pass_time(3.0)
    wire.mangle = lambda data: data
    ours, theirs = bystander
    ours.send(b"still here")
    wire.near.touch(ours)
    wire.pass_time(5.0)
    assert wire.received(FAR, theirs) == b"still here"


def test_a_flight_from_forged_addresses_draws_little_and_holds_little() -> None:
    wire = QuicWire()
    flight = first_flight()
    got: Counter[Address] = Counter()
    for number in range(2000):
        victim = (f"198.18.{number // 250}.{number % 250 + 1}", 53)
        # A fresh connection id each: else they would all belong to one connection.
        cid = number.to_bytes(8, "big")
        forged = flight[0][:6] + cid + flight[0][14:]
        honest = first_flight(number % 200)[0] if number < 2 * MAX_UNPROVEN else forged
        wire.far.receive([Burst(honest, 1200, victim)], wire.now)
        for to, group in wire.far.datagrams_to_send(wire.now):
            got[to] += sum(map(len, group))
    assert len(wire.far.links) == MAX_UNPROVEN
    for _ in range(int(HALF_OPEN_TIMEOUT) + 5):
        wire.now += 1.0
        wire.far.handle_timeout(wire.now)
        for to, group in wire.far.datagrams_to_send(wire.now):
            got[to] += sum(map(len, group))
    assert max(got.values()) <= 3 * 1200
    assert wire.far.links == []


def test_a_first_flight_sent_again_opens_nothing_more() -> None:
    wire = QuicWire()
    seen: list[bytes] = []
    wire.mangle = lambda data: seen.append(data) or data  # type: ignore[func-returns-value]  # None
    ours, theirs = wire.connect()
    for data in seen:
        wire.far.receive([Burst(data, len(data), NEAR)], wire.now)
        wire.near.receive([Burst(data, len(data), FAR)], wire.now)
    wire.run()
    assert len(wire.far.links) == 1
    ours.send(b"x")
    wire.near.touch(ours)
    wire.pass_time(1.0)
    assert wire.received(FAR, theirs) == b"x"


def test_half_open_connections_have_a_limit_and_an_end() -> None:
    wire = QuicWire()
    refused = 0
    for number in range(MAX_HALF_OPEN + 60):
        client = make_endpoint(number % 250, accepting=False)
        client.connect(FAR, wire.now)
        # Each from another place, willing to prove it, and gone before the handshake is done.
        source = (f"10.{number % 250}.{number // 250}.1", 4000)
        for _ in range(2):
            for _, group in client.datagrams_to_send(wire.now):
                wire.far.receive([Burst(group[0], len(group[0]), source)], wire.now)
            for to, group in wire.far.datagrams_to_send(wire.now):
                if to == source and len(group[0]) < 200:
                    client.receive([Burst(group[0], len(group[0]), FAR)], wire.now)
        assert len(wire.far.links) <= MAX_HALF_OPEN
        refused = wire.far.counters["half-open limit"]
    assert refused
    wire.pass_time(HALF_OPEN_TIMEOUT + 5, step=1.0)
    assert wire.far.links == []
    assert len(wire.connect()) == 2


def test_a_client_that_never_sends_its_first_byte_is_given_up() -> None:
    wire = QuicWire()
    link = wire.near.connect(FAR, wire.now)
    link.connection.send_stream_data = lambda *_, **__: None  # type: ignore[method-assign]  # mute
    wire.pass_time(HALF_OPEN_TIMEOUT + 3, step=1.0)
    assert isinstance(wire.told(NEAR, link)[-1], LinkLost)
    assert wire.far.counters["handshakes given up"] == 1


def test_a_captured_packet_does_not_turn_the_stream_on_a_third_party() -> None:
    wire = QuicWire()
    ours, theirs = wire.connect()
    wire.pass_time(1.0)
    sent: Counter[Address] = Counter()
    theirs.send(bytes(2_000_000))
    ours.send(b"captured on its way, and sent on from elsewhere")
    wire.near.touch(ours)
    captured = [d for _, group in wire.near.datagrams_to_send(wire.now) for d in group]
    for data in captured:
        wire.far.receive([Burst(data, len(data), STRANGER)], wire.now)
    wire.far.touch(theirs)
    for _ in range(100):
        wire.now += 0.05
        wire.far.handle_timeout(wire.now)
        for to, group in wire.far.datagrams_to_send(wire.now):
            sent[to] += sum(map(len, group))
    assert sent[STRANGER] <= 3 * sum(map(len, captured))
    assert theirs.path.address == NEAR
    wire.pass_time(30.0)
    assert len(wire.received(NEAR, ours)) == 2_000_000


async def test_a_flood_does_not_stop_a_transfer() -> None:
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[QuicCarrier] = loop.create_future()
    near, far = [await UdpSocket.open("127.0.0.1") for _ in range(2)]
    ports = QuicPort(near), QuicPort(far, accepted.set_result)
    carrier = await ports[0].connect(far.addresses[0])
    left, right = Recording(), Recording()
    carrier.start(left)
    (await accepted).start(right)
    rng = random.Random(4)
    flight = first_flight()[0]
    junk = [noise(rng) for _ in range(50)]
    junk += [flight[:6] + rng.randbytes(8) + flight[14:] for _ in range(50)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        for round_ in range(30):
            for data in junk:
                attacker.sendto(data, far.addresses[0])
            carrier.write(bytes(65_536))
            await right.size(round_ * 32_768)
    await right.size(30 * 65_536)
    assert left.calls.count("lost") == right.calls.count("lost") == 0
    assert ports[1].counters["no connection"] > 0
    for thing in (*ports, near, far):
        thing.close()


async def test_two_hundred_at_once_all_come_in() -> None:
    arrived: list[QuicCarrier] = []
    far = await UdpSocket.open("127.0.0.1")
    server = QuicPort(far, arrived.append)
    udps = [await UdpSocket.open("127.0.0.1") for _ in range(4)]
    ports = [QuicPort(udp) for udp in udps]
    where = far.addresses[0]
    made = await asyncio.gather(*(port.connect(where, timeout=60) for port in ports * 50))
    assert len(made) == 200
    assert server.counters["retries"] > 0
    for port in (*ports, server):
        port.close()
    for udp in (far, *udps):
        udp.close()
