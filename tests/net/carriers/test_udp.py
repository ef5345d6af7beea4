"""One UDP port for several protocols, on real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import pytest

from net.addresses import Address
from net.carriers.segments import Burst, SegmentingSocket
from net.carriers.udp import MAX_DRAIN, MAX_WAITING, UdpSocket, source_host
from net.errors import ListenError

LOOPBACK = "127.0.0.1"


class Inbox:
    def __init__(self) -> None:
        self.batches: list[list[tuple[bytes, Address]]] = []
        self.arrived = asyncio.Event()

    def __call__(self, datagrams: Sequence[tuple[bytes, Address]]) -> None:
        self.batches.append(list(datagrams))
        self.arrived.set()

    async def wait(self, count: int) -> list[tuple[bytes, Address]]:
        while len(together := [d for batch in self.batches for d in batch]) < count:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 10)
        return together


async def test_protocols_are_told_apart_by_the_first_byte() -> None:
    port = await UdpSocket.open(LOOPBACK)
    other = await UdpSocket.open(LOOPBACK)
    low, high = Inbox(), Inbox()
    port.attach(range(0x10, 0x20), low)
    port.attach(range(0x40, 0x80), high)
    for data in (b"\x10a", b"\x45b", b"\x00nobody", b"", b"\x1fc"):
        other.send(data, port.addresses[0])
    sender = other.addresses[0]
    assert await low.wait(2) == [(b"\x10a", sender), (b"\x1fc", sender)]
    assert await high.wait(1) == [(b"\x45b", sender)]
    assert port.counters == {"no protocol": 2}
    port.close()
    other.close()


async def test_many_datagrams_are_drained_in_one_wake_up() -> None:
    port = await UdpSocket.open(LOOPBACK)
    other = await UdpSocket.open(LOOPBACK)
    inbox = Inbox()
    port.attach(range(256), inbox)
    for n in range(MAX_DRAIN + 10):
        other.send(bytes([n]), port.addresses[0])
    assert [data[0] for data, _ in await inbox.wait(MAX_DRAIN + 10)] == list(range(MAX_DRAIN + 10))
    assert len(inbox.batches[0]) == MAX_DRAIN
    port.close()
    other.close()


@pytest.mark.parametrize("offload", [True, False])
async def test_a_long_run_of_datagrams_arrives_whole(offload: bool) -> None:
    port = await UdpSocket.open(LOOPBACK, offload=offload)
    other = await UdpSocket.open(LOOPBACK, offload=offload)
    bursts: list[Burst] = []
    done = asyncio.Event()

    def received(share: Sequence[Burst]) -> None:
        bursts.extend(share)
        if sum(len(burst.data) for burst in bursts) >= 60 * 1200 + 3:
            done.set()

    port.attach_bursts(range(0x40, 0x80), received)
    sent = [bytes([0x40 + n % 8]) * 1200 for n in range(60)] + [b"\x40ab"]
    other.send_many(sent, port.addresses[0])
    await done.wait()
    assert [d for burst in bursts for d in burst.datagrams()] == sent
    port.close()
    other.close()


async def test_protocols_mixed_in_one_burst_are_told_apart() -> None:
    port = await UdpSocket.open(LOOPBACK)
    other = await UdpSocket.open(LOOPBACK)
    low, high = Inbox(), Inbox()
    port.attach(range(0x10, 0x20), low)
    port.attach(range(0x40, 0x80), high)
    other.send_many([b"\x10a", b"\x45b", b"\x00c", b"\x1fd"], port.addresses[0])
    assert [data for data, _ in await low.wait(2)] == [b"\x10a", b"\x1fd"]
    assert [data for data, _ in await high.wait(1)] == [b"\x45b"]
    assert port.counters == {"no protocol": 1}
    port.close()
    other.close()


async def test_what_finds_no_room_waits_and_says_when_it_has_gone() -> None:
    port = await UdpSocket.open(LOOPBACK)
    other = await UdpSocket.open(LOOPBACK)
    inbox = Inbox()
    port.attach(range(256), inbox)
    there = port.addresses[0]
    real = other._sockets[4]

    class Full(SegmentingSocket):
        def send(self, datagrams: Sequence[bytes], address: Address) -> int:  # noqa: ARG002 - the signature of what it replaces
            raise BlockingIOError

    other._sockets[4] = Full(real.socket)
    other.send_many([bytes([n]) for n in range(MAX_WAITING)], there)
    other.send(b"one too many", there)
    assert not other.has_room()
    room = asyncio.Event()
    other.when_room(room.set)
    await room.wait()
    assert other.has_room()
    assert [data[0] for data, _ in await inbox.wait(MAX_WAITING)] == list(range(MAX_WAITING))
    assert other.counters == {"send queue full": 1}
    port.close()
    other.close()


async def test_a_range_has_one_handler_and_can_be_given_back() -> None:
    port = await UdpSocket.open(LOOPBACK)
    port.attach(range(0x10, 0x12), Inbox())
    with pytest.raises(ValueError, match="0x11 already has a handler"):
        port.attach(range(0x11, 0x13), Inbox())
    port.detach(range(0x10, 0x12))
    port.attach(range(0x11, 0x13), Inbox())
    port.close()


async def test_both_families_on_one_port() -> None:
    port = await UdpSocket.open(LOOPBACK, "::1")
    four, six = port.addresses
    assert four[1] == six[1]
    assert port.families == {4, 6}
    inbox = Inbox()
    port.attach(range(256), inbox)
    port.send(b"4", four)
    port.send(b"6", six)
    assert sorted(await inbox.wait(2)) == [(b"4", four), (b"6", six)]
    port.close()


async def test_a_port_in_use_is_a_clear_error() -> None:
    port = await UdpSocket.open(LOOPBACK)
    number = port.addresses[0][1]
    with pytest.raises(ListenError, match=f"UDP 127.0.0.1:{number} is in use"):
        await UdpSocket.open(LOOPBACK, port=number)
    with pytest.raises(ListenError, match=r"203\.0\.113\.1:0 cannot be bound"):
        await UdpSocket.open("203.0.113.1")
    port.close()


async def test_what_cannot_be_sent_is_counted_and_does_not_raise() -> None:
    port = await UdpSocket.open(LOOPBACK)
    port.send(b"x", ("::1", 9))
    port.send(bytes(70_000), port.addresses[0])
    assert port.counters == {"no socket of the family": 1, "unsendable": 1}
    port.close()
    port.close()
    port.send(b"x", ("127.0.0.1", 9))


def test_the_source_of_a_route() -> None:
    assert source_host(("127.0.0.5", 9)) == "127.0.0.1"


async def fill(port: UdpSocket, attacker: socket.socket) -> None:
    """Fill a port's receive buffer to the brim, without a turn of the loop."""
    for _ in range(20_000):
        attacker.sendto(bytes([0x20]) * 1000, port.addresses[0])


