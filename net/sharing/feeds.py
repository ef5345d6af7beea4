"""The feeds that a node shares and follows, and the connections to the peers of them.

One connection to a peer serves all feeds: who connects asks for a channel about a feed,
and is accepted if the feed is here and the policy agrees. For each feed that is followed
a `Finder` looks for peers, which are reached by `reach`.

Invariant: a swarm exists for a feed exactly while it is shared or followed.
Must not know how a stream to a peer comes about, nor messages or proofs.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakValueDictionary

from feedlog import Feed, Store
from net.dht.hashing import feed_topic
from net.discovery import Discovery, PeerAddress
from net.errors import ConnectError, NetError, PeerError
from net.finding.announcer import Announcer
from net.reaching.reception import Reception
from net.replicate.core import FALSE_PROOF
from net.replicate.serving import Handler
from net.replicate.throttle import Throttle
from net.secure.stream import SecureStream
from net.sharing.connection import Connection
from net.sharing.finder import Finder, note_peer
from net.sharing.remote import Remote
from net.sharing.setbacks import Setback, SetbackKind
from net.sharing.swarm import Peer, Swarm

POLL = 0.25
"""Seconds in which an append of another process is noticed."""

AllowFeed = Callable[[bytes, Feed], bool | Awaitable[bool]]
Reach = Callable[[PeerAddress, bytes], Awaitable[SecureStream]]
"""Opens a stream of channels to a peer that was found under a topic; raises `NetError`."""


class Feeds:
    """The swarms of a node. `asked` says whom a search asks, for people."""

    def __init__(
        self,
        store: Store,
        own_key: bytes,
        *,
        allow: AllowFeed | None,
        upload: Throttle,
        download: Throttle,
        asked: Callable[[], str],
    ) -> None:
        self._store = store
        self._own_key = own_key
        self._allow = allow
        self._upload, self._download = upload, download
        self._asked = asked
        self._executor = ThreadPoolExecutor(1, "feedlog-store")
        self._handlers: dict[str, Handler] = {}
        self._swarms: dict[bytes, Swarm] = {}
        self._remotes: dict[Swarm, Remote] = {}
        self._finders: dict[Swarm, Finder] = {}
        self._searches: dict[Swarm, asyncio.Task[None]] = {}
        self._connections: dict[bytes, list[Connection]] = {}
        self._meetings: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(
        self, discovery: Discovery, announcer: Announcer, reach: Reach, reception: Reception
    ) -> None:
        """Begin to notice what other processes do; feeds may be shared and followed then."""
        self._discovery, self._announcer = discovery, announcer
        self._reach, self._reception = reach, reception
        self._run(self._poll())

    async def close(self) -> None:
        """Stop following and serving, and leave all peers."""
        for remote in list(self._remotes.values()):
            await remote.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for swarm in self._swarms.values():
            swarm.close()
        for connection in self.connections:
            connection.close("leaving")
        self._executor.shutdown()

    @property
    def connections(self) -> list[Connection]:
        """The connections to peers, two to one peer where both have dialled."""
        return [one for some in self._connections.values() for one in some]

    @property
    def peers(self) -> list[bytes]:
        """The public keys of the peers that we are connected with."""
        return list(self._connections)

    # Feeds.

    async def share(self, feed: Feed) -> int:
        """Serve a feed, or what we hold of it, and announce that we do."""
        self._swarm(feed).sharing = True
        return await self._announcer.announce(feed_topic(feed.discovery_key))

    async def unshare(self, feed: Feed) -> None:
        """Announce a feed no more, and serve it no more unless it is followed."""
        swarm = self._swarms.get(feed.discovery_key)
        if swarm is not None and swarm.sharing:
            swarm.sharing = False
            self._release(swarm)
            await self._announcer.withdraw(feed_topic(feed.discovery_key))

    def follow(self, key: bytes) -> Remote:
        """Find peers of a feed and keep up with it; the same remote for the same feed."""
        swarm = self._swarm(self._store.feed(key=key))
        remote = self._remotes.get(swarm)
        if remote is None:
            remote = self._remotes[swarm] = Remote(swarm, closed=self._unfollow)
            swarm.core.following = True
            self._searches[swarm] = self._run(self._find(swarm, remote).run())
        return remote

    def _find(self, swarm: Swarm, remote: Remote) -> Finder:
        async def meet(peer: PeerAddress) -> None:
            await self._meet(peer, swarm, remote)

        finder = self._finders[swarm] = Finder(
            swarm, remote, self._discovery, meet=meet, own_key=self._own_key, asked=self._asked
        )
        return finder

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

    async def _poll(self) -> None:
        """Notice what other processes do with our feeds."""
        while True:
            await asyncio.sleep(POLL)
            for swarm in list(self._swarms.values()):
                swarm.poll()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Peers.

    async def _meet(self, peer: PeerAddress, swarm: Swarm, remote: Remote) -> None:
        """Talk with a peer about a feed, over a connection that exists or a new one.

        A peer that is found several times, or for several feeds, is dialled once at a time.
        """
        async with self._meetings.setdefault(peer.public_key, asyncio.Lock()):
            await self._meet_now(peer, swarm, remote)

    async def _meet_now(self, peer: PeerAddress, swarm: Swarm, remote: Remote) -> None:
        key = peer.public_key
        if key in swarm.keys:
            return
        if self._reception.is_banned(key):
            remote.attempts.append(Setback(SetbackKind.BANNED, key))
            return
        for connection in self._connections.get(key, ()):
            if not connection.is_silent and swarm.add(connection) is not None:
                return
        try:
            stream = await self._reach(peer, feed_topic(swarm.feed.discovery_key))
        except NetError as error:
            tried = error.tried if isinstance(error, ConnectError) else ()
            reason = "; ".join(tried) or str(error)
            remote.attempts.append(Setback(SetbackKind.UNREACHED, key, reason))
        else:
            connection = self.connected(stream)
            swarm.add(connection)
            if swarm.talks_over(connection):
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._executor, note_peer, swarm, peer)

    def connected(self, stream: SecureStream) -> Connection:
        """Talk channels on a stream with a peer, in place of streams on which it is silent."""
        connection = Connection(
            stream, requested=self._requested, silent=self._silent, closed=self._disconnected
        )
        others = self._connections.setdefault(stream.remote_key, [])
        silent = [other for other in others if other.is_silent]
        others.append(connection)
        for other in silent:
            for swarm in self._remotes:
                if swarm.talks_over(other):
                    swarm.add(connection)
            other.close("another connection is in its place")
        return connection

    def _silent(self, connection: Connection) -> None:
        """Learn that a peer does not answer: look for it elsewhere, while it may yet."""
        way = connection.stream.description
        for swarm, remote in self._remotes.items():
            if swarm.talks_over(connection):
                remote.attempts.append(Setback(SetbackKind.SILENT, connection.remote_key, way))
                self._look_for(connection, swarm)

    def _look_for(self, connection: Connection, swarm: Swarm) -> None:
        """Look for a peer that is gone or silent, if we went to it; else, if nobody is left.

        Those who come to us may come and go without end; those to whom we go may have us come
        again and again, while others are there.
        """
        if not swarm.keys:
            self._finders[swarm].wake()
        elif connection.stream.initiator:
            self._finders[swarm].miss()

    def _disconnected(self, connection: Connection) -> None:
        connections = self._connections.get(connection.remote_key, [])
        with contextlib.suppress(ValueError):
            connections.remove(connection)
        if not connections:
            self._connections.pop(connection.remote_key, None)

    def _peer_left(self, peer: Peer, reason: str) -> None:
        """Learn that a connection of a swarm is gone; look for others if its peer is, too."""
        swarm = peer.swarm
        error = peer.connection.error
        if isinstance(error, PeerError):
            self._reception.ban(peer.key)
        remote = self._remotes.get(swarm)
        if remote is not None:
            lied = isinstance(error, PeerError) and error.code == FALSE_PROOF
            kind = SetbackKind.FALSE_PROOF if lied else SetbackKind.LEFT
            remote.attempts.append(Setback(kind, peer.key, reason or "no reason given"))
            if peer.key not in swarm.keys:
                self._look_for(peer.connection, swarm)

    def moved(self) -> None:
        """Learn that this machine has other addresses: connections may be dead, and peers near."""
        for connection in self.connections:
            connection.doubt()
        for finder in self._finders.values():
            finder.wake()

    # Who may read.

    async def admits(self, key: bytes) -> bool:
        """Tell whether a peer may read any feed that we share, or that we follow."""
        for swarm in list(self._swarms.values()):
            if await self._allows(key, swarm):
                return True
        return False

    async def _allows(self, key: bytes, swarm: Swarm) -> bool:
        if self._allow is None:
            return True
        allowed = self._allow(key, swarm.feed)
        return bool(await allowed if inspect.isawaitable(allowed) else allowed)

    def _requested(self, connection: Connection, discovery_key: bytes, protocol: str) -> None:
        """Decide about a feed that a peer asks for."""
        swarm = self._swarms.get(discovery_key)
        if swarm is None:
            connection.reject(discovery_key, protocol, "not served here")
        elif self._allow is None:
            if swarm.add(connection) is None:
                connection.reject(discovery_key, protocol, "not now")
        else:
            self._run(self._decide(connection, swarm, protocol))

    async def _decide(self, connection: Connection, swarm: Swarm, protocol: str) -> None:
        allowed = await self._allows(connection.remote_key, swarm)
        if connection.is_closing:
            return
        if not allowed or swarm.add(connection) is None:
            connection.reject(swarm.feed.discovery_key, protocol, "not allowed")
