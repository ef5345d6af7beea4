"""What the parts of a running node decide together."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from feedlog import KeyPair, Store
from net.addresses import parse_address
from net.carriers.quic import QuicPort
from net.carriers.tcp import connect_tcp
from net.carriers.udp import UdpSocket
from net.node import Node
from net.parts import Parts
from net.punch.classify import NatClass
from net.reaching.admission import Stage
from net.reaching.streams import PROTOCOL as STREAMS
from net.relay.messages import PROTOCOL as RELAYS
from net.secure.moving import PROTOCOL as MOVING
from net.secure.moving import Moves
from net.secure.opening import open_stream
from net.secure.stream import SecureStream
from net.sharing.connection import PROTOCOL as CHANNELS
from tests.net.conftest import StartNode
from tests.reference.relays import until


def parts(node: Node) -> Parts:
    assert node._parts is not None
    return node._parts


async def echo(stream: SecureStream) -> None:
    while data := await stream.read(100):
        stream.write(data)


async def hold(stream: SecureStream) -> None:
    await stream.read()


async def test_who_may_come_for_what(start_node: StartNode) -> None:
    key = KeyPair.generate().public_key
    plain = parts(await start_node())
    assert [plain.allows(key, what) for what in (CHANNELS, STREAMS, RELAYS, MOVING, "?")] == [
        True, False, False, False, False,
    ]  # fmt: skip
    node = await start_node(relay=True)
    await node.listen(hold)
    relaying = parts(node)
    assert relaying.allows(key, RELAYS)
    assert relaying.allows(key, STREAMS)
    relaying.reception.ban(key)
    assert not any(relaying.allows(key, what) for what in (CHANNELS, STREAMS, RELAYS))


async def test_a_stream_that_has_moved_takes_one_place(start_node: StartNode) -> None:
    node = await start_node()
    await node.listen(echo)
    inside = parts(node).reception.admission
    key_pair, udp = KeyPair.generate(), await UdpSocket.open("127.0.0.1")
    quic, there = QuicPort(udp), parse_address(node.address)
    opened = partial(open_stream, key_pair=key_pair, remote_key=node.public_key)
    stream = await opened(await quic.connect(there), protocol=STREAMS)
    stream.write(b"by quic")
    assert await stream.readexactly(7) == b"by quic"
    await Moves().move(stream, await opened(await connect_tcp(*there), protocol=MOVING))
    stream.write(b"by tcp")
    assert await stream.readexactly(6) == b"by tcp"
    await until(lambda: inside.count(Stage.INSIDE) == 1)
    stream.close()
    await until(lambda: inside.count(Stage.INSIDE) == 0)
    quic.close()
    udp.close()


async def test_holes_are_punched_for_those_who_may_come(start_node: StartNode) -> None:
    key = KeyPair.generate().public_key
    node = await start_node()
    assert not await parts(node).admits(key)
    store: Any = Store.memory()
    other = await start_node(store=store)
    await other.share(store.feed("log"))
    assert await parts(other).admits(key)
    parts(other).reception.ban(key)
    assert not await parts(other).admits(key)


async def test_another_address_has_everything_looked_at(start_node: StartNode) -> None:
    store: Any = Store.memory()
    feed = store.feed("log")
    feed.append(b"one")
    writer = await start_node(store=store)
    await writer.share(feed)
    reader = await start_node(writer)
    remote = await reader.follow(feed.key)
    assert await remote.get(0) == b"one"
    searches = remote.searches
    for node in (writer, reader):
        parts(node).moved()
    while remote.searches == searches:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.05)
    feed.append(b"two")
    assert await remote.get(1) == b"two"
    assert len(reader.connections) == 1, "who answers is kept"


async def test_where_we_are_and_whether_that_is_enough(start_node: StartNode) -> None:
    node = await start_node()
    ours = parts(node)
    here = ("127.0.0.1", ours.ports.number)
    assert ours.where() == ([here], ())
    assert (ours.offer().nat, ours.offer().local) == (NatClass.UNKNOWN, (here,))
    assert not ours.wants_relays()
    assert parts(await start_node(bootstrap=["127.0.0.1:9"])).wants_relays()
