"""The crawler: asks its way to the nodes that are closest to a target.

A window of requests slides over the candidates, closest first. A request that is older
than `SOFT_TIMEOUT` frees its place in the window and may still be answered; so a dead
node costs a fraction of a second once, not a round. The crawl ends when the `want`
closest candidates that are not overdue have answered.

Liars are met like this: from one answer only so many contacts are taken; contacts that
only such nodes name whose contacts do not answer are asked last; of one area only
`PER_AREA` answers count; and a crawl sends at most `MAX_REQUESTS` requests.

Invariant: each candidate is asked at most `MAX_ATTEMPTS` times, and `done` comes after
finitely many answers, failures and timeouts. Contacts and `now` in, contacts to ask out;
must not know datagrams or what is being looked for. Specified in docs/spec/dht.md, section 9.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from net.addresses import Address, area
from net.dht.messages import MAX_NODES, Contact

WANT = 8
"""Nodes that hold a record, and so the answers that a crawl waits for."""

WIDTH = 4
"""Requests in the window: alpha of the paper, one more because one may be dead."""

SOFT_TIMEOUT = 0.4
"""Seconds after which a request holds no place; a round trip around the earth takes less."""

MAX_ATTEMPTS = 3
"""A small network has nobody else to ask, and datagrams get lost."""

MAX_CANDIDATES = 256
"""Beyond this the farthest are forgotten: a crawl of a million nodes asks about thirty."""

MAX_REQUESTS = 128
"""A crawl that is fed with false contacts ends here."""

MIN_SILENT = 3
SILENT_SHARE = 0.75
"""A referrer of whom at least so many, and more than this share, of the contacts that were
asked are silent counts as a liar: in an honest network with 30 % dead, 30 % are silent."""

ENOUGH = 3
"""Answers from which on silent nodes are not asked again. Nor are they waited for, unless
one that was overdue has answered after all: then the path is slow."""

PER_AREA = 3
"""Answers of one area that count in a crawl, so that one owner cannot surround a target."""


class State(Enum):
    """Of a candidate."""

    NEW = auto()
    ASKED = auto()
    LATE = auto()
    """Asked more than `SOFT_TIMEOUT` ago; an answer is still welcome."""
    ANSWERED = auto()
    REFUSED = auto()
    """Answered with nonsense, or was not there under this id."""


@dataclass(slots=True, eq=False)
class Candidate:
    """A contact on the way to the target."""

    contact: Contact
    distance: int
    suspect: bool
    referrers: set[bytes] = field(default_factory=set)
    """Who named it; empty for a contact of our own table."""
    state: State = State.NEW
    asked: float = 0.0
    attempts: int = 0
    outstanding: int = 0


class Query:
    """One crawl towards `target`; addresses in `suspects` failed lately and are asked last."""

    def __init__(
        self, target: bytes, *, want: int = WANT, suspects: frozenset[Address] = frozenset()
    ) -> None:
        self.target = target
        self.want = want
        self.sent = 0
        self._suspects = suspects
        self._by_id: dict[bytes, Candidate] = {}
        self._order: list[Candidate] = []
        self._asked: list[Candidate] = []
        """Those that hold a place in the window, longest first."""
        self._outstanding = 0
        self._good: Counter[bytes] = Counter()
        self._bad: Counter[bytes] = Counter()
        self._liars: set[bytes] = set()
        self._areas: Counter[object] = Counter()
        self._answers = 0
        self._slow = False

    def start(self, contacts: Iterable[Contact]) -> None:
        """Add the contacts to begin with."""
        self._learn(contacts, None)

    def requests(self, now: float) -> list[Contact]:
        """Return whom to ask now; each is taken as asked."""
        self._age(now)
        chosen: list[Contact] = []
        while len(self._asked) < WIDTH and self.sent < MAX_REQUESTS and not self._satisfied():
            candidate = self._next()
            if candidate is None:
                break
            candidate.state, candidate.asked = State.ASKED, now
            candidate.attempts += 1
            candidate.outstanding += 1
            self._outstanding += 1
            self._asked.append(candidate)
            self.sent += 1
            chosen.append(candidate.contact)
        return chosen

    def answered(self, asked: Contact, answerer: bytes, learned: Sequence[Contact]) -> None:
        """Take an answer from the address of `asked`, where the node calls itself `answerer`.

        Another id than expected means that a liar has given an honest node's address to
        an id of its choice: the invented contact goes, the real one counts.
        """
        candidate = self._ended(asked)
        if candidate is None or candidate.state is State.ANSWERED:
            return  # an earlier attempt was answered already
        if answerer != asked.id:
            self._leave_window(candidate)
            candidate.state = State.REFUSED
            self._blame(candidate, 1)
            self._learn([Contact(answerer, asked.address)], None)
            candidate = self._by_id.get(answerer)
            if candidate is None or candidate.state in (State.ANSWERED, State.REFUSED):
                return
        self._leave_window(candidate)
        if candidate.state is State.LATE:
            self._blame(candidate, -1)
        if candidate.state is State.LATE or candidate.attempts > 1:
            self._slow = True
        self._good.update(candidate.referrers)
        self._blame(candidate, 0)
        candidate.state = State.ANSWERED
        self._answers += 1
        self._areas[area(asked.address)] += 1
        self._learn(learned[:MAX_NODES], candidate.contact.id)

    def failed(self, contact: Contact) -> None:
        """Note that a request to a contact will never be answered."""
        candidate = self._ended(contact)
        if candidate is not None and candidate.state is State.ASKED and not candidate.outstanding:
            self._leave_window(candidate)
            self._late(candidate)

    def refuse(self, contact: Contact) -> None:
        """Note that a request was answered with nonsense: the contact is not asked again."""
        candidate = self._ended(contact)
        if candidate is not None and candidate.state is not State.ANSWERED:
            self._leave_window(candidate)
            candidate.state = State.REFUSED

    def next_timeout(self) -> float | None:
        """Return when `requests` should be called again if no answer comes."""
        return self._asked[0].asked + SOFT_TIMEOUT if self._asked else None

    @property
    def done(self) -> bool:
        """Whether the crawl has ended."""
        if self._satisfied():
            return True
        patient = self._slow or self._answers < ENOUGH
        if self._asked or (patient and self._outstanding):
            return False
        return self.sent >= MAX_REQUESTS or self._next() is None

    def liars(self) -> list[Contact]:
        """Return those of whose contacts too many are silent, see `SILENT_SHARE`."""
        return [self._by_id[liar].contact for liar in self._liars]

    def answerers(self) -> list[Contact]:
        """Return those that answered, nearest first and few of one area."""
        chosen = []
        areas: Counter[object] = Counter()
        for candidate in self._order:
            if candidate.state is State.ANSWERED:
                place = area(candidate.contact.address)
                if place is None or areas[place] < PER_AREA:
                    areas[place] += 1
                    chosen.append(candidate.contact)
        return chosen

    def _learn(self, contacts: Iterable[Contact], referrer: bytes | None) -> None:
        target = int.from_bytes(self.target, "big")
        for contact in contacts:
            known = self._by_id.get(contact.id)
            if known is not None:
                if known.referrers and referrer is not None:
                    known.referrers.add(referrer)
            else:
                distance = int.from_bytes(contact.id, "big") ^ target
                suspect = contact.address in self._suspects
                candidate = Candidate(contact, distance, suspect)
                if referrer is not None:
                    candidate.referrers.add(referrer)
                self._by_id[contact.id] = candidate
                insort(self._order, candidate, key=lambda c: c.distance)
        excess = len(self._order) - MAX_CANDIDATES
        for candidate in reversed(self._order[:]):
            if excess <= 0:
                break
            if candidate.state is State.NEW:
                self._order.remove(candidate)
                del self._by_id[candidate.contact.id]
                excess -= 1

    def _age(self, now: float) -> None:
        while self._asked and now >= self._asked[0].asked + SOFT_TIMEOUT:
            self._late(self._asked.pop(0))

    def _late(self, candidate: Candidate) -> None:
        candidate.state = State.LATE
        if candidate.attempts == 1:
            self._blame(candidate, 1)

    def _ended(self, contact: Contact) -> Candidate | None:
        """Return the candidate of a request that is over, None for one that was given up."""
        candidate = self._by_id.get(contact.id)
        if candidate is not None:
            candidate.outstanding -= 1
            self._outstanding -= 1
        return candidate

    def _leave_window(self, candidate: Candidate) -> None:
        if candidate.state is State.ASKED:
            self._asked.remove(candidate)

    def _blame(self, candidate: Candidate, amount: int) -> None:
        """Count silence, or its end, against those who named a candidate."""
        for referrer in candidate.referrers:
            self._bad[referrer] += amount
            bad = self._bad[referrer]
            if bad >= MIN_SILENT and bad > SILENT_SHARE * (bad + self._good[referrer]):
                self._liars.add(referrer)
            else:
                self._liars.discard(referrer)

    def _trails(self, candidate: Candidate) -> bool:
        """Tell whether a candidate is asked only after all others."""
        if candidate.suspect:
            return True
        return bool(candidate.referrers) and candidate.referrers <= self._liars

    def _counts(self, candidate: Candidate) -> bool:
        place = area(candidate.contact.address)
        return place is None or self._areas[place] < PER_AREA

    def _next(self) -> Candidate | None:
        """Return the candidate to ask next: a new one, else one that was silent so far."""
        trailing = None
        for candidate in self._order:
            if candidate.state is State.NEW and self._counts(candidate):
                if not self._trails(candidate):
                    return candidate
                trailing = trailing or candidate
        if trailing is not None or self._answers >= ENOUGH:
            return trailing
        late = [c for c in self._order if c.state is State.LATE and c.attempts < MAX_ATTEMPTS]
        return min(late, key=lambda c: c.attempts, default=None)

    def _satisfied(self) -> bool:
        """Tell whether the `want` closest that can still count have answered."""
        answers = 0
        for candidate in self._order:
            if candidate.state is State.ANSWERED:
                answers += 1
                if answers >= self.want:
                    return True
            elif candidate.state is State.ASKED or (
                candidate.state is State.NEW
                and self._counts(candidate)
                and not self._trails(candidate)
            ):
                return False
        return False
