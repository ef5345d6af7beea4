"""Replication of one feed with any number of peers. No I/O.

    open(now) -> Session    receive(session, data, now)    next_message(session)
    close(session, now)     take_arrivals()  stored(arrival, outcome, now)
    changed(now)            next_timeout()  handle_timeout(now)    next_event()

Proofs are verified and stored by the owner, who may do that elsewhere and many at a
time: `take_arrivals` hands them out, `stored` takes the outcomes back in order. Until
then their bytes count as unread, so the channels' windows bound what waits.

Invariant: whatever peers do, nothing is asked for that is held, and every query is
answered, asked of another peer, or reported as failed.
Must not know channels, sockets or clocks. Specified in docs/spec/replication.md.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from feedlog import Feed, Head, InvalidProof, Proof
from feedlog.errors import FeedlogError
from feedlog.proof import Verified
from net.errors import PeerError, ProtocolError
from net.replicate import messages
from net.replicate.asking import MAX_FAILURES, Asking
from net.replicate.events import (
    BlocksStored,
    Event,
    HeadChanged,
    PeerFailed,
    StoreFailed,
)
from net.replicate.news import PUSH_BLOCKS, News
from net.replicate.scheduler import SILENT_AFTER, Scheduler
from net.replicate.serving import Handler
from net.replicate.session import Arrival, Query, Sent, Session
from net.replicate.standing import Standing
from net.replicate.wants import Wants

FALSE_PROOF = "proof"
"""The code of the error about a peer that sends what the writer has not signed."""


class Replication:
    """One feed and the peers that have it, or want it."""

    def __init__(
        self,
        feed: Feed,
        *,
        handlers: Mapping[str, Handler] | None = None,
        following: bool = False,
    ) -> None:
        self.feed = feed
        self.handlers = {} if handlers is None else handlers
        self.following = following
        """Whether we ask peers for what is newer, without being asked ourselves."""
        self.standing = Standing(feed)
        self.wants = Wants()
        self.scheduler = Scheduler(self.wants)
        self.sessions: list[Session] = []
        self.counters: Counter[str] = Counter()
        """data, proofs (bytes received), blocks, wasted, requests, pushes, failures."""
        self._events: deque[Event] = deque()
        self._ready: deque[Arrival] = deque()
        self._asking = Asking(
            self.standing, self.scheduler, self.sessions, self._events, self.counters
        )
        self._news = News(self.standing, self.sessions, self.handlers, rebase=self._asking.rebase)
        self._next_number = 0
        self.due = False
        """Whether something has come that may let us ask for more: call `pursue`."""
        self._measure()

    # Peers come and go.

    def open(self, now: float, name: str = "") -> Session:
        """Take up a peer whose channel is open."""
        session = Session(self._next_number, self.standing, self.handlers, name)
        self._next_number += 1
        session.link.heard_at = now
        self.sessions.append(session)
        self.scheduler.links.append(session.link)
        session.told.add(0, messages.MAX_LENGTH)
        return session

    def close(self, session: Session, now: float) -> None:
        """Let go of a peer: what it owes is asked of others."""
        if session not in self.sessions:
            return
        self.sessions.remove(session)
        self.scheduler.lost(session.link)
        for sent in list(session.sent.values()):
            if sent.query is not None and not sent.query.done:
                sent.query.reasons.append(f"{session.name or 'peer'} went away")
        session.sent.clear()
        self.pursue(now)

    def receive(self, session: Session, data: bytes, now: float) -> None:
        """Take a message; raises `PeerError`, and the peer is to be let go.

        Asks for nothing yet: an owner who has stored what came calls `pursue`.
        """
        before = session.remote
        if not session.receive(data):
            return  # it asks us, and brings nothing
        self.due = True
        if session.remote is not before:
            self._on_info(session)
        while session.refusals:
            self._on_refusal(session, *session.refusals.popleft(), now)
        while session.arrivals:
            self._on_arrival(session.arrivals.popleft(), now)
        self.counters["wasted"] += session.unasked
        session.unasked = 0

    def _on_info(self, session: Session) -> None:
        # One more chance with each new claim, and no more than that.
        session.failures = min(session.failures, MAX_FAILURES - 1)
        self._asking.rebase(session)

    # What we want.

    def query(self, query: Query, now: float) -> None:
        """Put a question to the peers; `QueryAnswered` or `QueryFailed` will come."""
        self._asking.add(query)
        self.pursue(now)

    def drop(self, query: Query) -> None:
        """Take a question back."""
        self._asking.drop(query)

    def pursue(self, now: float) -> None:
        """Ask for what is wanted; called when wants have changed, or more can be asked for."""
        self.due = False
        for arrival in self._ready:
            self._land(arrival)  # or it would be asked for again
        self._asking.ask(now, following=self.following)

    # Answers.

    def _on_arrival(self, arrival: Arrival, now: float) -> None:
        sent, session = arrival.sent, arrival.session
        blocks = arrival.proof.data
        if sent is None and not self._is_welcome(session, arrival.proof):
            session.claim(arrival.proof.fork, arrival.proof.length)
            self.counters["wasted"] += len(blocks)
            return
        data = len(blocks[0]) if len(blocks) == 1 else sum(map(len, blocks))
        counters = self.counters
        counters["data"] += data
        counters["proofs"] += arrival.size - data
        counters["blocks"] += len(blocks)
        if arrival.wasted:
            counters["wasted"] += arrival.wasted
        session.blocks_received += len(blocks)
        session.bytes_received += arrival.size
        if sent is None:
            self.counters["pushes"] += 1
        else:
            self.scheduler.answered(session.link, sent.asked, arrival.size, now)
            if sent.query is not None:
                sent.query.landing += 1
            if arrival.last:
                session.sent.pop(sent.request.id, None)
                self.scheduler.finished(session.link, sent.asked)
        self._ready.append(arrival)

    def _is_welcome(self, session: Session, proof: Proof) -> bool:
        """Tell whether what was pushed is for us: new blocks, while we want to hear of any.

        Others may have brought the head already; but nobody fills our disk with old blocks.
        """
        if not self.live or session.probe is not None:
            return False
        pairs = proof.question.blocks.pairs
        return not pairs or pairs[0][0] >= self.standing.length - PUSH_BLOCKS

    def _on_refusal(self, session: Session, sent: Sent, reason: str, now: float) -> None:
        """Learn that a request ends without (the rest of) what it asked for."""
        session.sent.pop(sent.request.id, None)
        if reason != messages.BUSY:
            session.doubted = session.doubted or bool(sent.asked.spans)
            session.link.have.subtract(sent.asked.spans)
        self.scheduler.refused(session.link, sent.asked, now)
        query = sent.query
        if query is not None and query is session.probe:
            self._dismiss(session, f"it was wrong, and of the head it says {reason}", now)
        if query is None or query.done:
            return
        if reason == messages.CURRENT and query.hint is None and query.seek is None:
            if query is self._asking.own_update:
                session.failures += 1  # it has claimed more, and has it not
            self._asking.answer(query, None)
            return
        session.failures += query is self._asking.own_update
        query.reasons.append(f"{session.name or 'peer'}: {reason}")

    # Storing.

    @property
    def waiting(self) -> int:
        """How many proofs wait to be taken."""
        return len(self._ready)

    def take_arrivals(self, limit: int) -> list[Arrival]:
        """Return proofs that came, about `limit` bytes; each is to be reported to `stored`.

        If that is not done before anything else is, they are to be given to `keep`.
        """
        arrivals: list[Arrival] = []
        total = 0
        while self._ready and total < limit:
            arrivals.append(self._ready.popleft())
            total += arrivals[-1].size
        return arrivals

    def take_urgent(self) -> list[Arrival]:
        """Return small proofs of blocks that somebody waits for, ahead of what came before them.

        They need nothing but the present head, so that others may be stored meanwhile.
        """
        now = (self.standing.fork, self.standing.length)
        urgent = [arrival for arrival in self._ready if _is_light(arrival, now)]
        for arrival in urgent:
            self._ready.remove(arrival)
        return urgent

    def keep(self, arrivals: list[Arrival]) -> None:
        """Learn that arrivals will take a while: what is in them is not to be asked for."""
        for arrival in arrivals:
            self._land(arrival)

    def _land(self, arrival: Arrival) -> None:
        if not arrival.landed and arrival.sent is not None:
            arrival.landed = True
            for start, stop in arrival.proof.question.blocks.pairs:
                self.scheduler.landed(start, stop)

    def stored(self, arrival: Arrival, outcome: Verified | FeedlogError, now: float) -> None:
        """Learn what became of a proof."""
        if arrival.sent is not None and arrival.sent.query is not None:
            arrival.sent.query.landing -= 1
        spans = arrival.proof.question.blocks.pairs
        if isinstance(outcome, FeedlogError):
            for start, stop in spans if arrival.landed else ():
                self.scheduler.dropped(start, stop)
            self._on_bad(arrival, outcome, now)
            return
        session = arrival.session
        have, alone = session.link.have, len(self.sessions) == 1
        for start, stop in spans:
            self.scheduler.arrived(start, stop)
            if not have.covers(start, stop):
                have.add(start, stop)
            if not alone:
                self._news.tell(start, stop, now, but=session)
            self.standing.held.add(start, stop)
        if spans:
            self._events.append(BlocksStored(spans))
        sent = arrival.sent
        if sent is None:
            session.known = (outcome.fork, outcome.length)  # who pushes counts on that
            session.claim(outcome.fork, outcome.length)
        if outcome.head is not None:
            session.failures = 0
            session.distrusted = False
            self._refresh(now)
            if session.probe is not None:
                self._dismiss(session, "its head is ours, what it sent below it is not", now)
        if sent is not None and sent.query is not None and sent.base == arrival.proof.length:
            self._asking.answer(sent.query, outcome)

    def lost(self, error: FeedlogError, now: float) -> None:
        """Learn that proofs which counted as stored could not be kept."""
        self._asking.drop_requests()  # their answers may build on what was lost
        self._refresh(now)
        self._events.append(StoreFailed(error))

    def _on_bad(self, arrival: Arrival, error: FeedlogError, now: float) -> None:
        session, sent = arrival.session, arrival.sent
        if isinstance(error, InvalidProof) and self.standing.outdated:
            self._refresh(now)  # another process may have changed what the proof builds on
        if isinstance(error, InvalidProof) and self._is_stale(arrival):
            self.counters["stale"] += 1
            if sent is None:
                # A push that does not link to what we have: we have missed something.
                session.claim(arrival.proof.fork, arrival.proof.length)
            if sent is not None and sent.query is not None and not sent.query.done:
                sent.query.tried.discard(session.number)
        elif isinstance(error, InvalidProof):
            self.counters["failures"] += 1
            asked_whole = sent is not None and arrival.proof.question.signed
            if asked_whole or session.congested:
                self._dismiss(session, str(error), now)
            elif session.probe is None and session in self.sessions:
                self._asking.probe(session, now)
        else:
            session.failures = MAX_FAILURES  # what it has cannot be stored, now or ever
            self._refresh(now)  # what waited to be stored with it may be lost, too
            self._events.append(StoreFailed(error))
            return  # to ask for the same again would fail again
        self.pursue(now)

    def _dismiss(self, session: Session, why: str, now: float) -> None:
        """Have done with a peer that lies."""
        fault = ProtocolError(f"proof of {session.name or 'a peer'}: {why}", code=FALSE_PROOF)
        self._events.append(PeerFailed(session, fault))
        self.close(session, now)

    def _is_stale(self, arrival: Arrival) -> bool:
        """Tell whether a proof may have failed because the feed has changed under it."""
        sent, proof, session = arrival.sent, arrival.proof, arrival.session
        if sent is None:
            return proof.question.since != self.standing.length or proof.fork != self.standing.fork
        if (sent.request.fork, sent.length) != (self.standing.fork, self.standing.length):
            return True
        if proof.question.signed and proof.question.since > 0 and not session.distrusted:
            # Forks that share less than their peer thinks, or a writer that contradicts
            # itself: the whole head will show which, or that the peer is at fault.
            session.distrusted = True
            return True
        return False

    # Our side changes.

    def changed(self, now: float) -> None:
        """Learn that the feed may have changed: an append here or in another process."""
        self._refresh(now)
        self.pursue(now)

    def _refresh(self, now: float) -> None:
        """Read where the feed stands and tell everyone whom it concerns."""
        before = self.standing.head
        changes = self.standing.refresh()
        head = self.standing.head
        if head is not None and head != before:
            self._follow_head(before)
        came = []
        for start, stop in changes:
            if self.standing.held.covers(start, stop):
                self.scheduler.arrived(start, stop)
                came.append((start, stop))
            else:
                self.wants.lost(start, stop)
            self._news.tell(start, stop, now)
        if came:
            self._events.append(BlocksStored(tuple(came)))

    def _follow_head(self, before: Head | None) -> None:
        """Deal with a new head of ours."""
        head = self.standing.head
        assert head is not None, "a feed does not lose its last head"
        self._measure()
        if before is not None and before.fork != head.fork:
            self._asking.drop_requests()
        self._news.follow_head(before)
        self._events.append(HeadChanged(head.fork, head.length))

    def _measure(self) -> None:
        """Learn how large blocks are on average."""
        length = self.standing.length
        if length:
            self.scheduler.block_size = max(1, self.feed.byte_length // length)

    # Sending.

    def next_message(self, session: Session) -> tuple[bytes, bool] | None:
        """Return the next message for a peer and whether it is urgent; None for none."""
        return self._news.next_message(session)

    @property
    def live(self) -> bool:
        """Whether peers shall push new blocks to us."""
        return self._news.live

    @live.setter
    def live(self, live: bool) -> None:
        self._news.live = live

    def announce(self) -> None:
        """Tell all peers that our `live` or `handlers` have changed."""
        self._news.announce()

    def next_event(self) -> Event | None:
        """Return the oldest event not yet returned."""
        return self._events.popleft() if self._events else None

    # Time.

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, None for never."""
        times = [self._news.tell_at, self.scheduler.deadline()]
        return min((at for at in times if at is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Do what time has made due."""
        self._news.handle_timeout(now)
        due = self.scheduler.deadline()
        if due is None or now < due:
            return
        silent = self.scheduler.expire(now)
        for session in list(self.sessions):
            if session.link in silent:
                fault = PeerError(f"no answer for {SILENT_AFTER:.0f} s", code="silent")
                self._events.append(PeerFailed(session, fault))
                self.close(session, now)
        self.pursue(now)


def _is_light(arrival: Arrival, position: tuple[int, int]) -> bool:
    sent, question = arrival.sent, arrival.proof.question
    return (
        sent is not None
        and sent.query is None
        and sent.asked.urgent
        and not question.signed
        and (arrival.proof.fork, question.since) == position
    )
