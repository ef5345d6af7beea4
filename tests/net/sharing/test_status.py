"""Figures and words about a remote feed."""

from __future__ import annotations

from feedlog import Store
from net.sharing.setbacks import Setback, SetbackKind
from net.sharing.status import tried
from tests.net.conftest import StartNode


async def test_figures_add_up_and_words_name_the_peers(start_node: StartNode) -> None:
    feed = Store.memory().feed("log")
    feed.extend([b"block"] * 10)
    writer = await start_node()
    await writer.share(feed)
    remote = await (await start_node(writer)).follow(feed.key)
    await remote.get([1, 2, 3])
    status = remote.status()
    assert (status.length, status.held, status.blocks, status.wasted) == (10, 3, 3, 0)
    assert status.data_bytes == 15
    assert [peer.public_key for peer in status.peers] == [writer.public_key]
    name = writer.public_key.hex()[:8]
    assert f"{name} does not have it" in tried(remote._swarm, [])
    dialled = Setback(SetbackKind.UNREACHED, bytes(32), "refused")
    assert tried(remote._swarm, [dialled, dialled]).endswith("have it; 00000000: refused")


async def test_without_peers(start_node: StartNode) -> None:
    remote = await (await start_node()).follow(bytes(32))
    assert tried(remote._swarm, []) == "no peer was found yet"
    assert remote.status().peers == ()
