"""What strangers can do to a running node over its own sockets: cost it a bounded amount.

Whatever goes on, honest peers who come meanwhile are served. Here attackers come by TCP and
have the address of the honest; floods that need processes of their own are in tests/processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from feedlog import Feed, KeyPair, Store
from net.addresses import Address, parse_address
from net.carriers.tcp import connect_tcp
from net.channels import Channel
from net.channels import messages as frames
from net.errors import NetError
from net.hashing import capability
from net.node import Node
from net.noise import NoiseSession
from net.reaching.admission import MAX_HANDSHAKES_SHARE, Stage
from net.reaching.reception import Reception
from net.replicate.messages import PROTOCOL as REPLICATE
from net.replicate.messages import Cancel, Have, Info, Message, NoData, Request, Want, encode
from net.secure.opening import open_stream
from net.secure.stream import SecureStream
from net.sharing.connection import PROTOCOL as CHANNELS
from net.sharing.connection import Connection
from tests.reference.eavesdropper import Eavesdropper, Known

BLOCKS = [b"block %d" % i * 20 for i in range(300)]
CROWD = 120
"""Attackers at a time: more than a node has places for."""
MEMORY = 48 << 20
"""Bytes by which any of this may make the process grow, the attackers' own share included."""


class Victim:
    """The node under attack, and how one attacks it."""

    def __init__(self, node: Node, feed: Feed) -> None:
        self.node = node
        self.feed = feed
        self.reception = reception_of(node)
        self.address: Address = parse_address(node.address)
        self._writers: list[asyncio.StreamWriter] = []
        self._streams: list[SecureStream] = []

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect a bare socket, which stays open until the end."""
        reader, writer = await asyncio.open_connection(*self.address)
        self._writers.append(writer)
        return reader, writer

    def first_message(self) -> bytes:
        """What an initiator sends first: IK message 1, of a key made for it."""
        session = NoiseSession(
            KeyPair.generate(),
            initiator=True,
            remote_key=self.node.public_key,
            protocol=CHANNELS,
            extra=b"",
            binding=b"",
        )
        return session.data_to_send()

    async def shake_hands(self, key_pair: KeyPair | None = None) -> SecureStream:
        """Come as a peer of whom nothing bad is known yet."""
        carrier = await connect_tcp(*self.address)
        key_pair = key_pair or KeyPair.generate()
        stream = await open_stream(carrier, key_pair, self.node.public_key, protocol=CHANNELS)
        self._streams.append(stream)
        return stream

    async def begin(self) -> tuple[Connection, Channel, Quiet]:
        """Come as a peer who knows the feed, and open a channel about it."""
        connection = Connection(await self.shake_hands())
        handler = Quiet()
        channel = connection.open(self.feed.key, REPLICATE, handler)
        await handler.changed.wait()
        return connection, channel, handler

    async def hang_up(self) -> None:
        """Cut everything that attackers have opened."""
        for writer in self._writers:
            writer.transport.abort()
        for stream in self._streams:
            stream.abort()
            await stream.wait_closed()
        self._writers.clear()
        self._streams.clear()


def reception_of(node: Node) -> Reception:
    assert node._parts is not None, "it runs"
    return node._parts.reception


class Quiet:
    """Takes what a channel says and answers nothing."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    async def room(self, channel: Channel) -> None:
        """Wait until more can be sent, or nothing any more."""
        while channel.is_open and not channel.writable:
            self.changed.clear()
            await self.changed.wait()

    def channel_opened(self, _: Channel) -> None:
        self.changed.set()

    def message_received(self, channel: Channel, data: bytes, _: bool) -> None:
        channel.consume(len(data))

    def channel_drained(self, _: Channel) -> None:
        self.changed.set()

    def channel_closed(self, _: Channel, __: str) -> None:
        self.changed.set()


