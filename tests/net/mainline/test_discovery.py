"""Peers find each other through a Mainline DHT of libtorrent sessions on loopback."""

from __future__ import annotations

import asyncio

import pytest

from feedlog import Store
from feedlog.keys import KeyPair
from net import ConnectError, Node, SecureStream
from net.addresses import RelayAddress
from net.dht.hashing import peer_topic
from net.discovery import PeerAddress
from net.errors import ClosedError
from net.mainline.discovery import MainlineDiscovery
from net.mainline.hashing import slot_salt, topic_seed
from net.mainline.slots import SLOTS
from tests.net.mainline.conftest import StartMainline

TOPIC = bytes(range(20))
HERE = (("127.0.0.1", 4000),)


async def answer(stream: SecureStream) -> None:
    stream.write(b"hello")
    await stream.drain()


async def look_until(discovery: MainlineDiscovery, count: int) -> dict[bytes, PeerAddress]:
    """Look up until so many are found, or fewer if it went down: publishing takes its time."""
    while True:
        found = {peer.public_key: peer async for peer in discovery.lookup(TOPIC)}
        if len(found) == count:
            return found


async def test_several_announce_one_topic(start_mainline: StartMainline) -> None:
    reader, *announcers = [await start_mainline() for _ in range(4)]
    for port, announcer in enumerate(announcers, 4001):
        assert await announcer.announce(TOPIC, [("192.0.2.1", port)]) == 0
        await look_until(reader, port - 4000)  # one after the other: no slot is chosen twice
    found = await look_until(reader, 3)
    ports = sorted(
        port for peer in found.values() for host, port in peer.addresses if host[0] == "1"
    )
    assert {4001, 4002, 4003} <= set(ports)
    await announcers[0].unannounce(TOPIC)
    await look_until(reader, 2)
    assert await announcers[0].unannounce(TOPIC) == 0


async def test_a_peer_is_found_by_its_key(start_mainline: StartMainline) -> None:
    pair = KeyPair.generate()
    one, two = await start_mainline(pair), await start_mainline()
    relay = RelayAddress(bytes(range(32)), ("192.0.2.9", 9))
    await one.announce(peer_topic(pair.public_key), HERE, [relay])
    while not (found := [peer async for peer in two.find(pair.public_key)]):
        pass
    assert found[0].addresses[0] == HERE[0]
    assert found[0].relays == (relay,)
    assert [peer.public_key async for peer in two.lookup(peer_topic(pair.public_key))] == [
        pair.public_key
    ]
    await one.announce(peer_topic(pair.public_key), [("127.0.0.1", 5000)])
    while found[-1].addresses[0][1] != 5000:
        found = [peer async for peer in two.find(pair.public_key)]
    assert [peer async for peer in one.find(pair.public_key)] == []  # nobody looks for himself


async def test_what_replaces_itself_while_it_is_replaced_is_published_once(
    start_mainline: StartMainline,
) -> None:
    discovery = await start_mainline()
    await discovery.announce(TOPIC, HERE)
    others = [[("127.0.0.1", port)] for port in (5000, 5001)]
    await asyncio.gather(*(discovery.announce(TOPIC, other) for other in others))
    publishing = [own.task for own in discovery._own.values()]
    ours = [task for task in asyncio.all_tasks() if "_keep" in repr(task.get_coro())]
    assert ours == publishing


async def test_vandals_hide_nobody_under_his_own_key(start_mainline: StartMainline) -> None:
    """Who knows a topic can spoil its slots, and no more than that."""
    pair = KeyPair.generate()
    topic = peer_topic(pair.public_key)
    one, two = await start_mainline(pair), await start_mainline()
    await one.announce(topic, HERE)
    while not [peer async for peer in two.lookup(topic)]:
        pass
    key = KeyPair.from_seed(topic_seed(topic))
    for slot in range(SLOTS):
        await two.session.put(key, slot_salt(slot), b"spoiled")
    assert [peer async for peer in two.lookup(topic)] == []
    assert [peer.public_key async for peer in two.find(pair.public_key)] == [pair.public_key]


async def test_a_node_reads_a_feed_that_was_found_there(start_mainline: StartMainline) -> None:
    with Store.memory() as writing, Store.memory() as reading:
        mains = [await start_mainline(store.key_pair("node")) for store in (writing, reading)]
        async with (
            Node(writing, more=[mains[0]], host="127.0.0.1") as one,  # each in a DHT of its own
            Node(reading, more=[mains[1]], host="127.0.0.1") as two,
        ):
            feed = writing.feed("news")
            feed.append(b"by way of strangers")
            await one.share(feed)
            remote = await two.follow(feed.key)
            assert await remote.get(0) == b"by way of strangers"
            await one.listen(answer)
            while True:
                try:
                    stream = await two.connect(one.public_key)
                except ConnectError:
                    continue  # not published yet
                break
            assert await stream.read(5) == b"hello"
            stream.close()


async def test_mistakes_and_its_end() -> None:
    discovery = MainlineDiscovery(KeyPair.generate(), interfaces=("127.0.0.1:0",), bootstrap=())
    with pytest.raises(ClosedError, match="not running"):
        await discovery.announce(TOPIC, HERE)
    await discovery.start()
    with pytest.raises(RuntimeError, match="before"):
        await discovery.start()
    with pytest.raises(ValueError, match="20 bytes, not 1"):
        await discovery.announce(b"x", HERE)
    with pytest.raises(ValueError, match="an address or a relay"):
        await discovery.announce(TOPIC, [])
    await discovery.close()
    await discovery.close()
    with pytest.raises(ClosedError):
        _ = [peer async for peer in discovery.lookup(TOPIC)]
