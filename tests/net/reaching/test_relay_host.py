"""A relay beside a DHT node, on loopback ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from feedlog.keys import KeyPair
from net.addresses import RelayAddress
from net.carriers.base import Carrier
from net.carriers.ports import Ports
from net.carriers.tcp import connect_tcp
from net.carriers.udp import UdpSocket
from net.dht.hashing import relay_topic
from net.dht.node import DhtNode
from net.errors import HandshakeError
from net.reaching.relay_host import RelayHost
from net.relay.client import RelayClient
from net.relay.discovery import RelayDiscovery
from net.relay.messages import PROTOCOL
from net.secure.opening import accept_stream, open_stream
from net.secure.stream import SecureStream
from tests.reference.wire import ALICE, BOB

RELAY = KeyPair.from_seed(b"relay host".ljust(32))


@pytest.fixture
async def host() -> AsyncIterator[tuple[RelayHost, RelayAddress, DhtNode]]:
    relay = RelayHost(RELAY)
    ports = await Ports.open(["127.0.0.1"], 0, relay.arrived)
    address = RelayAddress(RELAY.public_key, ("127.0.0.1", ports.number))
    udp = await UdpSocket.open("127.0.0.1")
    async with (
        DhtNode(KeyPair.generate(), udp) as first,
        DhtNode(RELAY, ports.udp, bootstrap=[first.address]) as dht,
    ):
        with pytest.raises(HandshakeError):
            await dial_as(ALICE, address)
        assert await relay.begin(dht, [address.address]) > 0
        yield relay, address, first
        await relay.close()
        await relay.close()
    ports.close()
    udp.close()


async def dial_as(key_pair: KeyPair, relay: RelayAddress, protocol: str = PROTOCOL) -> SecureStream:
    carrier = await connect_tcp(*relay.address)
    return await open_stream(carrier, key_pair, relay.public_key or None, protocol=protocol)


def client_of(key_pair: KeyPair) -> RelayClient:
    async def dial(relay: RelayAddress) -> SecureStream:
        return await dial_as(key_pair, relay)

    return RelayClient(dial)


Host = tuple[RelayHost, RelayAddress, DhtNode]


async def test_circuits_over_tcp_from_a_relay_that_the_dht_names(host: Host) -> None:
    relay, address, dht = host
    async with aclosing(dht.lookup(relay_topic())) as peers:
        async for peer in peers:
            found = RelayAddress(peer.public_key, peer.addresses[0])
    assert found == address
    arrived: asyncio.Future[Carrier] = asyncio.get_running_loop().create_future()
    reservation = await client_of(BOB).reserve(address, arrived.set_result)
    near = await client_of(ALICE).connect(found, BOB.public_key)
    ours, theirs = await asyncio.gather(
        open_stream(near, ALICE, BOB.public_key), accept_stream(await arrived, BOB)
    )
    ours.write(b"x" * 1_000_000)
    ours.write_eof()
    assert len(await theirs.read()) == 1_000_000
    assert relay.service is not None
    assert (relay.service.reservations, relay.service.circuits) == (1, 1)
    ours.close()
    theirs.close()
    await asyncio.gather(ours.wait_closed(), theirs.wait_closed())
    reservation.close()


async def test_it_asks_the_dht_for_those_without_udp(host: Host) -> None:
    _, address, dht = host
    link = await client_of(ALICE).link(RelayAddress(b"", address.address))
    discovery = RelayDiscovery(ALICE, lambda: [link])
    topic = bytes(range(20))
    assert await discovery.announce(topic, [("192.0.2.1", 4000)], [address]) > 0
    async with aclosing(dht.lookup(topic)) as peers:
        assert [peer.relays async for peer in peers] == [(address,)]
    await discovery.close()
    link.close()


async def test_nobody_comes_for_anything_else(host: Host) -> None:
    with pytest.raises(HandshakeError):
        await dial_as(ALICE, host[1], "feedlog/channels/1")