def memory() -> int:
    """Bytes of this process that are not pages of files."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("/proc/self/status names no RssAnon")


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Awaitable[Node]]]:
    async with AsyncExitStack() as stack:

        async def start(store: Store, *bootstrap: str, **options: Any) -> Node:
            node = Node(store, host="127.0.0.1", bootstrap=bootstrap, **options)
            return await stack.enter_async_context(node)

        yield start


Start = Callable[..., Awaitable[Node]]


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.memory() as store:
        yield store


@pytest.fixture
async def victim(start: Start, store: Store) -> AsyncIterator[Victim]:
    feed = store.feed("log")
    feed.extend(BLOCKS)
    node = await start(store)
    await node.share(feed)
    victim = Victim(node, feed)
    yield victim
    await victim.hang_up()


async def serves(victim: Victim, start: Start) -> None:
    """See that somebody who comes now is served."""
    with Store.memory() as store:
        known = Known(victim.node.public_key, victim.address)
        node = await start(store, discovery=known)
        remote = await node.follow(victim.feed.key)
        index = random.randrange(len(BLOCKS))
        assert await remote.get(index, timeout=60) == BLOCKS[index]
        await remote.download(timeout=60)
        assert list(remote.feed) == BLOCKS
        await node.close()


# --- before the handshake is done ----------------------------------------------------------------


async def nothing(victim: Victim) -> None:
    """Connect and say nothing."""
    for _ in range(CROWD):
        await victim.dial()


async def half_a_handshake(victim: Victim) -> None:
    message = victim.first_message()
    for _ in range(CROWD):
        _, writer = await victim.dial()
        writer.write(message[: len(message) // 2])


async def no_record(victim: Victim) -> None:
    """Begin properly, and never send the record that would prove it."""
    for _ in range(CROWD):
        _, writer = await victim.dial()
        writer.write(victim.first_message())


async def garbage(victim: Victim) -> None:
    for number in range(CROWD):
        _, writer = await victim.dial()
        writer.write(random.Random(number).randbytes(5000))


async def large_sizes(victim: Victim) -> None:
    """Announce as much as any field can, of a handshake message and of a record."""
    for number in range(CROWD):
        _, writer = await victim.dial()
        lead = victim.first_message() if number % 2 else b"\x11"
        writer.write(lead + b"\xff" * 64)


async def byte_by_byte(victim: Victim) -> None:
    message = victim.first_message()
    writers = [(await victim.dial())[1] for _ in range(CROWD)]
    for byte in message[:50]:
        for writer in writers:
            writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def come_and_go(victim: Victim) -> None:
    """Connect and cut, as fast as it goes."""
    for number in range(3 * CROWD):
        _, writer = await asyncio.open_connection(*victim.address)
        writer.write(os.urandom(number % 200))
        writer.transport.abort()


BEFORE = [
    nothing, half_a_handshake, no_record, garbage, large_sizes, byte_by_byte, come_and_go,
]  # fmt: skip


@pytest.mark.parametrize("attack", BEFORE, ids=lambda attack: attack.__name__)
async def test_strangers_who_do_not_shake_hands(
    victim: Victim, start: Start, attack: Callable[[Victim], Awaitable[None]]
) -> None:
    await serves(victim, start)
    grown = memory()
    attacking = asyncio.ensure_future(attack(victim))
    while not attacking.done():
        await serves(victim, start)
        assert victim.reception.admission.count(Stage.SHAKING) <= MAX_HANDSHAKES_SHARE
        assert victim.reception.admission.count(Stage.INSIDE) <= 1
    await attacking
    await serves(victim, start)
    assert memory() - grown < MEMORY
    await victim.hang_up()
    await serves(victim, start)


async def test_who_has_left_is_counted_nowhere(victim: Victim) -> None:
    await asyncio.gather(nothing(victim), half_a_handshake(victim))
    await victim.hang_up()
    reception = victim.reception
    await asyncio.sleep(0)
    while reception._tasks:
        await asyncio.wait(list(reception._tasks.values()))
    assert not reception._carriers
    assert not any(reception.admission.count(stage) for stage in Stage)


# --- with a handshake, and without a feed --------------------------------------------------------


async def unknown_feeds(victim: Victim) -> None:
    """Ask for one feed after another that the node does not have, and read no answer."""
    stream = await victim.shake_hands()
    stream.write(frames.encode_control(frames.Hello(1, 1)))
    with contextlib.suppress(NetError):
        for number in range(20_000):
            name = number.to_bytes(32, "big")
            ask = frames.Open(number, name, REPLICATE, os.urandom(32), 1 << 20)
            stream.write(frames.encode_control(ask))
            if number % 100 == 0:
                await stream.drain()


async def no_frames(victim: Victim) -> None:
    """Send garbage in authentic records."""
    for number in range(50):
        stream = await victim.shake_hands()
        stream.write(random.Random(number).randbytes(100_000))


async def endless_frame(victim: Victim) -> None:
    """Announce the largest frame, and bring it a byte at a time, a record each."""
    streams = [await victim.shake_hands() for _ in range(50)]
    with contextlib.suppress(NetError):
        for stream in streams:
            stream.write(frames.encode_control(frames.Hello(1, 1)) + b"\xff\xff\x01")
        for _ in range(200):
            for stream in streams:
                stream.write(b"x")
                await stream.drain()


async def idle(victim: Victim) -> None:
    """Shake hands and say nothing more."""
    for _ in range(CROWD):
        await victim.shake_hands()


STRANGERS = [unknown_feeds, no_frames, endless_frame, idle]


@pytest.mark.parametrize("attack", STRANGERS, ids=lambda attack: attack.__name__)
async def test_peers_who_know_no_feed(
    victim: Victim, start: Start, attack: Callable[[Victim], Awaitable[None]]
) -> None:
    await serves(victim, start)
    grown = memory()
    attacking = asyncio.ensure_future(attack(victim))
    while not attacking.done():
        await serves(victim, start)
    await attacking
    await serves(victim, start)
    assert memory() - grown < MEMORY


async def test_asking_for_a_feed_without_its_key(victim: Victim, start: Start) -> None:
    """The topic in the DHT and the discovery key are known to all; neither opens a channel."""
    for proof in (os.urandom(32), None):
        stream = await victim.shake_hands()
        wrong = capability(victim.feed.discovery_key, stream.handshake_hash, initiator=True)
        ask = frames.Open(0, victim.feed.discovery_key, REPLICATE, proof or wrong, 1 << 20)
        stream.write(frames.encode_control(frames.Hello(1, 1)) + frames.encode_control(ask))
        said = bytearray()
        with contextlib.suppress(NetError):
            while part := await stream.read(65536):
                said += part
        mine = capability(victim.feed.key, stream.handshake_hash, initiator=False)
        assert mine not in said, "it has shown that it holds the feed"
        assert not victim.node._feeds._swarms[victim.feed.discovery_key].peers
    await serves(victim, start)


# --- with a channel about the feed ---------------------------------------------------------------


FLOODS: dict[str, Callable[[int], Message]] = {
    "requests": lambda n: Request(n + 1, 0, 0, 0, (0, len(BLOCKS))),
    "urgent requests": lambda n: Request(n + 1, 0, 0, 0, (n % 300, 1), urgent=True),
    "requests of hashes": lambda n: Request(n + 1, 0, 300, 300, hashes=tuple(range(500))),
    "haves": lambda n: Have(0, 1 << 40, (n, 1, *(2, 1) * 1000)),
    "haves of everything": lambda n: Have(n, 1 << 40, (0, 1 << 30)),
    "heads": lambda n: Info(1, 0, 2**40 - n),
    "wants": lambda n: Want(n, n + (1 << 30)),
    "extensions": lambda n: Request(n + 1, 0, 0, 0, hint=(f"x{n}", bytes(8000))),
    "known extensions": lambda n: Request(n + 1, 0, 0, 0, hint=("trie", os.urandom(3000))),
    "names of extensions": lambda n: Info(1, 0, 300, True, tuple(f"{n} {i}" for i in range(16))),
    "cancels": lambda n: Cancel(n + 1),
    "refusals": lambda n: NoData(n + 1),
}
MESSAGES = 500


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_of_messages(victim: Victim, start: Start, kind: str) -> None:
    await serves(victim, start)
    grown = memory()
    victim.node.extension("trie", lambda _feed, _payload: range(300))
    connection, channel, handler = await victim.begin()

    async def flood() -> None:
        for number in range(MESSAGES):
            await handler.room(channel)
            if not channel.is_open:
                return
            channel.send(encode(FLOODS[kind](number)), urgent=number % 2 == 0)
            if number % 50 == 0:
                await asyncio.sleep(0)

    attacking = asyncio.ensure_future(flood())
    while not attacking.done():
        await serves(victim, start)
    await attacking
    await serves(victim, start)
    connection.close()
    await connection.wait_closed()
    assert memory() - grown < MEMORY
    assert list(victim.feed) == BLOCKS


async def test_a_reader_of_nothing_that_asks_for_all(victim: Victim, start: Start) -> None:
    """Whoever asks for much and takes nothing gets what his window and the kernel's hold."""
    grown = memory()
    connections = [await victim.begin() for _ in range(20)]
    for connection, channel, _ in connections:
        connection.stream._carrier.pause_reading()
        for number in range(400):
            if channel.is_open:
                channel.send(encode(Request(number + 1, 0, 0, 0, (0, len(BLOCKS)))))
    await serves(victim, start)
    assert memory() - grown < MEMORY
    for connection, *_ in connections:
        connection.stream.abort()
        await connection.wait_closed()


