"""One feed among its peers, driven by the event loop.

Binds a `Replication` to channels: messages go in, answers go out while a channel has
room, and proofs are verified and stored a batch at a time, in a thread where that takes
long enough to keep the loop waiting. Users of a feed (`net.remote`) listen for events.

Invariant: what waits for the disk is bounded by `MAX_WAITING_SIZE` and the windows of the
channels, for beyond it no message counts as read.
Must not know how peers are found.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

from feedlog import Feed, Store
from net.channels import Channel
from net.connection import Connection
from net.errors import NetError, PeerError
from net.replicate.core import Replication
from net.replicate.events import Event, PeerFailed
from net.replicate.messages import PROTOCOL
from net.replicate.serving import Handler
from net.replicate.session import Arrival, Session
from net.replicate.storing import Outcome, store_proofs
from net.replicate.throttle import Throttle

INLINE_SIZE = 64 << 10
"""Bytes of proofs that are stored in the event loop, if the last such batch was quick."""
INLINE_TIME = 0.002
"""Seconds that count as quick: an fsync does not, on most disks."""

MAX_WAITING_SIZE = 8 << 20
"""Bytes of proofs of one feed that wait for the disk before its peers are told to wait.
A peer's window grows only while what it sends is read at once."""

MAX_BATCH = 8 << 20
"""Bytes of proofs in one transaction."""


class Peer:
    """One peer of a swarm: handles its channel."""

    def __init__(self, swarm: Swarm, connection: Connection) -> None:
        self.swarm = swarm
        self.connection = connection
        self.channel: Channel | None = None
        self.session: Session | None = None
        self.paced = False
        """Whether it waits for the upload limit."""

    @property
    def key(self) -> bytes:
        """The peer's public key."""
        return self.connection.remote_key

    def channel_opened(self, channel: Channel) -> None:
        """Begin to replicate."""
        self.channel = channel
        self.swarm.peer_opened(self)

    def message_received(self, channel: Channel, data: bytes, urgent: bool) -> None:  # noqa: ARG002 - it is ours
        """Take a message."""
        self.swarm.message_received(self, data, urgent)

    def channel_drained(self, channel: Channel) -> None:  # noqa: ARG002 - it is ours
        """Send more."""
        self.swarm.pump(self)

    def channel_closed(self, channel: Channel, reason: str) -> None:  # noqa: ARG002 - it is ours
        """Learn that the peer is gone, or does not want to talk about this feed."""
        self.swarm.peer_closed(self, reason)


