"""A node: one identity, one port, the feeds that it shares and those that it follows.

    async with Node(store, bootstrap=["198.51.100.7:49737"]) as node:
        await node.share(feed)
        remote = await node.follow(key)
        server = await node.listen(handler)
        stream = await node.connect(public_key)

The facade of `net`: it finds peers through a `Discovery`, opens and accepts secure
streams, and gives each to those it is for: channels to the swarms of feeds, plain
streams to `listen`'s handler. One connection to a peer serves all feeds.

Invariant: strangers cost a bounded number of handshakes and connections, and a peer that
broke a rule is not dealt with for a time: `net.admission` says how many and how long.
Must not know messages, proofs or routing tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Self

from feedlog import Feed, Store
from net.addresses import Address, format_address, parse_address
from net.admission import Admission, Admitted, Guest
from net.carriers.base import Carrier
from net.carriers.quic import QuicPort
from net.carriers.tcp import TcpListener, listen_tcp
from net.carriers.udp import UdpSocket
from net.connection import PROTOCOL as CHANNELS
from net.connection import Connection
from net.dht.hashing import feed_topic, peer_topic
from net.dht.node import DhtNode
from net.dial import dial, ways_to
from net.discovery import Discovery, PeerAddress
from net.errors import (
    ClosedError,
    ConnectError,
    DeadlineError,
    ListenError,
    NetError,
    NotFound,
    PeerError,
)
from net.finder import Finder, note_peer
from net.remote import Remote
from net.replicate.serving import Handler
from net.replicate.throttle import Throttle
from net.stream import SecureStream, accept_stream, open_stream
from net.swarm import Peer, Swarm

STREAMS = "feedlog/stream/1"
"""What an initiator asks for in the handshake of a plain stream."""

MAX_DIALS = 8
"""Outgoing connections in the making."""

POLL = 0.25
"""Seconds in which an append of another process is noticed."""

WITHDRAWAL = 0.5
"""Seconds that closing spends on taking announcements back; they expire anyway."""

PORT_ATTEMPTS = 16

StreamHandler = Callable[[SecureStream], Coroutine[Any, Any, None]]
AllowStream = Callable[[bytes], bool | Awaitable[bool]]
AllowFeed = Callable[[bytes, Feed], bool | Awaitable[bool]]

log = logging.getLogger(__name__)


class Server:
    """What `Node.listen` returns: close it to accept no more streams."""

    def __init__(self, node: Node, handler: StreamHandler, allow: AllowStream | None) -> None:
        self.handler = handler
        self.allow = allow
        self._node = node

    @property
    def public_key(self) -> bytes:
        """What others connect to."""
        return self._node.public_key

    async def close(self) -> None:
        """Accept no more streams; those that exist go on."""
        await self._node.stop_listening(self)


class Node:
    """A member of the network; use it as an async context manager.

    `bootstrap` names nodes as "host:port"; with none, this node starts a network.
    `allow(peer's public key, feed)` decides who may read what; everyone who knows a
    feed's key may, by default. `upload_limit` and `download_limit` are bytes a second, of
    feeds and not of plain streams. `discovery` replaces the DHT.
    """

    def __init__(
        self,
        store: Store,
        *,
        bootstrap: Sequence[str] = (),
        host: str = "0.0.0.0",  # noqa: S104 - a node is there to be reached
        port: int = 0,
        discovery: Discovery | None = None,
        allow: AllowFeed | None = None,
        upload_limit: float | None = None,
        download_limit: float | None = None,
    ) -> None:
        for name in bootstrap:
            parse_address(name)
        self.bootstrap = tuple(bootstrap)
        self._store = store
        self._key_pair = store.key_pair("node")
        self._host, self._port = host, port
        self._allow = allow
        self._upload, self._download = Throttle(upload_limit), Throttle(download_limit)
        self._discovery = discovery
        self._dht: DhtNode | None = None
        self._udp: UdpSocket | None = None
        self._quic: QuicPort | None = None
        self._listener: TcpListener | None = None
        self._executor = ThreadPoolExecutor(1, "feedlog-store")
        self._handlers: dict[str, Handler] = {}
        self._server: Server | None = None
        self._swarms: dict[bytes, Swarm] = {}
        self._remotes: dict[Swarm, Remote] = {}
        self._finders: dict[Swarm, Finder] = {}
        self._searches: dict[Swarm, asyncio.Task[None]] = {}
        self._connections: dict[bytes, list[Connection]] = {}
        self._streams: set[SecureStream] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._admission = Admission()
        self._arrived: dict[Guest, tuple[Carrier, asyncio.Task[None] | None]] = {}
        self._dials = asyncio.Semaphore(MAX_DIALS)
        self._joined = ""
        self._started = self._closed = False

    def __repr__(self) -> str:
        return f"<Node {self.public_key.hex()[:16]}>"

    # Life.

    async def start(self) -> None:
        """Listen and join the network; raises `ListenError`.

        A network that cannot be reached now is tried again; meanwhile what is here works.
        """
        if self._started:
            raise RuntimeError("the node was started before")
        self._started = True
        if self._discovery is None:
            await self._open_ports()
            assert self._udp is not None, "opened above"
            self._dht = DhtNode(self._key_pair, self._udp, bootstrap=self.bootstrap)
            self._discovery = self._dht
            try:
                await self._dht.start()
            except NetError as error:
                self._joined = str(error)
                log.warning("%s", error)
        else:
            if isinstance(self._discovery, DhtNode):
                self._dht = self._discovery
            self._listener = await listen_tcp(self._accepted, self._host, self._port)
        self._run(self._poll())

    async def _open_ports(self) -> None:
        """Listen on one port number for both TCP and UDP."""
        for attempt in range(PORT_ATTEMPTS):
            udp = await UdpSocket.open(self._host, port=self._port)
            try:
                port = udp.addresses[0][1]
                self._listener = await listen_tcp(self._accepted, self._host, port)
            except ListenError:
                udp.close()
                if self._port or attempt == PORT_ATTEMPTS - 1:
                    raise
            else:
                self._udp = udp
                self._quic = QuicPort(udp, self._accepted)
                return

    async def close(self) -> None:
        """Leave: withdraw announcements, close all streams. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        if self._listener is not None:
            self._listener.close()
        for remote in list(self._remotes.values()):
            await remote.close()
        for carrier, _ in self._arrived.values():
            carrier.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for swarm in self._swarms.values():
            swarm.close()
        for connections in list(self._connections.values()):
            for connection in connections:
                connection.close("leaving")
        for stream in self._streams:
            stream.abort()
        if self._started and self._discovery is not None:
            with contextlib.suppress(NetError, TimeoutError):
                async with asyncio.timeout(WITHDRAWAL):
                    await self._withdraw()
            await self._discovery.close()
        if self._quic is not None:
            self._quic.close()
        if self._udp is not None:
            self._udp.close()
        self._executor.shutdown()

    async def _withdraw(self) -> None:
        assert self._discovery is not None, "checked by the caller"
        topics = [feed_topic(swarm.feed.discovery_key) for swarm in self._shared]
        if self._server is not None:
            topics.append(peer_topic(self.public_key))
        withdrawals = (self._discovery.unannounce(topic) for topic in topics)
        await asyncio.gather(*withdrawals, return_exceptions=True)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _running(self) -> Discovery:
        if not self._started or self._closed or self._discovery is None:
            raise ClosedError("the node is not running")
        return self._discovery

    # Who and where.

    @property
    def public_key(self) -> bytes:
        """The node's identity, by which others connect to it."""
        return self._key_pair.public_key

    @property
    def address(self) -> str:
        """The "host:port" that another node can bootstrap from."""
        if self._dht is not None:
            return self._dht.address
        self._running()
        assert self._listener is not None, "a running node listens"
        return format_address(self._listener.addresses[0])

    @property
    def peers(self) -> list[bytes]:
        """The public keys of the peers that we are connected with."""
        return list(self._connections)

    def _addresses(self) -> list[Address]:
        """Return the TCP addresses at which we can be announced."""
        assert self._listener is not None, "a running node listens"
        hosts: Iterable[str] = self._dht.hosts() if self._dht else (self._host,)
        port = self._listener.addresses[0][1]
        return [(host, port) for host in hosts]

    # Feeds.

    async def share(self, feed: Feed) -> int:
        """Serve a feed, or what we hold of it, and announce that we do.

        Returns how many DHT nodes know it now; with 0, it is tried again.
        """
        discovery = self._running()
        swarm = self._swarm(feed)
        swarm.sharing = True
        return await discovery.announce(feed_topic(feed.discovery_key), self._addresses())

    async def unshare(self, feed: Feed) -> None:
        """Announce a feed no more, and serve it no more unless it is followed."""
        discovery = self._running()
        swarm = self._swarms.get(feed.discovery_key)
        if swarm is not None and swarm.sharing:
            swarm.sharing = False
            self._release(swarm)
            await discovery.unannounce(feed_topic(feed.discovery_key))

    async def follow(self, key: bytes) -> Remote:
        """Find peers of a feed, connect to them, and keep up with it.

        Returns at once: what is asked of the remote waits for peers. The replica is
        `store.feed(key=key)`; peers who ask for it are served.
        """
        discovery = self._running()
        feed = self._store.feed(key=key)
        swarm = self._swarm(feed)
        remote = self._remotes.get(swarm)
        if remote is None:
            remote = self._remotes[swarm] = Remote(swarm, closed=self._unfollow)
            swarm.core.following = True

            async def meet(peer: PeerAddress) -> None:
                await self._meet(peer, swarm, remote)

            finder = self._finders[swarm] = Finder(
                swarm, remote, discovery, meet=meet, own_key=self.public_key, asked=self._asked
            )
            self._searches[swarm] = self._run(finder.run())
        return remote

    def _unfollow(self, remote: Remote) -> None:
        for swarm, known in list(self._remotes.items()):
            if known is remote:
                del self._remotes[swarm], self._finders[swarm]
                self._searches.pop(swarm).cancel()
                swarm.core.following = False
                self._release(swarm)

    def extension(self, name: str, handler: Handler) -> None:
        """Answer hints of that name: `handler(feed, payload)` names the blocks to send."""
        self._handlers[name] = handler
        for swarm in self._swarms.values():
            swarm.core.announce()
            swarm.settle()

    def _swarm(self, feed: Feed) -> Swarm:
        swarm = self._swarms.get(feed.discovery_key)
        if swarm is None:
            swarm = self._swarms[feed.discovery_key] = Swarm(
                feed,
                self._store,
                self._executor,
                handlers=self._handlers,
                left=self._peer_left,
                upload=self._upload,
                download=self._download,
            )
        return swarm

    def _release(self, swarm: Swarm) -> None:
        if not swarm.sharing and swarm not in self._remotes:
            del self._swarms[swarm.feed.discovery_key]
            swarm.close()

    @property
    def _shared(self) -> list[Swarm]:
        return [swarm for swarm in self._swarms.values() if swarm.sharing]

    async def _poll(self) -> None:
        """Notice what other processes do with our feeds, and who comes too slowly in."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(POLL)
            self._admission.handle_timeout(loop.time())
            self._admit()
            for swarm in list(self._swarms.values()):
                if swarm.feed.head != swarm.core.standing.head:
                    swarm.changed()

    # Finding peers.

    def _asked(self) -> str:
        """Return whom a search has asked, for people."""
        asked = f"after asking {len(self._dht.contacts)} nodes" if self._dht else ""
        return f"{asked} ({self._joined})" if self._joined else asked

    async def _meet(self, peer: PeerAddress, swarm: Swarm, remote: Remote) -> None:
        """Talk with a peer about a feed, over a connection that exists or a new one."""
        name = peer.public_key.hex()[:8]
        if peer.public_key in swarm.keys:
            return
        if self._is_banned(peer.public_key):
            remote.attempts.append(f"{name} broke a rule and is banned")
            return
        for connection in self._connections.get(peer.public_key, ()):
            if swarm.add(connection) is not None:
                return
        try:
            connection = await self._dial(peer, CHANNELS, self._connected)
        except NetError as error:
            remote.attempts.append(f"{name}: {error}")
        else:
            if swarm.add(connection) is not None:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._executor, note_peer, swarm, peer)

    async def _dial(
        self, peer: PeerAddress, protocol: str, made: Callable[[SecureStream], Any]
    ) -> Any:
        """Connect to a peer by the first way that leads to it."""
        secure = partial(
            open_stream,
            key_pair=self._key_pair,
            remote_key=peer.public_key,
            protocol=protocol,
        )
        async with self._dials:
            try:
                stream = await dial(ways_to(peer.addresses, self._quic), secure)
            except ConnectError as error:
                name = peer.public_key.hex()[:16]
                raise ConnectError(f"no address of {name} works", error.tried) from error
            return made(stream)

    def _peer_left(self, peer: Peer, reason: str) -> None:
        """Learn that a peer of a swarm is gone; look for another if it was the last."""
        swarm = peer.swarm
        error = peer.connection.error
        if isinstance(error, PeerError):
            self._admission.ban(peer.key, asyncio.get_running_loop().time())
        remote = self._remotes.get(swarm)
        if remote is not None:
            remote.attempts.append(f"{peer.key.hex()[:8]} left: {reason or 'no reason given'}")
            self._finders[swarm].wake()

    def _is_banned(self, key: bytes) -> bool:
        return self._admission.is_banned(key, asyncio.get_running_loop().time())

    # Connections.

    def _connected(self, stream: SecureStream) -> Connection:
        connection = Connection(stream, requested=self._requested, closed=self._disconnected)
        self._connections.setdefault(stream.remote_key, []).append(connection)
        return connection

    def _disconnected(self, connection: Connection) -> None:
        connections = self._connections.get(connection.remote_key, [])
        if connection in connections:
            connections.remove(connection)
        if not connections:
            self._connections.pop(connection.remote_key, None)

    def _requested(self, connection: Connection, discovery_key: bytes, protocol: str) -> None:
        """Decide about a feed that a peer asks for."""
        swarm = self._swarms.get(discovery_key)
        if swarm is None:
            connection.reject(discovery_key, protocol, "not served here")
        elif self._allow is None:
            if swarm.add(connection) is None:
                connection.reject(discovery_key, protocol, "not now")
        else:
            self._run(self._decide(self._allow, connection, swarm, protocol))

    async def _decide(
        self, allow: AllowFeed, connection: Connection, swarm: Swarm, protocol: str
    ) -> None:
        allowed = allow(connection.remote_key, swarm.feed)
        if inspect.isawaitable(allowed):
            allowed = await allowed
        if connection.is_closing:
            return
        if not allowed or swarm.add(connection) is None:
            connection.reject(swarm.feed.discovery_key, protocol, "not allowed")

    def _accepted(self, carrier: Carrier) -> None:
        """Take an incoming connection."""
        now = asyncio.get_running_loop().time()
        guest = None if self._closed else self._admission.arrive(carrier.address, now)
        if guest is None:
            carrier.abort()
            return
        self._arrived[guest] = (carrier, None)
        self._admit()

    def _admit(self) -> None:
        """Begin the handshakes that have a place, and end those that have lost it."""
        while (event := self._admission.next_event()) is not None:
            carrier, task = self._arrived[event.guest]
            if isinstance(event, Admitted):
                task = self._run(self._welcome(event.guest, carrier))
                self._arrived[event.guest] = (carrier, task)
            else:
                del self._arrived[event.guest]
                carrier.abort()
                if task is not None:
                    task.cancel()

    async def _welcome(self, guest: Guest, carrier: Carrier) -> None:
        """Be a guest's host until it leaves."""
        loop = asyncio.get_running_loop()
        try:
            stream = await accept_stream(carrier, self._key_pair, allow=self._allow_stream)
            self._arrived.pop(guest, None)
            self._admission.established(guest, loop.time())
            self._admit()
            if stream.protocol == CHANNELS:
                self._connected(stream)
            elif self._server is not None:
                await self._serve(stream, self._server.handler)
            else:
                stream.close()
            await stream.wait_closed()
        except NetError as error:
            log.debug("< no stream by %s: %s", carrier.description, error)
        finally:
            self._arrived.pop(guest, None)
            self._admission.left(guest, loop.time())
            self._admit()

    def _allow_stream(self, key: bytes, protocol: str) -> bool | Awaitable[bool]:
        if self._is_banned(key):
            return False
        if protocol == STREAMS and self._server is not None:
            return self._server.allow(key) if self._server.allow else True
        return protocol == CHANNELS

    # Plain streams.

    async def listen(self, handler: StreamHandler, *, allow: AllowStream | None = None) -> Server:
        """Accept streams to our public key and announce that we do.

        `handler(stream)` is a coroutine function, run for each; `allow(public key)`
        decides about a peer before it gets an answer.
        """
        discovery = self._running()
        if self._server is not None:
            raise RuntimeError("the node is listening already")
        self._server = Server(self, handler, allow)
        await discovery.announce(peer_topic(self.public_key), self._addresses())
        return self._server

    async def stop_listening(self, server: Server) -> None:
        """Accept no more streams; `Server.close` calls this."""
        if self._server is server:
            self._server = None
            if not self._closed and self._discovery is not None:
                await self._discovery.unannounce(peer_topic(self.public_key))

    async def _serve(self, stream: SecureStream, handler: StreamHandler) -> None:
        self._streams.add(stream)
        try:
            await handler(stream)
        except NetError as error:
            log.debug("= stream %r ended: %s", stream, error)
        finally:
            self._streams.discard(stream)
            stream.close()

    async def connect(
        self,
        public_key: bytes,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109 - the error says what was tried
    ) -> SecureStream:
        """Open a stream to the node with that key, wherever it is.

        Raises `NotFound`, `ConnectError` or `DeadlineError`.
        """
        if len(public_key) != 32:
            raise ValueError(f"a public key has 32 bytes, not {len(public_key)}")
        discovery = self._running()
        tried: list[str] = []
        try:
            async with asyncio.timeout(timeout):
                lookup = discovery.lookup(peer_topic(public_key))
                async with contextlib.aclosing(lookup) as peers:
                    async for peer in peers:
                        if peer.public_key != public_key:
                            continue
                        try:
                            stream: SecureStream = await self._dial(peer, STREAMS, _same)
                        except ConnectError as error:
                            tried += error.tried
                        else:
                            return stream
        except TimeoutError as error:
            name = public_key.hex()[:16]
            how = f" (tried: {'; '.join(tried)})" if tried else ""
            raise DeadlineError(f"no stream to {name} in {timeout:g} s{how}") from error
        if tried:
            raise ConnectError(f"cannot connect to {public_key.hex()[:16]}", tried)
        raise NotFound(f"nobody announces {public_key.hex()[:16]}", [self._joined or "the DHT"])


def _same(stream: SecureStream) -> SecureStream:
    return stream
