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

from feedlog import BlockMissing, Feed, Head, InvalidProof, flat_tree
from feedlog.errors import FeedlogError
from feedlog.proof import Verified
from net.errors import PeerError, ProtocolError
from net.replicate import messages
from net.replicate.events import (
    BlocksStored,
    Event,
    HeadChanged,
    PeerFailed,
    QueryAnswered,
    QueryFailed,
    StoreFailed,
)
from net.replicate.messages import Data, Have, Info, Request, Want, pack_runs
from net.replicate.scheduler import SILENT_AFTER, Asked, Scheduler
from net.replicate.serving import Handler
from net.replicate.session import Arrival, Query, Sent, Session
from net.replicate.spans import Span, Spans
from net.replicate.standing import Standing
from net.replicate.wants import Wants

PUSH_SIZE = 128 << 10
"""Bytes of new blocks that are pushed; a follower asks for more than that in its own time."""
PUSH_BLOCKS = 1024

TELL_AFTER = 0.05
"""Seconds that news of held blocks wait for more of it."""

QUERY_COST = 1024
"""Bytes that we expect of a head, a byte's block or a hint, besides blocks."""

MAX_FAILURES = 3
"""Refused queries after which a peer's claim to a longer feed is not believed any more."""


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
        self.live = False
        """Whether peers shall push new blocks to us."""
        self.standing = Standing(feed)
        self.wants = Wants()
        self.scheduler = Scheduler(self.wants)
        self.sessions: list[Session] = []
        self.counters: Counter[str] = Counter()
        """data, proofs (bytes received), blocks, wasted, requests, pushes, failures."""
        self._queries: list[Query] = []
        self._own_update: Query | None = None
        self._events: deque[Event] = deque()
        self._ready: deque[Arrival] = deque()
        self._tell_at: float | None = None
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
        self._ask_all(now)

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
        self._rebase(session)

    def _rebase(self, session: Session) -> None:
        """Note what length the peer's proofs can be against."""
        info, head = session.remote, self.standing.head
        if info is None or head is None or info.fork != head.fork:
            session.link.base = None
        elif info.length >= head.length:
            session.link.base = head.length
        else:
            session.link.base = info.length if self.standing.provable(info.length) else None

    # What we want.

    def query(self, query: Query, now: float) -> None:
        """Put a question to the peers; `QueryAnswered` or `QueryFailed` will come."""
        self._queries.append(query)
        self._ask_all(now)

    def drop(self, query: Query) -> None:
        """Take a question back."""
        query.done = True
        if query in self._queries:
            self._queries.remove(query)

    def pursue(self, now: float) -> None:
        """Ask for what is wanted; called when wants have changed."""
        self._ask_all(now)

    def _ask_all(self, now: float) -> None:
        self.due = False
        for arrival in self._ready:
            self._land(arrival)  # or it would be asked for again
        if self.following and not self._queries:  # every query asks for the latest head, too
            self._update_if_behind()
        for query in list(self._queries):
            self._ask_query(query, now)
        if self.wants:
            sessions = self.sessions
            if len(sessions) > 1:
                sessions = sorted(sessions, key=lambda one: one.link.pace.round_trip or 0.0)
            for session in sessions:
                self._ask_blocks(session, now)

    def _update_if_behind(self) -> None:
        """Ask for a newer head where a peer claims one."""
        ours = (self.standing.fork, self.standing.length)
        if any(one.position > ours and one.failures < MAX_FAILURES for one in self.sessions):
            self._own_update = Query()
            self._queries.append(self._own_update)

    def _ask_query(self, query: Query, now: float) -> None:
        """Ask the most promising peer that was not asked yet, if it is time to."""
        pending = [
            sent
            for session in self.sessions
            for sent in session.sent.values()
            if sent.query is query
        ]
        if query.landing or any(not sent.asked.late for sent in pending):
            return
        candidates = [
            session
            for session in self.sessions
            if session.number not in query.tried and session.remote is not None
        ]
        if query.hint is not None:
            for session in list(candidates):
                if session.remote and query.hint[0] not in session.remote.extensions:
                    query.tried.add(session.number)
                    query.reasons.append(f"{session.name} does not know {query.hint[0]!r}")
                    candidates.remove(session)
        if not candidates:
            if self.sessions and not pending and query.tried:
                self._fail(query)
            return
        best = max(
            candidates,
            key=lambda one: (
                not one.link.stalled,
                -one.failures,
                one.position,
                -(one.link.pace.round_trip or 0.0),
            ),
        )
        self._send_query(best, query, now)

    def _send_query(self, session: Session, query: Query, now: float) -> None:
        query.tried.add(session.number)
        spans = self._blocked_past_the_end(session)
        asked = self.scheduler.ask(session.link, now, QUERY_COST, spans)
        standing = self.standing
        hashes: tuple[int, ...] = ()
        if session.distrusted and session.position[0] == standing.fork:
            hashes = tuple(flat_tree.roots(standing.length))  # to see whether they are ours
        since = 0 if session.distrusted else standing.length
        self._send(session, asked, query, since=since, length=0, hashes=hashes)

    def _blocked_past_the_end(self, session: Session) -> list[Span]:
        """Return blocks that somebody waits for and a newer head will make provable."""
        stop = min(session.position[1], self.standing.length + messages.MAX_REQUEST_BLOCKS)
        return [
            part
            for start, end in self.wants.blocked.within(self.standing.length, stop)
            for part in session.link.have.within(start, end)
        ][:64]

    def _ask_blocks(self, session: Session, now: float) -> None:
        base = session.link.base
        if base is None:
            return
        for asked in self.scheduler.next_requests(session.link, now):
            self._send(session, asked, None, since=base, length=base)

    def _send(
        self,
        session: Session,
        asked: Asked,
        query: Query | None,
        *,
        since: int,
        length: int,
        hashes: tuple[int, ...] = (),
    ) -> None:
        anchors: tuple[int, ...] = ()
        if asked.urgent and query is None and since == self.standing.length:
            anchors = self._anchors(asked.spans)
        request = Request(
            asked.id,
            self.standing.fork,
            length,
            since,
            pack_runs(asked.spans),
            hashes,
            seek=query.seek if query else None,
            anchors=anchors,
            hint=query.hint if query else None,
            urgent=asked.urgent,
        )
        session.put_request(Sent(request, asked, query, self.standing.length))
        self.counters["requests"] += 1

    def _anchors(self, spans: Spans) -> tuple[int, ...]:
        pieces = list(spans)
        blocks = range(*pieces[0]) if len(pieces) == 1 else _indexes(pieces)
        nodes = self.feed.anchors(blocks)
        return tuple(nodes[: messages.MAX_ANCHORS])

    # Answers.

    def _on_arrival(self, arrival: Arrival, now: float) -> None:
        sent, session = arrival.sent, arrival.session
        blocks = arrival.proof.data
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

    def _on_refusal(self, session: Session, sent: Sent, reason: str, now: float) -> None:
        """Learn that a request ends without (the rest of) what it asked for."""
        session.sent.pop(sent.request.id, None)
        self.scheduler.answered(session.link, sent.asked, 0, now)
        if reason != messages.BUSY:
            session.doubted = session.doubted or bool(sent.asked.spans)
            session.link.have.subtract(sent.asked.spans)
        self.scheduler.finished(session.link, sent.asked)
        query = sent.query
        if query is None or query.done:
            return
        if reason == messages.CURRENT and query.hint is None and query.seek is None:
            if query is self._own_update:
                session.failures += 1  # it has claimed more, and has it not
            self._answer(query, None)
            return
        session.failures += query is self._own_update
        query.reasons.append(f"{session.name or 'peer'}: {reason}")

    def _answer(self, query: Query, verified: Verified | None) -> None:
        if query.done:
            return
        self.drop(query)
        if query is self._own_update:
            self._own_update = None
        else:
            self._events.append(QueryAnswered(query, verified))

    def _fail(self, query: Query) -> None:
        self.drop(query)
        if query is self._own_update:
            self._own_update = None
        else:
            self._events.append(QueryFailed(query))

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
                self._tell(start, stop, now, but=session)
            self.standing.held.add(start, stop)
        if spans:
            self._events.append(BlocksStored(spans))
        sent = arrival.sent
        if sent is None:
            session.known = (outcome.fork, outcome.length)  # who pushes counts on that
            session.claim(outcome.fork, outcome.length)
        elif sent.query is not None and sent.base == arrival.proof.length:
            self._answer(sent.query, outcome)
        if outcome.head is not None:
            session.failures = 0
            session.distrusted = False
            self._refresh(now)

    def lost(self, error: FeedlogError, now: float) -> None:
        """Learn that proofs which counted as stored could not be kept."""
        self._drop_requests()  # their answers may build on what was lost
        self._refresh(now)
        self._events.append(StoreFailed(error))

    def _drop_requests(self) -> None:
        """Forget the requests for blocks; what still comes of them is not looked at."""
        self.scheduler.reset()
        for session in self.sessions:
            session.sent = {i: sent for i, sent in session.sent.items() if sent.query}

    def _on_bad(self, arrival: Arrival, error: FeedlogError, now: float) -> None:
        session, sent = arrival.session, arrival.sent
        if isinstance(error, InvalidProof) and self._is_stale(arrival):
            self.counters["stale"] += 1
            if sent is None:
                # A push that does not link to what we have: we have missed something.
                session.claim(arrival.proof.fork, arrival.proof.length)
            if sent is not None and sent.query is not None and not sent.query.done:
                sent.query.tried.discard(session.number)
        elif isinstance(error, InvalidProof):
            self.counters["failures"] += 1
            fault = ProtocolError(f"proof of {session.name or 'a peer'}: {error}", code="proof")
            self._events.append(PeerFailed(session, fault))
            self.close(session, now)
        else:
            session.failures = MAX_FAILURES  # what it has cannot be stored, now or ever
            self._events.append(StoreFailed(error))
            return  # to ask for the same again would fail again
        self._ask_all(now)

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
        self._ask_all(now)

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
            self._tell(start, stop, now)
        if came:
            self._events.append(BlocksStored(tuple(came)))

    def _follow_head(self, before: Head | None) -> None:
        """Deal with a new head of ours: push it, or say that there is one."""
        head = self.standing.head
        assert head is not None, "a feed does not lose its last head"
        self._measure()
        if before is not None and before.fork != head.fork:
            self._drop_requests()
        pushes: dict[int, bytes | None] = {}
        for session in self.sessions:
            self._rebase(session)
            if session.doubted:
                session.doubted = False
                session.put(Want(0, messages.MAX_LENGTH))
            position = (head.fork, head.length)
            if session.position >= position and not (self.live and session.known != position):
                continue  # it has no use for our news, nor we for its pushes
            if before is not None and self._push(session, before, head, pushes):
                continue
            session.info_due = True
        self._events.append(HeadChanged(head.fork, head.length))

    def _push(
        self, session: Session, before: Head, head: Head, pushes: dict[int, bytes | None]
    ) -> bool:
        """Send new blocks with their proof to a peer that follows; tell whether it was done."""
        remote = session.remote
        if (
            remote is None
            or not remote.downloading
            or session.position != (before.fork, before.length)
            or head.fork != before.fork
            or session.outbox
        ):
            return False
        if before.length not in pushes:
            pushes[before.length] = self._make_push(before.length, head.length)
        push = pushes[before.length]
        if push is None:
            return False
        session.put_encoded(push)
        session.claim(head.fork, head.length)
        session.told.remove(before.length, head.length)
        session.link.have.add(before.length, head.length)
        self._rebase(session)
        return True

    def _make_push(self, since: int, length: int) -> bytes | None:
        if length - since > PUSH_BLOCKS or not self.standing.held.covers(since, length):
            return None
        try:
            proof = self.feed.prove(
                blocks=range(since, length), since=since, length=length, max_bytes=PUSH_SIZE
            )
        except (BlockMissing, ValueError):
            return None
        if len(proof.data) < length - since:
            return None
        return messages.encode(Data(messages.PUSH, proof.to_bytes(), last=True))

    def _measure(self) -> None:
        """Learn how large blocks are on average."""
        length = self.standing.length
        if length:
            self.scheduler.block_size = max(1, self.feed.byte_length // length)

    def _tell(self, start: int, stop: int, now: float, but: Session | None = None) -> None:
        """Note that peers should hear whether we hold [start, stop)."""
        for session in self.sessions:
            if session is not but and not session.link.have.covers(start, stop):
                session.told.add(start, stop)
                if self._tell_at is None:
                    self._tell_at = now + TELL_AFTER

    # Sending.

    def next_message(self, session: Session) -> tuple[bytes, bool] | None:
        """Return the next message for a peer and whether it is urgent; None for none."""
        if session.info_due:
            session.info_due = False
            session.known = (self.standing.fork, self.standing.length)
            if not session.greeted:
                session.greeted = True
                self._put_haves(session)  # first, so that who learns our length knows what to ask
            session.put(
                Info(
                    messages.VERSION,
                    self.standing.fork,
                    self.standing.length,
                    self.live,
                    tuple(self.handlers),
                )
            )
        if session.told_due:
            session.told_due = False
            self._put_haves(session)
        return session.next_message()

    def announce(self) -> None:
        """Tell all peers that our `live` or `handlers` have changed."""
        for session in self.sessions:
            session.info_due = True

    def _put_haves(self, session: Session) -> None:
        told, session.told = session.told, Spans()
        held = self.standing.held
        for start, stop in told:
            spans = list(held.within(start, stop))
            for at in range(0, max(1, len(spans)), messages.MAX_RUNS):
                part = spans[at : at + messages.MAX_RUNS]
                low = start if at == 0 else part[0][0]
                last = at + messages.MAX_RUNS >= len(spans)
                high = stop if last else spans[at + messages.MAX_RUNS][0]
                session.put(Have(low, high, pack_runs(part, low)))

    def next_event(self) -> Event | None:
        """Return the oldest event not yet returned."""
        return self._events.popleft() if self._events else None

    # Time.

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, None for never."""
        times = [self._tell_at, self.scheduler.deadline()]
        return min((at for at in times if at is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Do what time has made due."""
        if self._tell_at is not None and now >= self._tell_at:
            self._tell_at = None
            for session in self.sessions:
                self._put_haves(session)
        due = self.scheduler.deadline()
        if due is None or now < due:
            return
        silent = self.scheduler.expire(now)
        for session in list(self.sessions):
            if session.link in silent:
                fault = PeerError(f"no answer for {SILENT_AFTER:.0f} s", code="silent")
                self._events.append(PeerFailed(session, fault))
                self.close(session, now)
        self._ask_all(now)


def _indexes(spans: list[Span]) -> list[int]:
    return [index for span in spans for index in range(*span)]
