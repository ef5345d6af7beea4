"""The ways of finding others that one node has, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from feedlog import KeyPair, Store
from net.carriers.ports import Ports
from net.discovery import PeerAddress
from net.finding.contacts import KeptContacts
from net.finding.network import Network, lan_hosts
from net.node import Node
from net.punch.classify import NatClass
from net.secure.stream import SecureStream
from tests.net.conftest import StartNode


class Start:
    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def __call__(self, host: str = "127.0.0.1", **options: Any) -> Network:
        ports = await Ports.open([host], 0, lambda carrier: carrier.abort())
        self._stack.callback(ports.close)
        network = Network(KeyPair.generate(), ports, **options)
        self._stack.push_async_callback(network.close)
        await network.start()
        return network


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:
        yield Start(stack)


async def found(network: Network, topic: bytes) -> list[PeerAddress]:
    return [peer async for peer in network.discovery.lookup(topic)]


async def test_one_finds_what_the_other_announces(start: Start) -> None:
    one = await start()
    two = await start(bootstrap=[one.address])
    await two.discovery.announce(b"t" * 20, [("192.0.2.1", 9)])
    assert [peer.addresses for peer in await found(one, b"t" * 20)] == [(("192.0.2.1", 9),)]
    assert two.asked == "after asking 1 nodes"
    assert two.introducer is not None
    assert two.hosts == ["127.0.0.1"]


async def test_what_cannot_be_joined_is_said_and_no_error(start: Start) -> None:
    lonely = await start(bootstrap=["127.0.0.1:9"])
    assert lonely.trouble == "no bootstrap node answered: 127.0.0.1:9"
    assert lonely.trouble in lonely.asked
    assert lonely.nat.kind is NatClass.UNKNOWN


async def test_contacts_are_kept_for_the_next_time(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "contacts"
    first = await start()
    second = await start(bootstrap=[first.address], contacts=path)
    await second.close()
    assert [f"{host}:{port}" for host, port in KeptContacts(path).load()] == [first.address]
    third = await start(contacts=path)
    await third.discovery.announce(b"t" * 20, [("192.0.2.1", 9)])
    assert await found(first, b"t" * 20)


async def test_somebody_elses_discovery_is_all_there_is(start: Start) -> None:
    dht = await start()
    alone = await start(given=dht.discovery)
    assert alone.discovery is dht.discovery
    assert alone.introducer is None
    assert alone.nat.kind is NatClass.UNKNOWN
    assert alone.address.startswith("127.0.0.1:")
    assert alone.asked == ""
    assert dht.values is dht.dht
    with pytest.raises(RuntimeError, match="the DHT keeps values"):
        _ = alone.values


async def test_a_network_of_its_own_is_for_those_with_the_key(start: Start) -> None:
    key = bytes(range(32))
    first = await start(network_key=key)
    member = await start(network_key=key, bootstrap=[first.address])
    stranger = await start(bootstrap=[first.address])
    assert (member.trouble, bool(stranger.trouble)) == ("", True)
    await member.discovery.announce(b"t" * 20, [("192.0.2.1", 9)])
    assert await found(first, b"t" * 20)
    assert stranger.is_cut_off


def test_which_hosts_look_for_neighbours() -> None:
    everywhere = ["0.0.0.0", "::"]
    assert lan_hosts(everywhere, None) == lan_hosts(everywhere, True) == everywhere
    assert lan_hosts(everywhere, False) == lan_hosts(["127.0.0.1"], None) == []
    assert lan_hosts(["127.0.0.1"], True) == ["127.0.0.1"]
    assert lan_hosts(["2001:db8::1"], None) == []
    with pytest.raises(ValueError, match="2001:db8::1"):
        lan_hosts(["2001:db8::1"], True)


async def test_neighbours_meet_without_a_dht(start_node: StartNode) -> None:
    async def greet(stream: SecureStream) -> None:
        stream.write(b"hello")
        await stream.drain()

    server = await (await start_node(lan=True)).listen(greet)
    async with Node(Store.memory(), host="127.0.0.1", lan=True) as node:
        stream = await node.connect(server.public_key)
        assert await stream.readexactly(5) == b"hello"
        stream.abort()
        await asyncio.sleep(0)


async def test_a_lan_where_there_can_be_none_is_refused_and_nothing_stays_open() -> None:
    with pytest.raises(ValueError, match="::1"):
        async with Node(Store.memory(), host="::1", lan=True):
            pass
