"""Many feeds that two nodes both hold: channels are opened for those that somebody wants."""

from __future__ import annotations

from feedlog import Store
from net.addresses import parse_address
from tests.net.conftest import StartNode
from tests.reference.eavesdropper import Known

FEEDS = 2000
WANTED = 3


async def test_feeds_that_nobody_wants_open_no_channels(start_node: StartNode) -> None:
    store, copies = Store.memory(), Store.memory()
    feeds = [store.feed(f"feed {number}") for number in range(FEEDS)]
    writer = await start_node(store=store, discovery=Known(bytes(32), ("127.0.0.1", 9)))
    place = parse_address(writer.address)
    reader = await start_node(store=copies, discovery=Known(writer.public_key, place))
    for feed in feeds:
        feed.append(b"first")
        copy = copies.feed(key=feed.key)
        copy.apply(feed.prove(blocks=[0]))
        await writer.share(feed)
        await reader.share(copy)
        feed.append(b"second")
    for feed in feeds[:: FEEDS // WANTED][:WANTED]:
        remote = await reader.follow(feed.key)
        assert await remote.get(1) == b"second"
    assert [len(connection.mux.channels) for connection in reader.connections] == [WANTED]
    assert [len(connection.mux.channels) for connection in writer.connections] == [WANTED]
