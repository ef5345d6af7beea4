"""A node whose UDP is blocked announces and looks up through relays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from feedlog.keys import KeyPair
from net.addresses import RelayAddress
from net.carriers.udp import UdpSocket
from net.dht.node import DhtNode
from net.discovery import PeerAddress
from net.errors import ClosedError, NetError, ProtocolError, RefusedError
from net.relay import discovery as discovery_module
from net.relay.discovery import RelayDiscovery
from net.relay.link import RelayLink
from net.relay.messages import Done, Item, Request
from net.relay.questions import Kind, RelayQuestions
from tests.net.relay.test_questions import Held, record
from tests.reference.relays import ADDRESS, RelayBed, until
from tests.reference.wire import ALICE, BOB

TOPIC, OTHER = bytes(range(20)), bytes(20)
HERE = [("192.0.2.7", 4000)]
WAITING = [RelayAddress(bytes(32), ("198.51.100.1", 5000))]


async def peers(discovery: RelayDiscovery, topic: bytes = TOPIC) -> list[PeerAddress]:
    async with aclosing(discovery.lookup(topic)) as found:
        return [peer async for peer in found]


async def test_through_a_relay_to_the_dht_and_back() -> None:
    sockets = [await UdpSocket.open("127.0.0.1") for _ in range(3)]
    nodes = [DhtNode(BOB, sockets[0])]
    await nodes[0].start()
    for socket in sockets[1:]:
        nodes.append(DhtNode(KeyPair.generate(), socket, bootstrap=[nodes[0].address]))
        await nodes[-1].start()
    bed = RelayBed(questions=RelayQuestions(nodes[1]))
    link = await bed.client(ALICE).link(ADDRESS)
    discovery = RelayDiscovery(ALICE, lambda: [link])
    assert await discovery.announce(TOPIC, HERE, WAITING) > 0
    expected = PeerAddress(ALICE.public_key, tuple(HERE), tuple(WAITING))
    assert await peers(discovery) == [expected]
    async with aclosing(nodes[2].lookup(TOPIC)) as found:
        assert [peer async for peer in found] == [expected]
    await discovery.unannounce(TOPIC)
    assert await peers(discovery) == []
    await discovery.close()
    bed.close()
    for node in nodes:
        await node.close()
    for socket in sockets:
        socket.close()


async def test_without_a_relay_it_is_kept_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_module, "TICK", 0.0)
    held, links = Held(), list[RelayLink]()
    bed = RelayBed(questions=RelayQuestions(held))
    discovery = RelayDiscovery(ALICE, lambda: links)
    assert await discovery.announce(TOPIC, HERE) == 0
    assert await peers(discovery) == []
    links.append(await bed.client(ALICE).link(ADDRESS))
    discovery.relays_changed()
    await until(lambda: held.held)
    assert held.held[0].public_key == ALICE.public_key
    bed.close()
    await until(lambda: links[0].error)
    with pytest.raises(NetError):
        await peers(discovery)
    await discovery.close()
    await discovery.close()
    with pytest.raises(ClosedError):
        await discovery.announce(TOPIC, HERE)


async def test_another_relay_is_asked_where_one_fails() -> None:
    held = Held()
    plain, good = RelayBed(), RelayBed(questions=RelayQuestions(held))
    links = [await bed.client(ALICE).link(ADDRESS) for bed in (plain, good)]
    discovery = RelayDiscovery(ALICE, lambda: links)
    assert await discovery.announce(TOPIC, HERE) == 8
    assert [peer.public_key for peer in await peers(discovery)] == [ALICE.public_key]
    del links[1]
    with pytest.raises(RefusedError, match="does not ask the DHT"):
        await discovery.announce(TOPIC, HERE)
    await discovery.close()
    plain.close()
    good.close()


async def test_a_relay_cannot_invent_peers() -> None:
    class Liar:
        def __init__(self, raw: bytes) -> None:
            self.raw = raw

        async def ask(self, public_key: bytes, request: Request) -> AsyncGenerator[Item | Done]:
            assert public_key == ALICE.public_key
            assert request.kind == Kind.LOOKUP
            yield Item(request.number, self.raw)
            yield Done(request.number, 1)

    for raw, reason in (
        (record(BOB).raw[:-1] + b"\xff", "bad record: .* the signature does not match"),
        (record(BOB).raw, "a record of another topic"),
    ):
        bed = RelayBed(questions=Liar(raw))
        link = await bed.client(ALICE).link(ADDRESS)
        discovery = RelayDiscovery(ALICE, lambda link=link: [link])  # type: ignore[misc]  # bound
        with pytest.raises(ProtocolError, match=reason):
            await peers(discovery, TOPIC if "signature" in reason else OTHER)
        await discovery.close()
        bed.close()


async def test_a_topic_has_its_size() -> None:
    discovery = RelayDiscovery(ALICE, list)
    for call in (discovery.announce(b"short", HERE), discovery.unannounce(b"short")):
        with pytest.raises(ValueError, match="a topic has 20 bytes, not 5"):
            await call
    await asyncio.sleep(0)
    await discovery.close()