# --- on the way ----------------------------------------------------------------------------------


async def conversation(victim: Victim) -> Eavesdropper:
    """Overhear an honest one, from the first byte to the last."""
    async with Eavesdropper(victim.address) as eve:
        with Store.memory() as store:
            known = Known(victim.node.public_key, eve.address)
            async with Node(store, host="127.0.0.1", discovery=known) as node:
                remote = await node.follow(victim.feed.key)
                await remote.download(range(20), timeout=60)
    return eve


async def test_a_cut_after_each_record_is_survived_on_both_sides(victim: Victim) -> None:
    length = (await conversation(victim)).count
    assert length > 6

    async def read(after: int) -> None:
        def cut(number: int, message: bytes) -> bytes | None:
            if number < after:
                return message
            eve.alter = None  # once
            return None

        with Store.memory() as store:
            async with Eavesdropper(victim.address, cut) as eve:
                known = Known(victim.node.public_key, eve.address)
                async with Node(store, host="127.0.0.1", discovery=known) as node:
                    remote = await node.follow(victim.feed.key)
                    await remote.download(range(20), timeout=60)
                    assert remote.feed[:20] == BLOCKS[:20]

    await asyncio.gather(*(read(after) for after in range(length)))


async def test_bytes_altered_on_the_way_are_not_held_against_the_peer(victim: Victim) -> None:
    length = (await conversation(victim)).count

    async def read(place: int) -> None:
        def spoil(number: int, message: bytes) -> bytes | None:
            if number != place:
                return message
            eve.alter = None  # once
            return message[:-1] + bytes([message[-1] ^ 1])

        with Store.memory() as store:
            async with Eavesdropper(victim.address, spoil) as eve:
                known = Known(victim.node.public_key, eve.address)
                async with Node(store, host="127.0.0.1", discovery=known) as node:
                    remote = await node.follow(victim.feed.key)
                    await remote.download(range(20), timeout=60)
                    assert remote.feed[:20] == BLOCKS[:20]
                    assert not reception_of(node).is_banned(victim.node.public_key)
                    assert not victim.reception.is_banned(node.public_key)

    await asyncio.gather(*(read(place) for place in range(length)))


async def test_a_whole_session_sent_again(victim: Victim, start: Start) -> None:
    """The node answers the handshake, for it cannot know; the records then open nothing."""
    eve = await conversation(victim)
    for _ in range(20):
        reader, writer = await victim.dial()
        writer.write(eve.sent)
        with contextlib.suppress(OSError):
            while await reader.read(65536):
                pass
    assert victim.node.peers == []
    assert victim.reception.admission.count(Stage.INSIDE) == 0
    await serves(victim, start)
