"""A node: one identity, one port, the feeds that it shares and those that it follows.

    async with Node(store, bootstrap=["198.51.100.7:49737"]) as node:
        await node.share(feed)
        remote = await node.follow(key)
        server = await node.listen(handler)
        stream = await node.connect(public_key)
        await node.put(b"the latest release is 7")

The facade of `net`. Its parts, which `net.assembly` puts together: `Ports` that listen, a
`Reception` for those who come, a `Discovery` that finds others, `Reach` that gets to them,
`Feeds` for streams of channels and `Streams` for plain ones.

Invariant: what `start` opens, `close` closes, also when `start` has failed half way.
Must not know messages, proofs, routing tables or sockets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path

from feedlog import Feed, KeyPair, Store
from net.addresses import parse_address
from net.assembly import Assembly
from net.carriers.ports import ANYWHERE
from net.dht.hashing import relay_topic
from net.dht.sealing import NETWORK_KEY_SIZE
from net.discovery import Discovery, PeerAddress
from net.errors import ClosedError, NetError
from net.finding.network import Network
from net.finding.values import ValueSearch
from net.lifetime import Lifetime
from net.parts import Parts
from net.punch.classify import NatReport
from net.reaching.dial import Attempt
from net.reaching.streams import AllowStream, Server, StreamHandler, Streams
from net.relay.limits import RelayLimits
from net.relay.service import AllowRelay
from net.replicate.messages import MAX_NAME
from net.replicate.serving import Handler
from net.replicate.throttle import Throttle
from net.secure.stream import SecureStream
from net.sharing.connection import PROTOCOL as CHANNELS
from net.sharing.connection import Connection
from net.sharing.feeds import AllowFeed, Feeds
from net.sharing.remote import Remote

MAX_DIALS = 8
"""Peers of feeds that are being reached at a time."""

JOIN_TIME = 1.0
"""Seconds in which the network answers, or relays are looked for."""

CONNECT_TIMEOUT = 20.0
"""Seconds for a stream by key: a search, an introduction, and the longest punch."""

log = logging.getLogger(__name__)


class Node(Lifetime):
    """A member of the network; use it as an async context manager.

    `bootstrap` names nodes as "host:port"; with none, this node starts a network.
    `host` is one to listen on, or several of different families; every one by default.
    `allow(peer's public key, feed)` decides who may read what; everyone who knows a
    feed's key may, by default. `upload_limit` and `download_limit` are bytes a second, of
    feeds and not of plain streams. A node for one errand is `ephemeral`: other nodes do not
    come to count on it. Nodes that answered are kept in the file `contacts`. Peers on the
    local network are found without the DHT, too, unless `lan` is False or the host is a
    loopback address; and by `more`, which were started and are closed with the node. Who has
    the same `network_key` of 32 bytes is in a network of its own, which nobody else can join.
    `discovery` replaces all of that. With `relay` the node passes on, within `relay_limits`,
    what others cannot send each other directly; `relay_allow(public key, purpose)` decides
    who may `reserve` a place at it and who may `connect` to one that waits there.
    """

    def __init__(
        self,
        store: Store,
        *,
        bootstrap: Sequence[str] = (),
        host: str | Sequence[str] = ANYWHERE,
        port: int = 0,
        discovery: Discovery | None = None,
        contacts: str | Path | None = None,
        lan: bool | None = None,
        more: Sequence[Discovery] = (),
        network_key: bytes | None = None,
        relay: bool = False,
        relay_limits: RelayLimits | None = None,
        relay_allow: AllowRelay | None = None,
        ephemeral: bool = False,
        allow: AllowFeed | None = None,
        upload_limit: float | None = None,
        download_limit: float | None = None,
    ) -> None:
        _check(bootstrap, host, port, network_key)
        self.bootstrap = tuple(bootstrap)
        self._key_pair = store.key_pair("node")
        self._parts: Parts | None = None
        self._feeds = Feeds(
            store,
            self.public_key,
            allow=allow,
            upload=Throttle(upload_limit),
            download=Throttle(download_limit),
            asked=lambda: self._running().network.asked,
        )
        self._streams = Streams(self.public_key)
        self._dials = asyncio.Semaphore(MAX_DIALS)
        network = partial(
            Network,
            self._key_pair,
            bootstrap=self.bootstrap,
            ephemeral=ephemeral,
            contacts=None if contacts is None else Path(contacts),
            lan=lan,
            network_key=network_key,
            given=discovery,
        )
        self._assembly = Assembly(
            key_pair=self._key_pair,
            hosts=(host,) if isinstance(host, str) else tuple(host),
            port=port,
            bootstrap=self.bootstrap,
            network=network,
            more=tuple(more),
            relay_limits=(relay_limits or RelayLimits()) if relay else None,
            relay_allow=relay_allow,
            feeds=self._feeds,
            streams=self._streams,
            running=self._running,
        )
        self._started = self._closed = False

    def __repr__(self) -> str:
        return f"<Node {self.public_key.hex()[:16]}>"

    # Life.

    async def start(self) -> None:
        """Listen and join the network; raises `ListenError`.

        A network that cannot be reached now is tried again; meanwhile what is here works.
        Raises `RuntimeError` on an event loop that is not asyncio's own.
        """
        if self._started:
            raise RuntimeError("the node was started before")
        loop = type(asyncio.get_running_loop())
        if not issubclass(loop, asyncio.SelectorEventLoop):  # measured: docs/adr/0017
            name = f"{loop.__module__}.{loop.__qualname__}"
            problem = f"a node runs on asyncio's SelectorEventLoop, not on {name}"
            raise RuntimeError(problem)  # noqa: TRY004 - nothing that was passed is of a wrong type
        self._started = True
        self._parts = await self._assembly.build()
        await self._join(self._parts)

    async def _join(self, parts: Parts) -> None:
        joining = asyncio.get_running_loop().create_task(parts.network.start())
        try:
            await asyncio.wait({joining}, timeout=JOIN_TIME)
            parts.relaying.start(parts.network.discovery, parts.wants_relays)
            if not joining.done():
                parts.relaying.seek()
            await joining
        finally:
            joining.cancel()
        discovery, announcer = parts.network.discovery, parts.announcer
        self._feeds.start(discovery, announcer, self._reach_for_feed, parts.reception)
        self._streams.start(discovery, announcer, self._reach)
        parts.announcer.start()
        parts.whereabouts.start()
        if parts.network.is_cut_off:
            await parts.relaying.settle()
        if parts.relaying.service is not None:
            try:
                await parts.announcer.announce(relay_topic())
            except NetError as error:
                log.warning("nobody is told of this relay: %s", error)

    async def close(self) -> None:
        """Leave: withdraw announcements, close all streams. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        parts = self._parts
        if parts is not None:
            await parts.whereabouts.close()
            parts.ports.stop()
            await parts.rendezvous.close()
            await parts.reception.close()
        await self._feeds.close()
        self._streams.close()
        if parts is not None:
            await parts.reach.upgrades.close()
            await parts.relaying.close()
            await parts.announcer.close()
            await parts.network.close()
            parts.ports.close()

    def _running(self) -> Parts:
        if self._closed or self._parts is None:
            raise ClosedError("the node is not running")
        return self._parts

    # Who and where.

    @property
    def public_key(self) -> bytes:
        """The node's identity, by which others connect to it."""
        return self._key_pair.public_key

    @property
    def address(self) -> str:
        """The "host:port" that another node can bootstrap from."""
        return self._running().network.address

    @property
    def trouble(self) -> str:
        """Why the network could not be joined when the node started; empty if it was."""
        return self._running().network.trouble

    @property
    def nat(self) -> NatReport:
        """What kind of router we are behind, as far as the nodes of the DHT can tell."""
        return self._running().network.nat

    @property
    def peers(self) -> list[bytes]:
        """The public keys of the peers that we share feeds with."""
        return self._feeds.peers

    @property
    def connections(self) -> list[Connection]:
        """The connections to those peers."""
        return self._feeds.connections

    # Feeds.

    async def share(self, feed: Feed) -> int:
        """Serve a feed, or what we hold of it, and announce that we do.

        Returns how many DHT nodes know it now; with 0, it is tried again.
        """
        relaying = self._running().relaying
        try:
            return await self._feeds.share(feed)
        finally:
            relaying.look()

    async def unshare(self, feed: Feed) -> None:
        """Announce a feed no more, and serve it no more unless it is followed."""
        self._running()
        await self._feeds.unshare(feed)

    async def follow(self, key: bytes) -> Remote:
        """Find peers of a feed, connect to them, and keep up with it.

        Returns at once: what is asked of the remote waits for peers. The replica is
        `store.feed(key=key)`; peers who ask for it are served.
        """
        self._running()
        return self._feeds.follow(key)

    def extension(self, name: str, handler: Handler) -> None:
        """Answer hints of that name: `handler(feed, payload)` names the blocks to send.

        Raises `ValueError` for a name that peers would not take: it has 1 to 32 characters.
        """
        if not 1 <= len(name) <= MAX_NAME:
            raise ValueError(f"an extension's name has 1 to {MAX_NAME} characters, not {len(name)}")
        self._feeds.extension(name, handler)

    async def _reach_for_feed(self, peer: PeerAddress, topic: bytes) -> SecureStream:
        """Open a stream of channels to a peer of a feed."""
        async with self._dials:
            return await self._reach(peer, topic, CHANNELS, [])

    async def _reach(
        self, peer: PeerAddress, topic: bytes, protocol: str, attempts: list[Attempt]
    ) -> SecureStream:
        return await self._running().reach.connect(peer, topic, protocol, attempts)

    # Plain streams.

    async def listen(self, handler: StreamHandler, *, allow: AllowStream | None = None) -> Server:
        """Accept streams to our public key and announce that we do.

        `handler(stream)` is a coroutine function, run for each; `allow(public key)`
        decides about a peer before it gets an answer.
        """
        relaying = self._running().relaying
        try:
            return await self._streams.listen(handler, allow)
        finally:
            relaying.look()

    async def connect(
        self,
        public_key: bytes,
        *,
        timeout: float = CONNECT_TIMEOUT,  # noqa: ASYNC109 - the error says what was tried
    ) -> SecureStream:
        """Open a stream to the node with that key, wherever it is.

        Raises `NotFound`, `ConnectError` or `DeadlineError`: docs/guide/connect.md.
        """
        return await self._streams.connect(public_key, timeout, self.trouble)

    # Topics, and values.

    async def announce(self, topic: bytes) -> int:
        """Announce that we are to be found under a topic of 20 bytes, until it is withdrawn.

        Returns how many others know it now; with 0, it is tried again. Who looks it up learns
        our key and addresses, and connects if we listen.
        """
        relaying = self._running().relaying
        try:
            return await self._running().announcer.announce(topic)
        finally:
            relaying.look()

    async def withdraw(self, topic: bytes) -> None:
        """Announce a topic no more."""
        await self._running().announcer.withdraw(topic)

    def lookup(self, topic: bytes) -> AsyncGenerator[PeerAddress]:
        """Yield those who announce a topic of 20 bytes, the first at once.

        A peer is yielded again when newer addresses of it turn up.
        """
        return self._running().network.discovery.lookup(topic)

    def find(self, public_key: bytes) -> AsyncGenerator[PeerAddress]:
        """Yield where the node with that key listens, and newer addresses as they turn up."""
        self._running()
        return self._streams.find(public_key)

    async def put(
        self,
        value: bytes,
        *,
        seq: int | None = None,
        cas: int | None = None,
        salt: bytes = b"",
        key_pair: KeyPair | None = None,
        keep: bool = True,
    ) -> int:
        """Publish a value of at most 512 bytes, signed, for all who have the public key.

        It is this node's key unless a `key_pair` is given; `salt` (at most 32 bytes) tells the
        values of one key apart. A value replaces one with a lower `seq`, which is the time of
        day in milliseconds unless it is given; with `cas` only the one with that seq. While
        `keep`, this node renews it (256 values at most); two hours later it is gone.

        Returns how many others hold it; with 0, one that is kept is tried again. Cancelled, it
        keeps what was kept before and nothing else, though some may hold the value already.
        Raises `RefusedError` when one is held that it may not replace, or nobody takes it.
        """
        dht = self._running().network.values
        return await dht.put(value, key_pair=key_pair, salt=salt, seq=seq, cas=cas, keep=keep)

    def get(self, public_key: bytes, *, salt: bytes = b"") -> ValueSearch:
        """Look for the value that the owner of a key publishes under a salt.

        `await` it for the newest; it raises `NotFound`. Or iterate: `async for` yields what is
        found first at once, and then only what has a higher seq.
        """
        network = self._running().network
        dht = network.values
        return ValueSearch(partial(dht.get, public_key, salt), public_key, network.trouble)


def _check(
    bootstrap: Sequence[str], host: str | Sequence[str], port: int, network_key: bytes | None
) -> None:
    """Refuse what no network could begin with, before anything is opened."""
    if isinstance(bootstrap, str):
        raise TypeError(f"bootstrap is a list of addresses, not one: {bootstrap!r}")
    for name in bootstrap:
        parse_address(name)
    if not 0 <= port < 2**16:
        raise ValueError(f"a port lies in 0..65535, where 0 takes any: not {port}")
    if not host:
        raise ValueError("host names no address to listen on: leave it out to have all")
    if network_key is not None and len(network_key) != NETWORK_KEY_SIZE:
        raise ValueError(f"a network key has {NETWORK_KEY_SIZE} bytes, not {len(network_key)}")
