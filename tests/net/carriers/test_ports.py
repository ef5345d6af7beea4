"""The ports of a node: one number, TCP and UDP, both families."""

from __future__ import annotations

import asyncio

import pytest

from net.carriers import Carrier, connect_tcp
from net.carriers.ports import ANYWHERE, Ports
from net.carriers.quic import QuicPort
from net.carriers.udp import UdpSocket
from net.errors import ListenError


async def test_tcp_and_quic_arrive_on_one_number() -> None:
    arrived: asyncio.Queue[Carrier] = asyncio.Queue()
    ports = await Ports.open(["127.0.0.1"], 0, arrived.put_nowait)
    udp = await UdpSocket.open("127.0.0.1")
    quic = QuicPort(udp)
    assert ports.address == f"127.0.0.1:{ports.number}"
    for opened in (
        await connect_tcp("127.0.0.1", ports.number),
        await quic.connect(("127.0.0.1", ports.number)),
    ):
        (await arrived.get()).abort()
        opened.abort()
    quic.close()
    udp.close()
    ports.stop()
    ports.close()


async def test_both_families_where_there_are_both() -> None:
    ports = await Ports.open(ANYWHERE, 0, lambda carrier: carrier.abort())
    assert "0.0.0.0" in ports.hosts
    assert ports.reaches(("192.0.2.1", 1))
    assert ports.reaches(("2001:db8::1", 1)) == ("::" in ports.hosts)
    for host in ports.hosts:
        here = "::1" if ":" in host else "127.0.0.1"
        (await connect_tcp(here, ports.number)).abort()
    ports.close()


async def test_a_number_that_is_taken_is_an_error() -> None:
    ports = await Ports.open(["127.0.0.1"], 0, lambda carrier: carrier.abort())
    with pytest.raises(ListenError, match=str(ports.number)):
        await Ports.open(["127.0.0.1"], ports.number, lambda carrier: carrier.abort())
    ports.close()
