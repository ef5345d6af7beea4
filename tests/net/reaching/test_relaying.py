"""Nodes and relays on loopback: the service, places at it, circuits, and a node without UDP."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from feedlog import Store
from net.addresses import parse_address
from net.carriers.medium import Medium
from net.dht.datagrams import DHT_TAG
from net.dht.hashing import peer_topic
from net.discovery import PeerAddress
from net.errors import ConnectError
from net.node import Node
from net.reaching.reach import PUNCHED
from net.reaching.relaying import CIRCUIT_TIMEOUT, UNDER_WAY
from net.reaching.streams import PROTOCOL as STREAMS
from net.relay.limits import RelayLimits
from net.secure.stream import SecureStream
from tests.net.conftest import StartNode


async def echo(stream: SecureStream) -> None:
    while data := await stream.read(65536):
        stream.write(data)
        await stream.drain()


async def place_at(node: Node) -> None:
    """Have a node wait at relays, as one behind a router does."""
    assert node._parts is not None
    node._parts.relaying.seek()
    while not node._parts.relaying.places:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.01)


async def test_a_circuit_leads_to_who_waits_at_a_relay(start_node: StartNode) -> None:
    relay = await start_node(relay=True, relay_limits=RelayLimits(circuits=1))
    server_node = await start_node(relay)
    await server_node.listen(echo)
    await place_at(server_node)
    assert server_node._parts is not None
    [place] = server_node._parts.relaying.places
    assert place == (relay.public_key, parse_address(relay.address))

    client = await start_node(relay)
    assert client._parts is not None
    hidden = PeerAddress(server_node.public_key, (), (place,))
    [way] = client._parts.relaying.ways(hidden, PUNCHED)
    assert (way.timeout, way.behind) == (CIRCUIT_TIMEOUT, (PUNCHED, UNDER_WAY))
    assert way.name == f"relay {relay.address}"

    client._parts.network._dht = None  # nobody introduces it
    topic = peer_topic(hidden.public_key)
    stream = await client._parts.reach.connect(hidden, topic, STREAMS)
    assert stream.remote_key == server_node.public_key
    assert stream.description.startswith("relay ")
    stream.write(b"hello")
    assert await stream.readexactly(5) == b"hello"
    with pytest.raises(ConnectError, match="1 circuits are taken"):
        await client._parts.reach.connect(hidden, topic, STREAMS)
    stream.abort()


async def test_a_relay_may_be_for_some_only(start_node: StartNode) -> None:
    asked: list[tuple[bytes, str]] = []

    def allow(key: bytes, purpose: str) -> bool:
        asked.append((key, purpose))
        return purpose == "connect"

    relay = await start_node(relay=True, relay_allow=allow)
    node = await start_node(relay)
    assert node._parts is not None
    node._parts.relaying.seek()
    await node._parts.relaying.settle()
    assert node._parts.relaying.places == ()
    assert (node.public_key, "reserve") in asked


async def test_announcements_name_the_relays(start_node: StartNode) -> None:
    relay = await start_node(relay=True)
    server_node = await start_node(relay)
    await server_node.listen(echo)
    await place_at(server_node)
    client = await start_node(relay)
    assert client._parts is not None
    topic = peer_topic(server_node.public_key)
    while True:
        found = [peer async for peer in client._parts.network.discovery.lookup(topic)]
        if any(peer.relays for peer in found):
            break


async def test_who_is_no_relay_serves_nobody(start_node: StartNode) -> None:
    first = await start_node()
    second = await start_node(first)
    assert second._parts is not None
    second._parts.relaying.seek()
    await second._parts.relaying.settle()
    assert second._parts.relaying.places == ()
    assert second._parts.relaying.links == []


async def test_without_udp_the_bootstrap_hosts_are_asked_as_relays(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = await start_node(relay=True)
    server_node = await start_node(relay)
    await server_node.listen(echo)
    # A node whose datagrams all get lost.
    monkeypatch.setattr("net.carriers.udp.UdpSocket.send_many", lambda *_: None)
    client = await start_node(relay)
    monkeypatch.undo()
    assert client.trouble
    assert client._parts is not None
    client._parts.ports.udp.detach([DHT_TAG])
    stream = await client.connect(server_node.public_key)
    assert stream.description.startswith("tcp")
    stream.abort()


async def test_a_stream_over_a_relay_moves_to_a_direct_way(start_node: StartNode) -> None:
    relay = await start_node(relay=True)
    server_node = await start_node(relay)
    await server_node.listen(echo)
    await place_at(server_node)
    client = await start_node(relay)
    assert client._parts is not None
    assert server_node._parts is not None
    reach, topic = client._parts.reach, peer_topic(server_node.public_key)
    hidden = PeerAddress(server_node.public_key, (), server_node._parts.relaying.places)
    network, dht = client._parts.network, client._parts.network._dht
    network._dht = None  # nobody introduces it
    stream = await reach.connect(hidden, topic, STREAMS)
    assert stream.description.startswith("relay ")
    sending = asyncio.ensure_future(send_and_read(stream, 3_000_000))
    network._dht = dht
    reach.upgrades.watch(
        stream, replace(hidden, addresses=(parse_address(server_node.address),)), topic
    )
    await sending
    while stream.medium is Medium.RELAY:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.01)
    assert await send_and_read(stream, 3_000_000)
    stream.abort()


async def send_and_read(stream: SecureStream, size: int) -> bool:
    """Have an echo send back what is sent at the same time."""
    sent = bytes(range(256)) * (size // 256)

    async def send() -> None:
        for start in range(0, len(sent), 50_000):
            stream.write(sent[start : start + 50_000])
            await stream.drain()

    sending = asyncio.ensure_future(send())
    back = await stream.readexactly(len(sent))
    await sending
    assert back == sent
    return True


async def test_a_feed_larger_than_a_circuit_comes_over_several(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = await start_node(relay=True, relay_limits=RelayLimits(circuit_bytes=1_000_000))
    with Store.memory() as store, Store.memory() as replica:
        feed = store.feed("large")
        feed.extend(bytes([number]) * 100_000 for number in range(30))
        sharing = await start_node(relay, store=store)
        await place_at(sharing)
        await sharing.share(feed)
        client = await start_node(relay, store=replica)
        parts = client._parts
        assert parts is not None
        monkeypatch.setattr(
            parts.reach, "ladder", lambda peer, _: parts.relaying.ways(peer, PUNCHED)
        )
        remote = await client.follow(feed.key)
        await remote.download(range(30))
        assert replica.feed(key=feed.key)[29] == bytes([29]) * 100_000
        assert relay._parts is not None
        assert relay._parts.relaying.service is not None
        assert relay._parts.relaying.service.passed_on > 3_000_000