@pytest.mark.parametrize("preferred", [True, False])
async def test_a_flood_costs_strangers_their_datagrams_and_friends_none(preferred: bool) -> None:
    port = await UdpSocket.open(LOOPBACK)
    friend = await UdpSocket.open(LOOPBACK)
    inbox = Inbox()
    port.attach([0x11, 0x20], inbox)
    if preferred:
        port.prefer(friend.addresses[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        await fill(port, attacker)
        friend.send(b"\x11a friend", port.addresses[0])
        last = b"\x11a stranger"
        while not any(data == last for batch in inbox.batches[-1:] for data, _ in batch):
            attacker.sendto(last, port.addresses[0])  # lost, until the flood is read
            await asyncio.sleep(0)
    heard = [one for batch in inbox.batches for one in batch]
    assert ((b"\x11a friend", friend.addresses[0]) in heard) == preferred
    port.close()
    friend.close()


async def test_lanes_are_counted_and_end() -> None:
    port = await UdpSocket.open(LOOPBACK)
    friends = [await UdpSocket.open(LOOPBACK) for _ in range(3)]
    inbox = Inbox()
    port.attach([0x11], inbox)
    for _ in range(2):
        for friend in friends:
            port.prefer(friend.addresses[0])
    assert len(port._lanes) == 3
    for friend in friends:
        friend.send(b"\x11", port.addresses[0])
        port.forget(friend.addresses[0])
    assert len(port._lanes) == 3
    assert {address for _, address in await inbox.wait(3)} == {f.addresses[0] for f in friends}
    for friend in friends:
        port.forget(friend.addresses[0])
    assert not port._lanes
    assert not port._preferred
    for friend in friends:
        friend.send(b"\x11", port.addresses[0])
    assert len(await inbox.wait(6)) == 6
    port.prefer(("::1", 9))  # of no socket's family: nothing happens
    with pytest.raises(ListenError, match="in use"):
        await UdpSocket.open(LOOPBACK, port=port.addresses[0][1])
    port.prefer(friends[0].addresses[0])
    for udp in (port, *friends):
        udp.close()


async def test_there_are_only_so_many_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("net.carriers.udp.MAX_LANES", 2)
    port = await UdpSocket.open(LOOPBACK)
    for number in range(1, 5):
        port.prefer((LOOPBACK, number))
    assert len(port._lanes) == 2
    for number in range(1, 5):
        port.forget((LOOPBACK, number))
    assert not port._lanes
    port.close()