class Swarm:
    """A feed and its peers."""

    def __init__(
        self,
        feed: Feed,
        store: Store,
        executor: Executor,
        *,
        handlers: Mapping[str, Handler],
        left: Callable[[Peer, str], None],
        upload: Throttle | None = None,
        download: Throttle | None = None,
    ) -> None:
        self.feed = feed
        self.core = Replication(feed, handlers=handlers)
        self.peers: dict[Session, Peer] = {}
        self.listeners: list[Callable[[Event], None]] = []
        self.sharing = False
        self._connections: dict[Connection, Peer] = {}
        self._store = store
        self._executor = executor
        self._left = left
        self._upload = upload or Throttle()
        self._download = download or Throttle()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._settling = False
        self._storing = False
        self._applying: int | None = None
        self._closed = False
        self._last_time = 0.0
        self._waiting_size = 0
        self._unread: deque[tuple[Channel, int]] = deque()
        self._stop_observing = feed.observe(self._observed)

    # Peers.

    def add(self, connection: Connection) -> Peer | None:
        """Open a channel about the feed; None where there is one."""
        if self._closed or connection in self._connections or connection.is_closing:
            return None
        peer = Peer(self, connection)
        self._connections[connection] = peer
        try:
            peer.channel = connection.open(self.feed.key, PROTOCOL, peer)
        except (NetError, ValueError, RuntimeError):
            del self._connections[connection]
            return None
        return peer

    @property
    def keys(self) -> set[bytes]:
        """The public keys of the peers that we talk with, or are about to."""
        return {connection.remote_key for connection in self._connections}

    def peer_opened(self, peer: Peer) -> None:
        """Take up a peer whose channel is open."""
        peer.session = self.core.open(self._loop.time(), peer.key.hex()[:8])
        self.peers[peer.session] = peer
        self._settle_soon()

    def peer_closed(self, peer: Peer, reason: str) -> None:
        """Let go of a peer."""
        if self._connections.pop(peer.connection, None) is None:
            return
        if peer.session is not None:
            self.peers.pop(peer.session, None)
            self.core.close(peer.session, self._loop.time())
        self._left(peer, reason)
        self._settle_soon()

    def message_received(self, peer: Peer, data: bytes, urgent: bool) -> None:
        """Take a message of a peer; what is urgent is dealt with in this turn of the loop."""
        if peer.session is None or peer.channel is None:
            return
        waiting = self.core.waiting
        try:
            self.core.receive(peer.session, data, self._loop.time())
        except PeerError as error:
            self._drop(peer, error)
            return
        self._waiting_size += len(data) * (self.core.waiting - waiting)
        if self._waiting_size <= MAX_WAITING_SIZE:
            self._consume(peer.channel, len(data))
        else:
            self._unread.append((peer.channel, len(data)))
        if urgent:
            self.settle()
        else:
            self._settle_soon()

    def _consume(self, channel: Channel, size: int) -> None:
        """Let the peer send as much again, when the limit has room for it."""
        now = self._loop.time()
        self._download.spend(size, now)
        wait = self._download.wait(now)
        if wait:
            self._loop.call_later(wait, channel.consume, size)
        else:
            channel.consume(size)

    def _drop(self, peer: Peer, error: PeerError) -> None:
        """End the whole connection with a peer that broke a rule."""
        reason = str(error)
        if peer.connection.error is None:
            peer.connection.error = error
        self.peer_closed(peer, reason)
        peer.connection.close(error.code)

    # Turning the crank.

    def changed(self) -> None:
        """Look at the feed: it may have changed."""
        if not self._closed:
            self.core.changed(self._loop.time())
            self._settle_soon()

    def settle(self) -> None:
        """Do everything that is due after something has happened."""
        if self._closed:
            return
        self._store_arrivals()
        while (event := self.core.next_event()) is not None:
            if isinstance(event, PeerFailed) and event.session in self.peers:
                self._drop(self.peers[event.session], event.error)
            for listener in tuple(self.listeners):
                listener(event)
        for peer in tuple(self.peers.values()):
            self.pump(peer)
        self._set_timer()

    def _settle_soon(self) -> None:
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        self._settling = False
        self.settle()

    def pump(self, peer: Peer) -> None:
        """Send what is to be sent while the channel has room."""
        channel, session = peer.channel, peer.session
        if channel is None or session is None:
            return
        try:
            while channel.writable and not self._must_wait(peer, session):
                message = self.core.next_message(session)
                if message is None:
                    break
                channel.send(message[0], urgent=message[1])
                self._upload.spend(len(message[0]), self._loop.time())
        except PeerError as error:
            self._drop(peer, error)

    def _must_wait(self, peer: Peer, session: Session) -> bool:
        """Tell whether the next message is one that the limit has no room for yet."""
        if self._upload.rate is None:
            return False
        wait = self._upload.wait(self._loop.time())
        if not wait or session.outbox or session.info_due or not session.serving:
            return False
        if not peer.paced:
            peer.paced = True
            self._loop.call_later(wait, self._resume, peer)
        return True

    def _resume(self, peer: Peer) -> None:
        peer.paced = False
        if not self._closed:
            self.pump(peer)

    def _set_timer(self) -> None:
        due = self.core.next_timeout()
        if due is None:
            return
        if self._timer is not None:
            if self._timer.when() <= due:
                return  # it will look again: cheaper than a new one with each message
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timeout)

    def _on_timeout(self) -> None:
        self._timer = None
        self.core.handle_timeout(self._loop.time())
        self._settle_soon()

    def _observed(self) -> None:
        """Learn, in any thread, that the feed has changed."""
        if threading.get_ident() != self._applying and not self._closed:
            self._loop.call_soon_threadsafe(self.changed)

    # Storing.

    def _store_arrivals(self) -> None:
        if self._storing:
            return
        arrivals = self.core.take_arrivals(MAX_BATCH)
        if not arrivals:
            return
        self._storing = True
        size = sum(arrival.size for arrival in arrivals)
        if size <= INLINE_SIZE and self._last_time <= INLINE_TIME:
            self._report(arrivals, self._apply(arrivals))
            return
        future = self._loop.run_in_executor(self._executor, self._apply, arrivals)
        future.add_done_callback(lambda done: self._stored(arrivals, done))

    def _apply(self, arrivals: list[Arrival]) -> list[Outcome]:
        started = self._loop.time()
        proofs = [arrival.proof for arrival in arrivals]
        self._applying = threading.get_ident()
        try:
            outcomes = store_proofs(self.feed, proofs, self._store.transaction)
        finally:
            self._applying = None
        taken = self._loop.time() - started
        if sum(arrival.size for arrival in arrivals) <= INLINE_SIZE:
            self._last_time = taken
        return outcomes

    def _stored(self, arrivals: list[Arrival], done: asyncio.Future[list[Outcome]]) -> None:
        if self._closed or done.cancelled():
            return
        self._report(arrivals, done.result())
        self._settle_soon()

    def _report(self, arrivals: list[Arrival], outcomes: list[Outcome]) -> None:
        now = self._loop.time()
        self._storing = False
        for arrival, outcome in zip(arrivals, outcomes, strict=True):
            self.core.stored(arrival, outcome, now)
            self._waiting_size -= arrival.size
        while self._unread and self._waiting_size <= MAX_WAITING_SIZE:
            channel, size = self._unread.popleft()
            self._consume(channel, size)
        self.core.pursue(now)

    def close(self) -> None:
        """Talk with nobody about the feed any more."""
        if self._closed:
            return
        self._closed = True
        self._stop_observing()
        if self._timer is not None:
            self._timer.cancel()
        for peer in list(self._connections.values()):
            if peer.channel is not None:
                peer.channel.close()
        self._connections.clear()
        self.peers.clear()
