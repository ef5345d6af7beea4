"""Peers are looked for again and again, and remembered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from feedlog import KeyPair, Store
from net.addresses import RelayAddress, parse_address
from net.discovery import PeerAddress
from net.errors import DeadlineError
from net.node import Node
from net.sharing.finder import KNOWN, MAX_KNOWN, known_peers, note_peer
from tests.net.conftest import StartNode
from tests.reference.eavesdropper import Known

RELAY = RelayAddress(bytes(32), ("192.0.2.7", 7))


async def test_a_peer_is_found_again_without_asking_anybody(
    start_node: StartNode, tmp_path: Path
) -> None:
    source = Store.memory()
    feed = source.feed("log")
    feed.extend([b"one", b"two"])
    writer = await start_node(store=source)
    await writer.share(feed)
    with Store(tmp_path / "reader") as store:
        node = await start_node(writer, store=store)
        remote = await node.follow(feed.key)
        assert await remote.get(0) == b"one"
        await node.close()
    with Store(tmp_path / "reader") as store:
        alone = await start_node(store=store)  # it knows no DHT node
        remote = await alone.follow(feed.key)
        assert await remote.get(1) == b"two"
        await alone.close()


async def test_the_latest_are_kept_and_only_so_many(start_node: StartNode) -> None:
    node = await start_node()
    remote = await node.follow(KeyPair.generate().public_key)
    swarm = remote._swarm
    peers = [
        PeerAddress(KeyPair.generate().public_key, (("192.0.2.1", port), ("2001:db8::1", port)))
        for port in range(1, 12)
    ]
    for peer in peers:
        note_peer(swarm, peer)
    note_peer(swarm, peers[-1])
    assert known_peers(swarm) == peers[: -MAX_KNOWN - 1 : -1]
    moved = PeerAddress(peers[-2].public_key, (("192.0.2.9", 9),))
    note_peer(swarm, moved)
    assert known_peers(swarm)[:2] == [moved, peers[-1]]
    note_peer(swarm, PeerAddress(peers[-1].public_key, peers[-1].addresses, (RELAY,)))
    assert known_peers(swarm)[:2] == [moved, peers[-1]]


@pytest.mark.parametrize("notes", [b"", b"\xc1", b"\x91\x92\xc4\x01x\x90", b"\x90trailing"])
async def test_notes_that_do_not_parse_are_no_notes(start_node: StartNode, notes: bytes) -> None:
    node = await start_node()
    remote = await node.follow(KeyPair.generate().public_key)
    remote.feed.user_data[KNOWN] = notes
    assert known_peers(remote._swarm) == []


async def test_searching_goes_on(start_node: StartNode) -> None:
    first = await start_node()
    remote = await (await start_node(first)).follow(KeyPair.generate().public_key)
    with pytest.raises(DeadlineError):
        await remote.get(0, timeout=1.5)
    assert remote.searches > 1


class Crowd(Known):
    """Finds those who are not there before the one who is."""

    async def lookup(self, topic: bytes) -> AsyncGenerator[PeerAddress]:
        for _ in range(3):
            yield PeerAddress(KeyPair.generate().public_key, (("127.0.0.1", 9),))
        async for peer in super().lookup(topic):
            yield peer


async def test_those_who_are_not_there_hide_nobody(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("net.sharing.finder.MAX_PEERS", 2)
    store = Store.memory()
    feed = store.feed("log")
    feed.append(b"x")
    writer = await start_node(store=store)
    await writer.share(feed)
    crowd = Crowd(writer.public_key, parse_address(writer.address))
    remote = await (await start_node(discovery=crowd)).follow(feed.key)
    assert await remote.get(0, timeout=30) == b"x"
    assert remote.searches == 1


async def test_those_who_come_to_us_keep_us_from_nobody(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("net.sharing.finder.MAX_PEERS", 1)
    store, copy = Store.memory(), Store.memory()
    feed = store.feed("log")
    feed.append(b"x")
    first = await start_node()
    replica = await start_node(first, store=copy)
    await replica.share(copy.feed(key=feed.key))
    idle = await start_node(first)
    await idle.follow(feed.key)
    while not replica.peers:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.05)
    writer = await start_node(first, store=store)
    await writer.share(feed)
    remote = await replica.follow(feed.key)
    async with asyncio.timeout(60):
        async for _, length in remote.heads():
            if length:
                break


async def test_a_peer_that_comes_and_goes_does_not_make_us_search_without_end(
    start_node: StartNode,
) -> None:
    store, copy = Store.memory(), Store.memory()
    feed = store.feed("log")
    feed.append(b"x")
    first = await start_node()
    writer = await start_node(first, store=store)
    await writer.share(feed)
    replica = await start_node(first, store=copy)
    remote = await replica.follow(feed.key)
    assert await remote.get(0) == b"x"
    await replica.share(remote.feed)
    restless = await start_node(first)
    searches = remote.searches
    for _ in range(20):
        other = await restless.follow(feed.key)
        while restless.public_key not in remote._swarm.keys:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
        await other.close()
        while restless.public_key in remote._swarm.keys:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
    assert remote.searches <= searches + 1


async def test_a_node_does_not_find_itself(start_node: StartNode) -> None:
    store = Store.memory()
    feed = store.feed("log")
    feed.append(b"x")
    node: Node = await start_node(await start_node(), store=store)
    await node.share(feed)
    remote = await node.follow(feed.key)
    assert await remote.get(0) == b"x"
    assert node.peers == []
