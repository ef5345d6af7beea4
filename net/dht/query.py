"""The crawler: asks its way to the nodes that are closest to a target.

A window of requests slides over the candidates, closest first. A request that is older
than `patience` (what answers have taken lately) frees its place in the window and may still be
answered; so a dead node costs a fraction of a second once, not a round. The crawl ends when
the `want` closest candidates that are not overdue have answered.

It goes along several *paths* at once (Baumgart and Mies 2007). The contacts to begin with are
dealt to them, and what an answer names is followed only by the path that asked; so a liar
leads one path astray. Each path ends with `PATH_WANT` answers of its own that are the closest
it has heard of, and has `MAX_REQUESTS` divided by their number.

Liars are met like this: from one answer only so many contacts are taken; contacts that
only such nodes name whose contacts do not answer are asked last; and of one area only
`PER_AREA` answers count.

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
from net.dht.contacts import MAX_NODES, Contact

WANT = 8
"""Nodes that hold a record, and so the answers that a crawl waits for."""

WIDTH = 4
"""Requests in the window: alpha of the paper, one more because one may be dead."""

SOFT_TIMEOUT = 0.4
"""Seconds after which a request holds no place, if nothing else is said."""

PATHS = 4
"""Ways to a target that share no answer."""

PATH_WANT = 3
"""Answers of each path that must be the closest it has heard of."""

PATH_HOLDERS = 2
"""Answers of each path among those that are to hold a record, also when others are closer."""

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
    paths: set[int]
    """On which it was named; its answer serves the one that it was asked for."""
    referrers: set[bytes] = field(default_factory=set)
    """Who named it; empty for a contact of our own table."""
    asked_for: int = 0
    state: State = State.NEW
    asked: float = 0.0
    attempts: int = 0
    outstanding: int = 0


class Query:
    """One crawl towards `target`; addresses in `suspects` failed lately and are asked last."""

    def __init__(
        self,
        target: bytes,
        *,
        want: int = WANT,
        paths: int = 1,
        patience: float = SOFT_TIMEOUT,
        suspects: frozenset[Address] = frozenset(),
    ) -> None:
        self.target = target
        self.want = want
        self.sent = 0
        self._paths = paths
        self._patience = patience
        self._sent_on = [0] * paths
        self._dealt = 0
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
        """Add the contacts to begin with, those that are nearest first."""
        for contact in contacts:
            self._learn([contact], None, self._dealt % self._paths)
            self._dealt += 1

    def requests(self, now: float) -> list[Contact]:
        """Return whom to ask now; each is taken as asked."""
        self._age(now)
        chosen: list[Contact] = []
        while len(self._asked) < WIDTH and not self._satisfied():
            chance = self._next()
            if chance is None:
                break
            candidate, path = chance
            candidate.asked_for = path
            self._sent_on[path] += 1
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
            path = candidate.asked_for
            self._learn([Contact(answerer, asked.address)], None, path)
            candidate = self._by_id.get(answerer)
            if candidate is None or candidate.state in (State.ANSWERED, State.REFUSED):
                return
            if candidate.state is State.NEW:
                candidate.asked_for = path
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
        self._learn(learned[:MAX_NODES], candidate.contact.id, candidate.asked_for)

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
        return self._asked[0].asked + self._patience if self._asked else None

    @property
    def done(self) -> bool:
        """Whether the crawl has ended."""
        if self._satisfied():
            return True
        patient = self._slow or not self._answers
        if self._asked or (patient and self._outstanding):
            return False
        return self._next() is None

    def liars(self) -> list[Contact]:
        """Return those of whose contacts too many are silent, see `SILENT_SHARE`."""
        return [self._by_id[liar].contact for liar in self._liars]

    def silent(self) -> list[Contact]:
        """Return those that have not answered in time."""
        return [one.contact for one in self._order if one.state is State.LATE]

    def answerers(self) -> list[Contact]:
        """Return those that answered, nearest first and few of one area."""
        return [candidate.contact for candidate in self._answerers()]

    def chosen(self) -> list[Contact]:
        """Return the `want` nearest that answered; with `PATH_HOLDERS` of each path, if it has
        them, in place of the farthest of others, so that no path decides alone.
        """
        answerers = self._answerers()
        chosen, rest = answerers[: self.want], answerers[self.want :]
        shares = Counter(candidate.asked_for for candidate in chosen)
        for candidate in rest:
            if shares[candidate.asked_for] >= PATH_HOLDERS:
                continue
            spare = [other for other in chosen if shares[other.asked_for] > PATH_HOLDERS]
            if not spare:
                break
            chosen.remove(spare[-1])
            chosen.append(candidate)
            shares[spare[-1].asked_for] -= 1
            shares[candidate.asked_for] += 1
        return [candidate.contact for candidate in chosen]

    def _answerers(self) -> list[Candidate]:
        counted = []
        areas: Counter[object] = Counter()
        for candidate in self._order:
            if candidate.state is State.ANSWERED:
                place = area(candidate.contact.address)
                if place is None or areas[place] < PER_AREA:
                    areas[place] += 1
                    counted.append(candidate)
        return counted

    def _learn(self, contacts: Iterable[Contact], referrer: bytes | None, path: int) -> None:
        target = int.from_bytes(self.target, "big")
        for contact in contacts:
            known = self._by_id.get(contact.id)
            if known is not None:
                known.paths.add(path)
                if known.referrers and referrer is not None:
                    known.referrers.add(referrer)
            else:
                distance = int.from_bytes(contact.id, "big") ^ target
                suspect = contact.address in self._suspects
                candidate = Candidate(contact, distance, suspect, {path})
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
        while self._asked and now >= self._asked[0].asked + self._patience:
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

    def _next(self) -> tuple[Candidate, int] | None:
        """Return whom to ask next, and on which path: the one that has asked least.

        A new one; if there is none, one that is asked last; else one that was silent so far.
        """
        paths = self._open_paths()
        for path in sorted(paths, key=self._sent_on.__getitem__):
            for candidate in self._order:
                if path in candidate.paths and self._is_next(candidate):
                    return candidate, path
        if not paths or len(paths) < self._paths:
            # The closest of all: it may have been heard of on a path that has ended.
            for candidate in self._order:
                path = min(candidate.paths, key=self._sent_on.__getitem__)
                if self._is_next(candidate) and self._may_send(path):
                    return candidate, path
        return self._last_resort()

    def _last_resort(self) -> tuple[Candidate, int] | None:
        paths = [path for path in range(self._paths) if self._may_send(path)]
        late = []
        for candidate in self._order:
            usable = candidate.paths.intersection(paths)
            if not usable:
                continue
            if candidate.state is State.NEW and self._counts(candidate):
                return candidate, min(usable)
            gone = candidate.suspect and self._answers  # and it is not we who are cut off
            if candidate.state is State.LATE and candidate.attempts < MAX_ATTEMPTS and not gone:
                late.append((candidate, min(usable)))
        if self._answers >= ENOUGH:
            return None
        return min(late, key=lambda pair: pair[0].attempts, default=None)

    def _is_next(self, candidate: Candidate) -> bool:
        return (
            candidate.state is State.NEW and self._counts(candidate) and not self._trails(candidate)
        )

    def _may_send(self, path: int) -> bool:
        return self._sent_on[path] < MAX_REQUESTS // self._paths

    def _satisfied(self) -> bool:
        """Tell whether the `want` closest that can still count have answered, on all paths."""
        return self._enough() and not self._open_paths()

    def _enough(self) -> bool:
        answers = 0
        for candidate in self._order:
            if candidate.state is State.ANSWERED:
                answers += 1
                if answers >= self.want:
                    return True
            elif self._blocks(candidate):
                return False
        return False

    def _open_paths(self) -> list[int]:
        """Return the paths that have not come to their closest and may still send."""
        answers = [0] * self._paths
        undecided = {path for path in range(self._paths) if self._may_send(path)}
        blocked: set[int] = set()
        for candidate in self._order:
            if not undecided:
                break
            if candidate.state is State.ANSWERED:
                for path in candidate.paths & undecided:
                    answers[path] += 1
                    if answers[path] >= min(PATH_WANT, self.want):
                        undecided.discard(path)
            elif self._blocks(candidate):
                stopped = candidate.paths & undecided
                blocked |= stopped
                undecided -= stopped
        return sorted(blocked)

    def _blocks(self, candidate: Candidate) -> bool:
        """Tell whether a candidate may still turn out to be among the closest."""
        return candidate.state is State.ASKED or self._is_next(candidate)
