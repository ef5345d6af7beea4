"""Swarms exist while somebody wants them, and one connection serves all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from feedlog import Feed, Store
from net.addresses import parse_address
from net.discovery import PeerAddress
from net.node import Node
from net.sharing.finder import known_peers
from net.sharing.remote import Remote
from net.sharing.setbacks import SetbackKind
from tests.net.conftest import StartNode
from tests.reference.eavesdropper import Eavesdropper, Known


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what shows only from outside."""
    while not condition():  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0.01)


async def following(remote: Remote) -> bytes:
    """Wait for the second block of a feed."""
    return await anext(aiter(remote.live(start=1)))


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


async def test_a_silent_peer_is_looked_for_elsewhere(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has moved: the way to it swallows everything, and nobody says that it is gone."""
    monkeypatch.setattr("net.channels.liveness.PING_AFTER", 0.2)
    monkeypatch.setattr("net.channels.liveness.SILENT_AFTER", 0.2)
    monkeypatch.setattr("net.channels.liveness.DEAD_AFTER", float("inf"))
    store = Store.memory()
    feeds = [store.feed(name) for name in ("one", "two")]
    writer = await start_node(store=store, discovery=Known(bytes(32), ("127.0.0.1", 9)))
    for feed in feeds:
        feed.append(b"at home")
        await writer.share(feed)
    there = parse_address(writer.address)
    async with Eavesdropper(there) as way:
        known = Known(writer.public_key, way.address)
        reader = await start_node(discovery=known)
        remotes = [await reader.follow(feed.key) for feed in feeds]
        for remote in remotes:
            assert await remote.get(0, timeout=20) == b"at home"
        way.alter = lambda _number, _message: b""
        known.peer = PeerAddress(writer.public_key, (there,))
        for feed, remote in zip(feeds, remotes, strict=True):
            feed.append(b"away")
            assert await following(remote) == b"away"
            assert SetbackKind.SILENT in [setback.kind for setback in remote.attempts]
        await until(lambda: any(known.peer in known_peers(one._swarm) for one in remotes))
        assert all(one.stream.address == there for one in reader.connections if not one.is_closing)


async def test_a_peer_whose_way_comes_back_is_talked_with_on(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("net.channels.liveness.PING_AFTER", 0.2)
    monkeypatch.setattr("net.channels.liveness.SILENT_AFTER", 0.2)
    store = Store.memory()
    feed = store.feed("log")
    feed.append(b"before")
    writer = await start_node(store=store, discovery=Known(bytes(32), ("127.0.0.1", 9)))
    await writer.share(feed)
    async with Eavesdropper(parse_address(writer.address)) as way:
        known = Known(writer.public_key, way.address)
        reader = await start_node(discovery=known)
        remote = await reader.follow(feed.key)
        assert await remote.get(0, timeout=20) == b"before"
        [connection] = reader.connections
        known.peer = PeerAddress(writer.public_key, (("127.0.0.1", 9),))
        way.passing.clear()
        searches = remote.searches
        await until(lambda: remote.searches >= searches + 3)
        assert reader.peers == [writer.public_key]
        way.passing.set()
        feed.append(b"after")
        assert await following(remote) == b"after"
        assert reader.connections == [connection]
