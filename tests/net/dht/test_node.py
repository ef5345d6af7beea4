"""The DHT on real sockets: networks of every size from one node up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import pytest

from feedlog.keys import KeyPair
from net.addresses import RelayAddress
from net.carriers.udp import UdpSocket
from net.dht.datagrams import encode_request
from net.dht.hashing import feed_topic, peer_topic
from net.dht.messages import Lookup, Ping
from net.dht.node import DhtNode
from net.dht.records import sign_announcement
from net.dht.sealing import Seal
from net.discovery import Introducer, PeerAddress
from net.errors import DeadlineError, NetError, NotFound, RefusedError
from net.punch.classify import NatClass, NatReport

StartNode = Callable[..., Awaitable[DhtNode]]

TOPIC = bytes(range(20))
HERE = ("127.0.0.1", 4000)


async def everything(node: DhtNode, topic: bytes) -> list[PeerAddress]:
    return [peer async for peer in node.lookup(topic)]


async def test_a_node_alone_keeps_what_it_announces_for_those_who_come(
    start_node: StartNode,
) -> None:
    alone = await start_node()
    assert await alone.announce(TOPIC, [HERE]) == 0
    assert await everything(alone, TOPIC) == []  # its own announcement is no news to it
    other = await start_node([alone.address])
    (peer,) = await everything(other, TOPIC)
    assert peer.addresses == (HERE,)


async def test_relays_are_announced_too(start_node: StartNode) -> None:
    first = await start_node()
    second = await start_node([first.address])
    relay = RelayAddress(bytes(range(32)), ("127.0.0.1", 4001))
    assert await second.announce(TOPIC, [], [relay]) == 1
    (peer,) = await everything(first, TOPIC)
    assert (peer.addresses, peer.relays) == ((), (relay,))
    assert await second.announce(TOPIC, [HERE]) == 1
    (peer,) = await everything(first, TOPIC)
    assert (peer.addresses, peer.relays) == ((HERE,), ())


async def test_two_nodes_and_an_ephemeral_reader(start_node: StartNode) -> None:
    first = await start_node()
    second = await start_node([first.address])
    assert await second.announce(TOPIC, [HERE]) == 1
    reader = await start_node([first.address], ephemeral=True)
    (peer,) = await everything(reader, TOPIC)
    assert peer.addresses == (HERE,)
    assert second.contacts == [first.address]
    assert reader.observed == ("127.0.0.1", int(reader.address.rpartition(":")[2]))
    assert reader.nat == NatReport(NatClass.OPEN, reader.observed)


async def test_announcing_again_replaces_at_once_and_unannouncing_removes(
    start_node: StartNode,
) -> None:
    first = await start_node()
    second = await start_node([first.address])
    third = await start_node([second.address])
    await second.announce(TOPIC, [HERE])
    assert await second.announce(TOPIC, [("127.0.0.1", 4001)]) == 2
    (peer,) = await everything(third, TOPIC)
    assert peer.addresses == (("127.0.0.1", 4001),)
    assert await second.unannounce(TOPIC) == 2
    assert await everything(third, TOPIC) == []


async def test_find_yields_the_addresses_of_a_key(start_node: StartNode) -> None:
    first = await start_node()
    key_pair = KeyPair.generate()
    udp = await UdpSocket.open("127.0.0.1")
    async with DhtNode(key_pair, udp, bootstrap=[first.address]) as second:
        await second.announce(peer_topic(key_pair.public_key), [HERE, ("::1", 9)])
        async for peer in first.find(key_pair.public_key):
            assert peer == PeerAddress(key_pair.public_key, (HERE, ("::1", 9)))
            break
        else:
            pytest.fail("nothing was found")
    udp.close()


async def test_a_network_on_ipv6(start_node: StartNode) -> None:
    first = await start_node(host="::1")
    second = await start_node([first.address], host="::1")
    await second.announce(TOPIC, [("::1", 9)])
    third = await start_node([second.address], host="::1")
    (peer,) = await everything(third, TOPIC)
    assert peer.addresses == (("::1", 9),)


async def test_a_bootstrap_node_that_is_not_there_is_named() -> None:
    udp = await UdpSocket.open("127.0.0.1")
    free = await UdpSocket.open("127.0.0.1")
    silent = f"127.0.0.1:{free.addresses[0][1]}"
    node = DhtNode(KeyPair.generate(), udp, bootstrap=[silent])
    with pytest.raises(NetError, match=silent):
        await node.start()
    assert await node.announce(TOPIC, [HERE]) == 0
    await node.close()
    udp.close()
    free.close()


async def test_a_hundred_nodes_find_each_other_also_when_thirty_die(start_node: StartNode) -> None:
    rng = random.Random(1)
    nodes = [await start_node()]
    for _ in range(99):
        nodes.append(await start_node([nodes[0].address]))
    topics = {feed_topic(rng.randbytes(32)): node for node in rng.sample(nodes[30:], 12)}
    for number, (topic, node) in enumerate(topics.items()):
        assert await node.announce(topic, [("127.0.0.1", 1000 + number)]) == 8

    async def check() -> None:
        for number, (topic, announcer) in enumerate(topics.items()):
            reader = rng.choice([n for n in nodes[30:] if n is not announcer])
            async for peer in reader.lookup(topic):
                assert peer.addresses == (("127.0.0.1", 1000 + number),)
                break
            else:
                pytest.fail(f"topic {number} was not found")

    await check()
    for node in nodes[:30]:
        await node.close()
    await check()
    assert await nodes[-1].announce(TOPIC, [HERE]) == 8


async def test_a_message_is_passed_on_and_the_answer_comes_back(start_node: StartNode) -> None:
    async def answer(message: bytes) -> bytes | None:
        await asyncio.sleep(0)
        return b"to " + message if message != b"psst" else None

    first = await start_node()
    key_pair = KeyPair.generate()
    taker = await start_node([first.address], key_pair=key_pair, on_introduction=answer)
    asker = await start_node([first.address], ephemeral=True)
    with pytest.raises(NotFound, match=r"no announcement .* DHT nodes"):
        await asker.introduce(TOPIC, key_pair.public_key, b"hello")
    await taker.announce(TOPIC, [HERE])
    introducer: Introducer = asker
    assert await introducer.introduce(TOPIC, key_pair.public_key, b"hello") == b"to hello"
    assert await first.introduce(TOPIC, key_pair.public_key, b"hi") == b"to hi"
    with pytest.raises(DeadlineError, match=r"did not answer within 0\.2 s"):
        await asker.introduce(TOPIC, key_pair.public_key, b"psst", timeout=0.2)
    with pytest.raises(ValueError, match=r"1\.\.512 bytes, not 513"):
        await asker.introduce(TOPIC, key_pair.public_key, bytes(513))
    assert asker._driver._queues == {}


async def test_a_node_is_of_use_before_it_has_joined(start_node: StartNode) -> None:
    first = await start_node()
    second = await start_node([first.address])
    await second.announce(TOPIC, [HERE])
    silent = await UdpSocket.open("127.0.0.1")
    udp = await UdpSocket.open("127.0.0.1")
    dead = f"127.0.0.1:{silent.addresses[0][1]}"
    node = DhtNode(KeyPair.generate(), udp, bootstrap=[dead, first.address])
    node.listen()
    joining = asyncio.create_task(node.join())
    await asyncio.sleep(0)
    (peer,) = await everything(node, TOPIC)
    assert peer.addresses == (HERE,)
    assert await joining == 1
    await node.close()
    for socket in (udp, silent):
        socket.close()


async def test_announcements_of_others_are_passed_on_as_they_were_signed(
    start_node: StartNode,
) -> None:
    first = await start_node()
    relay = await start_node([first.address])
    expiry = int(time.time()) + 600
    record = sign_announcement(KeyPair.generate(), TOPIC, [HERE], seq=1, expiry=expiry)
    assert await relay.publish(record) == 1
    (found,) = [one async for one in relay.records(TOPIC)]
    assert found == record


async def test_who_has_no_network_key_gets_no_answer_at_all(start_node: StartNode) -> None:
    key = bytes(range(32))
    first = await start_node(network_key=key)
    second = await start_node([first.address], network_key=key)
    assert await second.announce(TOPIC, [HERE]) == 1
    assert [peer.addresses for peer in await everything(first, TOPIC)] == [(HERE,)]
    heard: list[bytes] = []
    stranger = await UdpSocket.open("127.0.0.1")
    stranger.attach(range(256), lambda datagrams: heard.extend(data for data, _ in datagrams))
    host, port = first.address.split(":")
    for arguments in (Ping(bytes(20)), Lookup(bytes(20), TOPIC), Lookup(b"", TOPIC)):
        stranger.send(encode_request(bytes(20), arguments), (host, int(port)))
        sealed = Seal(bytes(32), random.Random(1)).seal(encode_request(bytes(20), arguments))
        stranger.send(sealed, (host, int(port)))
    for other in (None, bytes(32)):
        with pytest.raises(NetError, match="no bootstrap node answered"):
            await start_node([first.address], network_key=other)
    assert heard == []
    assert len(first.contacts) == 1
    assert first.counters["malformed"] >= 6
    stranger.close()
    with pytest.raises(ValueError, match="32 bytes, not 3"):
        await start_node(network_key=b"key")


async def test_a_value_is_published_replaced_and_read(start_node: StartNode) -> None:
    first = await start_node()
    key_pair = KeyPair.generate()
    owner = await start_node([first.address], key_pair=key_pair)
    reader = await start_node([first.address], ephemeral=True)
    assert await owner.put(b"first") == 1
    assert [one.value async for one in reader.get(key_pair.public_key)] == [b"first"]
    assert await owner.put(b"second", seq=2**41) == 1
    found = [one async for one in reader.get(key_pair.public_key)]
    assert (found[-1].value, found[-1].seq) == (b"second", 2**41)
    conflict = f"not put: seq {2**41} is held, and not seq 1, which was to be replaced"
    with pytest.raises(RefusedError, match=conflict):
        await reader.put(b"third", key_pair=key_pair, seq=2**42, cas=1)
    for someone in (reader, owner):
        with pytest.raises(RefusedError, match=f"not put: seq 3 is not higher than seq {2**41}"):
            await someone.put(b"third", key_pair=key_pair, seq=3)
    with pytest.raises(RefusedError, match=r"another is held: 2 x another value"):
        await reader.put(b"third", key_pair=key_pair, seq=2**42, cas=2**41 + 1)
    found = [one async for one in reader.get(key_pair.public_key)]
    assert [one.value for one in found] == [b"second"]
    assert [one async for one in reader.get(key_pair.public_key, b"salt")] == []
    with pytest.raises(ValueError, match="at most 512 bytes, not 513"):
        await owner.put(bytes(513))
    with pytest.raises(ValueError, match="32 bytes, not 3"):
        await anext(owner.get(b"key"))


async def test_a_put_that_is_cancelled_is_not_made_up_for(start_node: StartNode) -> None:
    first = await start_node()
    owner = await start_node([first.address])
    putting = asyncio.ensure_future(owner.put(b"value"))
    await asyncio.sleep(0)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert len(owner._core._values._kept) == 0
    assert not owner._core._values._putting
