"""Replicas of feeds on a simulated network: virtual time, delays, rates, silent and lying peers.

Drives `Replication` as the event loop does, but from a heap of events, so that a test of
a minute's silence takes none, and every run of it is the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from feedlog import Feed, Store
from net.errors import PeerError
from net.replicate import messages
from net.replicate.core import Replication
from net.replicate.events import BlocksStored, Event, HeadChanged, PeerFailed, QueryAnswered
from net.replicate.events import QueryFailed as QueryFailed
from net.replicate.messages import Message
from net.replicate.session import Query, Session
from net.replicate.storing import store_proofs

BATCH = 8 << 20


@dataclass(eq=False)
class Wire:
    """One direction of a link."""

    receiver: Host
    delay: float
    rate: float
    free_at: float = 0.0
    cut: bool = False
    alter: Callable[[bytes], bytes | None] | None = None
    """Changes or swallows each message: what a broken or hostile peer does."""
    carried: list[Message | None] = field(default_factory=list)
    bytes: int = 0
    back: Session | None = None
    """The receiver's session."""


class Host:
    """One replica and its owner."""

    def __init__(self, world: World, feed: Feed, store: Store, **options: object) -> None:
        self.world = world
        self.feed = feed
        self.store = store
        self.core = Replication(feed, **options)  # type: ignore[arg-type]  # the test's words
        self.wires: dict[Session, Wire] = {}
        self.events: list[Event] = []
        self.failures: list[PeerFailed] = []
        self._timer: float | None = None

    def answered(self, query: Query) -> bool | None:
        """Tell how a query ended, None while it has not."""
        for event in self.events:
            if isinstance(event, QueryAnswered | QueryFailed) and event.query is query:
                return isinstance(event, QueryAnswered)
        return None

    @property
    def stored(self) -> list[tuple[int, int]]:
        """The spans that arrived, in order."""
        return [s for event in self.events if isinstance(event, BlocksStored) for s in event.spans]

    @property
    def heads(self) -> list[tuple[int, int]]:
        """The heads that were seen, in order."""
        return [(e.fork, e.length) for e in self.events if isinstance(e, HeadChanged)]

    def drop(self, session: Session) -> None:
        """End a link from this side."""
        wire = self.wires.pop(session, None)
        if wire is not None:
            wire.cut = True
            self.core.close(session, self.world.now)
            other = wire.receiver
            if wire.back is not None:
                self.world.at(wire.delay, lambda: other.drop(wire.back) if wire.back else None)

    def receive(self, session: Session, data: bytes) -> None:
        """Take a message as a swarm does."""
        if session not in self.wires:
            return
        try:
            self.core.receive(session, data, self.world.now)
        except PeerError as error:
            self.failures.append(PeerFailed(session, error))
            self.drop(session)
        self.settle()

    def settle(self) -> None:
        """Store, tell and send whatever is due."""
        now = self.world.now
        while arrivals := self.core.take_arrivals(BATCH):
            proofs = [arrival.proof for arrival in arrivals]
            outcomes = store_proofs(self.feed, proofs, self.store.transaction)
            for arrival, outcome in zip(arrivals, outcomes, strict=True):
                self.core.stored(arrival, outcome, now)
        self.core.pursue(now)
        while (event := self.core.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, PeerFailed):
                self.failures.append(event)
                self.drop(event.session)
        for session, wire in list(self.wires.items()):
            while (message := self.core.next_message(session)) is not None:
                self.world.carry(wire, message[0])
        due = self.core.next_timeout()
        if due is not None and due != self._timer:
            self._timer = due
            self.world.at(due - now, self._on_timeout)

    def _on_timeout(self) -> None:
        self._timer = None
        self.core.handle_timeout(self.world.now)
        self.settle()

    def changed(self) -> None:
        """Look at the feed after a change of the test's."""
        self.core.changed(self.world.now)
        self.settle()


class World:
    """Virtual time and everything that happens in it."""

    def __init__(self) -> None:
        self.now = 100.0
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0

    def host(self, feed: Feed, store: Store, **options: object) -> Host:
        """Add a replica."""
        return Host(self, feed, store, **options)

    def connect(
        self, left: Host, right: Host, *, delay: float = 0.01, rate: float = 1e9
    ) -> tuple[Session, Session]:
        """Open a channel between two replicas; `rate` is in bytes a second."""
        sessions = left.core.open(self.now, "right"), right.core.open(self.now, "left")
        self.join(left, sessions[0], right, sessions[1], delay=delay, rate=rate)
        left.settle()
        right.settle()
        return sessions

    def join(
        self,
        left: Host,
        near: Session,
        right: Host,
        far: Session,
        *,
        delay: float = 0.01,
        rate: float = 1e9,
    ) -> None:
        """Lay the wires between two sessions; nothing is said yet."""
        left.wires[near] = Wire(right, delay, rate, back=far)
        right.wires[far] = Wire(left, delay, rate, back=near)

    def carry(self, wire: Wire, data: bytes) -> None:
        """Bring a message to the other end, in order."""
        altered = data if wire.alter is None else wire.alter(data)
        if altered is None or wire.cut:
            return
        wire.bytes += len(altered)
        start = max(self.now, wire.free_at)
        wire.free_at = start + len(altered) / wire.rate
        if wire.alter is None:
            wire.carried.append(messages.decode(altered))
        deliver = wire.back
        assert deliver is not None, "connected"
        delay = wire.free_at + wire.delay - self.now
        self.at(delay, lambda: None if wire.cut else wire.receiver.receive(deliver, altered))

    def at(self, delay: float, action: Callable[[], object]) -> None:
        """Do something later."""
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay, self._count, action))

    def run(self, seconds: float = 1.0, *, until: Callable[[], bool] | None = None) -> float:
        """Let time pass, and return how much did; stops early when `until` holds."""
        started, end = self.now, self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            if until is not None and until():
                return self.now - started
            self.now, _, action = heapq.heappop(self._heap)
            action()
        if until is None or not until():
            self.now = end
        return self.now - started
