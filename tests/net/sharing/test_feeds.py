"""Swarms exist while somebody wants them, and one connection serves all."""

from __future__ import annotations

import asyncio

from feedlog import Feed, Store
from net.discovery import PeerAddress
from net.node import Node
from tests.net.conftest import StartNode


def feeds_of(node: Node) -> list[Feed]:
    return [swarm.feed for swarm in node._feeds._swarms.values()]


async def test_a_swarm_lives_while_it_is_shared_or_followed(start_node: StartNode) -> None:
    store = Store.memory()
    feed = store.feed("log")
    node = await start_node(store=store)
    await node.share(feed)
    remote = await node.follow(feed.key)
    await node.unshare(feed)
    assert feeds_of(node) == [feed]
    await remote.close()
    assert feeds_of(node) == []
    await node.unshare(feed)


async def test_who_may_read_any_feed_is_let_in(start_node: StartNode) -> None:
    store = Store.memory()
    one, two = store.feed("one"), store.feed("two")
    friend = bytes(31) + b"f"
    node = await start_node(store=store, allow=lambda key, feed: feed is two and key == friend)
    await node.share(one)
    assert not await node._feeds.admits(friend)
    await node.share(two)
    assert await node._feeds.admits(friend)
    assert not await node._feeds.admits(bytes(32))


async def test_a_peer_that_is_found_many_times_is_dialled_once(start_node: StartNode) -> None:
    store = Store.memory()
    feed, other = store.feed("log"), store.feed("other")
    feed.append(b"block")
    writer = await start_node(store=store)
    await writer.share(feed)
    await writer.share(other)
    reader = await start_node(writer)
    remote = await reader.follow(feed.key)
    await reader.follow(other.key)
    swarm = reader._feeds._swarms[feed.discovery_key]
    port = int(writer.address.rpartition(":")[2])
    found = PeerAddress(writer.public_key, (("127.0.0.1", port),))
    await asyncio.gather(*(reader._feeds._meet(found, swarm, remote) for _ in range(5)))
    assert await remote.get(0) == b"block"
    assert len(reader.connections) == 1
    assert not reader._feeds._meetings


async def test_a_peer_that_leaves_is_no_connection_any_more(start_node: StartNode) -> None:
    store = Store.memory()
    feed = store.feed("log")
    feed.append(b"block")
    writer = await start_node(store=store)
    await writer.share(feed)
    reader = await start_node(writer)
    remote = await reader.follow(feed.key)
    assert await remote.get(0) == b"block"
    assert reader.peers == [writer.public_key]
    [connection] = reader.connections
    connection.stream.abort()
    await connection.wait_closed()
    assert connection not in reader.connections
