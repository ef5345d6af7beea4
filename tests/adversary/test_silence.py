"""What a peer can do to a follower by letting him in and saying nothing, again and again.

He is looked for as one who may have moved, and found where he is: that must hide nobody else,
leave no heap of connections behind, and not make the follower search without end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack

import pytest

from feedlog import KeyPair, Store
from net.addresses import Address, parse_address
from net.carriers import Carrier
from net.carriers.tcp_listener import listen_tcp
from net.discovery import PeerAddress
from net.node import Node
from net.secure.opening import accept_stream
from net.sharing.finder import FIRST_RETRY
from tests.reference.eavesdropper import Known


class Mute:
    """Somebody who shakes hands with everybody, and says no more; or hangs up at once."""

    def __init__(self, stack: AsyncExitStack, *, hangs_up: bool) -> None:
        self.hangs_up = hangs_up
        self.key_pair = KeyPair.generate()
        self._stack = stack
        self._welcomes: set[asyncio.Task[None]] = set()

    async def listen(self) -> Address:
        listener = await listen_tcp(self._came, "127.0.0.1")
        self._stack.callback(listener.close)
        return listener.addresses[0]

    def _came(self, carrier: Carrier) -> None:
        self._stack.callback(carrier.abort)
        task = asyncio.ensure_future(self._welcome(carrier))
        self._welcomes.add(task)
        task.add_done_callback(self._welcomes.discard)

    async def _welcome(self, carrier: Carrier) -> None:
        stream = await accept_stream(carrier, self.key_pair)
        if self.hangs_up:
            stream.abort()


class Behind(Known):
    """Finds somebody before the one who is known."""

    def __init__(self, first: PeerAddress, public_key: bytes, address: Address) -> None:
        super().__init__(public_key, address)
        self._first = first

    async def lookup(self, topic: bytes) -> AsyncGenerator[PeerAddress]:
        yield self._first
        async for peer in super().lookup(topic):
            yield peer


@pytest.fixture
async def stack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncExitStack]:
    monkeypatch.setattr("net.channels.liveness.PING_AFTER", 0.25)
    monkeypatch.setattr("net.channels.liveness.SILENT_AFTER", 0.25)
    async with AsyncExitStack() as stack:
        yield stack


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_who_is_mute_hides_nobody_and_is_met_less_and_less_often(
    stack: AsyncExitStack, hangs_up: bool
) -> None:
    mute = Mute(stack, hangs_up=hangs_up)
    first = PeerAddress(mute.key_pair.public_key, (await mute.listen(),))
    ours, theirs = (stack.enter_context(Store.memory()) for _ in range(2))
    feed = ours.feed("log")
    feed.append(b"one")
    nobody = Known(bytes(32), ("127.0.0.1", 9))
    writer = Node(ours, host="127.0.0.1", discovery=nobody)
    await stack.enter_async_context(writer)
    await writer.share(feed)
    known = Behind(first, writer.public_key, parse_address(writer.address))
    reader = await stack.enter_async_context(Node(theirs, host="127.0.0.1", discovery=known))
    remote = await reader.follow(feed.key)
    assert await remote.get(0, timeout=30) == b"one"
    finder = reader._feeds._finders[remote._swarm]
    while finder._delay < 8 * FIRST_RETRY:
        await asyncio.sleep(0.01)
        with_him = [one for one in reader.connections if one.remote_key == first.public_key]
        assert sum(not one.is_closing for one in with_him) <= 1
    feed.append(b"two")
    assert await anext(aiter(remote.live(start=1))) == b"two"
