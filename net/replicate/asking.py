"""What we ask of the peers of a feed: heads, bytes and hints, and the blocks that are wanted.

A query is asked of the most promising peer, and of another one when it has no answer or
is late. Which blocks to ask of whom the scheduler says; here that becomes requests.

Invariant: nothing is asked for that is held, and every query is answered, asked of another
peer, or reported as failed.
Must not know proofs, or how answers are checked. Specified in docs/spec/replication.md.
"""

from __future__ import annotations

from collections import Counter, deque

from feedlog import flat_tree
from feedlog.proof import Verified
from net.replicate import messages
from net.replicate.events import Event, QueryAnswered, QueryFailed
from net.replicate.link import Asked
from net.replicate.messages import Request, pack_runs
from net.replicate.scheduler import Scheduler
from net.replicate.session import Query, Sent, Session
from net.replicate.spans import Span, Spans
from net.replicate.standing import Standing

QUERY_COST = 1024
"""Bytes that we expect of a head, a byte's block or a hint, besides blocks."""

MAX_FAILURES = 3
"""Refused queries after which a peer's claim to a longer feed is not believed any more."""

MAX_DISPUTED = 8
"""Peers that are asked for the newest head although one of them has answered: whoever comes
claims what it likes, and they may come without end."""


class Asking:
    """Our questions about one feed."""

    def __init__(
        self,
        standing: Standing,
        scheduler: Scheduler,
        sessions: list[Session],
        events: deque[Event],
        counters: Counter[str],
    ) -> None:
        self.feed = standing.feed
        self.standing = standing
        self.scheduler = scheduler
        self.wants = scheduler.wants
        self.sessions = sessions
        self.counters = counters
        self.own_update: Query | None = None
        """The query that nobody but we wants answered: a peer claims to be ahead."""
        self._events = events
        self._queries: list[Query] = []

    def rebase(self, session: Session) -> None:
        """Note what length the peer's proofs can be against."""
        info, head = session.remote, self.standing.head
        if info is None or head is None or info.fork != head.fork or session.probe is not None:
            session.link.base = None
        elif info.length >= head.length:
            session.link.base = head.length
        else:
            session.link.base = info.length if self.standing.provable(info.length) else None

    def add(self, query: Query) -> None:
        """Take up a question."""
        self._queries.append(query)

    def drop(self, query: Query) -> None:
        """Take a question back."""
        query.done = True
        if query in self._queries:
            self._queries.remove(query)

    def ask(self, now: float, *, following: bool) -> None:
        """Put to each peer what may be asked of it now; `following` asks for news as well."""
        if following and not self._queries:  # every query asks for the latest head, too
            self._update_if_behind()
        for query in list(self._queries):
            self._ask_query(query, now)
        if self.wants:
            sessions = self.sessions
            if len(sessions) > 1:
                sessions = sorted(sessions, key=lambda one: one.link.pace.round_trip or 0.0)
            for session in sessions:
                if not session.congested:
                    self._ask_blocks(session, now)

    def _update_if_behind(self) -> None:
        """Ask for a newer head where a peer claims one."""
        ours = (self.standing.fork, self.standing.length)
        if any(one.position > ours and one.failures < MAX_FAILURES for one in self.sessions):
            self.own_update = Query()
            self._queries.append(self.own_update)

    def _ask_query(self, query: Query, now: float) -> None:
        """Ask the most promising peer that was not asked yet, if it is time to."""
        if query.heard and not self._disputed(query):
            self.answer(query, query.verified)
            return
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
        for session in list(candidates):
            if (reason := _unfit(session, query)) is not None:
                query.tried.add(session.number)
                query.reasons.append(f"{session.name} {reason}")
                candidates.remove(session)
        if not candidates:
            # One who has come and not yet told what it has may know the answer.
            all_tried = all(session.number in query.tried for session in self.sessions)
            if query.heard and all_tried:
                self.answer(query, query.verified)  # whoever claims more cannot be asked
            elif self.sessions and all_tried and not pending:
                self._fail(query)
            return
        # Newcomers that promise most may come without end: every other turn is that of age.
        rank = _seniority if len(query.tried) % 2 else _promise
        self._send_query(max(candidates, key=rank), query, now)

    def _send_query(self, session: Session, query: Query, now: float) -> None:
        query.tried.add(session.number)
        spans = self._blocked_past_the_end(session)
        asked = self.scheduler.ask(session.link, now, QUERY_COST, spans)
        standing = self.standing
        hashes: tuple[int, ...] = ()
        fork, length = session.position
        if session.distrusted and fork == standing.fork and length >= standing.length:
            hashes = tuple(flat_tree.roots(standing.length))  # to see whether they are ours
        since = 0 if session.distrusted else standing.length
        self._send(session, asked, query, since=since, length=0, hashes=hashes)

    def probe(self, session: Session, now: float) -> None:
        """Ask a peer, of whom a proof failed, for its whole head, and for nothing else any more."""
        self._let_off(session)
        session.distrusted = True
        session.probe = Query(done=True)  # who waits for an answer asks another peer
        self.rebase(session)
        self._send_query(session, session.probe, now)

    def _let_off(self, session: Session) -> None:
        for number, sent in list(session.sent.items()):
            if sent.query is None:
                del session.sent[number]
                self.scheduler.finished(session.link, sent.asked)

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
            if session.congested:
                return

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

    def answer(self, query: Query, verified: Verified | None) -> None:
        """Take an answer; what the latest head is only where nobody else claims a newer one."""
        if query.done:
            return
        query.heard, query.verified = True, verified
        if self._disputed(query):
            return
        self.drop(query)
        if query is self.own_update:
            self.own_update = None
        else:
            self._events.append(QueryAnswered(query, verified))

    def _disputed(self, query: Query) -> bool:
        """Tell whether a peer that was not asked yet claims to have a newer head than we do."""
        if query.hint is not None or query.seek is not None or len(query.tried) >= MAX_DISPUTED:
            return False
        ours = (self.standing.fork, self.standing.length)
        return any(
            one.position > ours
            and one.number not in query.tried
            and one.failures < MAX_FAILURES
            and not one.link.stalled
            for one in self.sessions
        )

    def _fail(self, query: Query) -> None:
        self.drop(query)
        if query is self.own_update:
            self.own_update = None
        else:
            self._events.append(QueryFailed(query))

    def drop_requests(self) -> None:
        """Forget the requests for blocks; what still comes of them is not looked at."""
        self.scheduler.reset()
        for session in self.sessions:
            session.sent = {i: sent for i, sent in session.sent.items() if sent.query}


def _promise(session: Session) -> tuple[bool, int, tuple[int, int], float]:
    link = session.link
    return not link.stalled, -session.failures, session.position, -(link.pace.round_trip or 0.0)


def _seniority(session: Session) -> tuple[bool, int, int]:
    return not session.link.stalled, -session.failures, -session.number


def _unfit(session: Session, query: Query) -> str | None:
    """Return why a peer cannot be asked, for people; None where it can."""
    if session.congested:
        return "reads nothing of what it is sent"
    if query.hint and session.remote and query.hint[0] not in session.remote.extensions:
        return f"does not know {query.hint[0]!r}"
    return None


def _indexes(spans: list[Span]) -> list[int]:
    return [index for span in spans for index in range(*span)]
