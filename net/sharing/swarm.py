"""One feed among its peers, driven by the event loop.

Binds a `Replication` to channels: messages go in, answers go out while a channel has
room, and proofs are verified and stored a batch at a time, in a thread where that takes
long enough to keep the loop waiting. Users of a feed (`net.sharing.fetcher`) listen for events.

Invariant: what waits for the disk is bounded by `MAX_WAITING_SIZE` and the windows of the
channels, for beyond it no message counts as read.
Must not know how peers are found.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

from feedlog import Feed, Store
from feedlog.errors import FeedlogError
from net.channels import Channel
from net.errors import DeadlineError, NetError, PeerError
from net.replicate.core import Replication
from net.replicate.events import Event, PeerFailed
from net.replicate.messages import PROTOCOL
from net.replicate.serving import Handler
from net.replicate.session import Arrival, Session
from net.replicate.storing import Outcome
from net.replicate.throttle import Throttle
from net.sharing.connection import Connection
from net.sharing.heap import keep_freed_buffers
from net.sharing.intake import Intake

TICK = 0.05
"""Seconds between two looks at what time has made due, while there is anything. So long
do small proofs wait to be stored, after whoever waited for their blocks has got them."""

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
        keep_freed_buffers()
        self.feed = feed
        self.core = Replication(feed, handlers=handlers)
        self.peers: dict[Session, Peer] = {}
        self.listeners: list[Callable[[Event], None]] = []
        self.sharing = False
        self._connections: dict[Connection, Peer] = {}
        self._intake = Intake(feed, store, executor, report=self._report, lost=self._lost)
        self._left = left
        self._upload = upload or Throttle()
        self._download = download or Throttle()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._settling = False
        self._in_turn = False
        self._closed = False
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
        """The public keys of the peers that we talk with, or are about to, and that answer."""
        return {one.remote_key for one in self._connections if not one.is_silent}

    @property
    def misses_somebody(self) -> bool:
        """Whether a peer that we went to does not answer now."""
        return any(one.is_silent and one.stream.initiator for one in self._connections)

    def talks_over(self, connection: Connection) -> bool:
        """Tell whether there is a channel about the feed on a connection, or about to be."""
        return connection in self._connections

    @property
    def sought(self) -> int:
        """How many of them we went to; the others have come to us."""
        return sum(one.stream.initiator and not one.is_silent for one in self._connections)

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
        if self._download.rate is None:
            channel.consume(size)
            return
        now = self._loop.time()
        self._download.spend(size, now)
        wait = self._download.wait(now)
        if wait:
            self._loop.call_later(wait, channel.consume, size)
        else:
            channel.consume(size)

    def _drop(self, peer: Peer, error: PeerError) -> None:
        """End the whole connection with a peer that broke a rule.

        Who says nothing at all has broken none: it has gone, or its way has.
        """
        connection, reason = peer.connection, str(error)
        if connection.error is None:
            connection.error = DeadlineError(reason) if connection.is_silent else error
        self.peer_closed(peer, reason)
        connection.close(error.code)

    # Turning the crank.

    def changed(self) -> None:
        """Look at the feed: it may have changed."""
        if not self._closed and not self.feed.purged:
            self.core.changed(self._loop.time())
            self._settle_soon()

    def poll(self) -> None:
        """Look at the feed if anything in its store was changed: by another process, maybe."""
        if self._closed or self.feed.purged:
            return
        generation = self.feed.generation
        if generation != self._intake.generation:
            self._intake.generation = generation
            self.changed()

    def settle(self) -> None:
        """Do everything that is due after something has happened."""
        if self._closed:
            return
        core = self.core
        self._in_turn = True
        self._store_arrivals()
        self._in_turn = False
        if core.due:
            core.pursue(self._loop.time())
        while (event := core.next_event()) is not None:
            if isinstance(event, PeerFailed) and event.session in self.peers:
                self._drop(self.peers[event.session], event.error)
            for listener in tuple(self.listeners):
                listener(event)
        for session, peer in tuple(self.peers.items()):
            if session.wants_to_send:
                self.pump(peer)
        if self._timer is None:
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
        held = peer.connection.hold()
        try:
            while channel.writable and not self._must_wait(peer, session):
                message = self.core.next_message(session)
                if message is None:
                    break
                channel.send(message[0], urgent=message[1])
                if self._upload.rate is not None:
                    self._upload.spend(len(message[0]), self._loop.time())
        except PeerError as error:
            self._drop(peer, error)
        finally:
            if held:
                peer.connection.release()

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
        """See to it that time is looked at, a tick at a time: cheaper than with each message."""
        due = self.core.next_timeout()
        now = self._loop.time()
        if self._intake.waits:
            due = now
        if due is not None:
            self._timer = self._loop.call_at(max(due, now + TICK), self._on_timeout)

    def _on_timeout(self) -> None:
        self._timer = None
        self._intake.flush()
        self.core.handle_timeout(self._loop.time())
        self._settle_soon()

    def _observed(self) -> None:
        """Learn, in any thread, that the feed has changed."""
        if not self._intake.changing and not self._closed:
            self._loop.call_soon_threadsafe(self.changed)

    # Storing.

    def _store_arrivals(self) -> None:
        if not self.core.waiting:
            return
        if self._intake.busy:
            urgent = self.core.take_urgent()
            if urgent:
                self._intake.accept(urgent)
        else:
            arrivals = self.core.take_arrivals(MAX_BATCH)
            if not self._intake.take(arrivals):
                self.core.keep(arrivals)

    def _report(self, arrivals: list[Arrival], outcomes: list[Outcome]) -> None:
        """Learn what became of what came; settles, unless it is being done."""
        now = self._loop.time()
        for arrival, outcome in zip(arrivals, outcomes, strict=True):
            self.core.stored(arrival, outcome, now)
            self._waiting_size -= arrival.size
        while self._unread and self._waiting_size <= MAX_WAITING_SIZE:
            channel, size = self._unread.popleft()
            self._consume(channel, size)
        self.core.due = True
        if not self._in_turn:
            self._settle_soon()

    def _lost(self, error: FeedlogError) -> None:
        self.core.lost(error, self._loop.time())
        if not self._in_turn:
            self._settle_soon()

    def close(self) -> None:
        """Talk with nobody about the feed any more."""
        if self._closed:
            return
        self._closed = True
        self._stop_observing()
        self._intake.close()
        if self._timer is not None:
            self._timer.cancel()
        for peer in list(self._connections.values()):
            if peer.channel is not None:
                peer.channel.close()
        self._connections.clear()
        self.peers.clear()
