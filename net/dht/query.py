"""The crawler: asks its way to the nodes that are closest to a target.

A window of requests slides over the candidates, closest first. A request that is older
than `patience` (what answers have taken lately) frees its place in the window and may still be
answered; so a dead node costs a fraction of a second once, not a round. And the window is
wider by a place for each that is silent, for among many dead a few will not do. The crawl ends
when the `want` closest candidates that are not overdue have answered, on each of its paths.

Whom it may ask is in `candidates`, for which of its `paths` in the module of that name. From one
answer only so many contacts are taken.

Invariant: `done` comes after finitely many answers, failures and timeouts. Contacts and `now` in,
contacts to ask out; must not know datagrams or what is being looked for. Specified in
docs/spec/dht.md, section 9.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from net.addresses import Address
from net.dht.candidates import Candidate, Candidates, State
from net.dht.contacts import MAX_NODES, Contact
from net.dht.paths import Paths

WANT = 8
"""Nodes that hold a record, and so the answers that a crawl waits for."""

WIDTH = 4
"""Requests in the window: alpha of the paper, one more because one may be dead."""

MAX_WIDTH = 12
"""The same where others are silent: what half of the nodes leave of it is more than `WIDTH`."""

SOFT_TIMEOUT = 0.4
"""Seconds after which a request holds no place, if nothing else is said."""


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
        self.patience = patience
        """Seconds after which a request holds no place; may change as answers come."""
        self._candidates = Candidates(target, suspects)
        self._paths = Paths(paths, self._candidates)
        self._asked: list[Candidate] = []
        """Those that hold a place in the window, longest first."""
        self._outstanding = 0
        self._slow = False
        """Whether one that was overdue has answered after all: then the silent are waited for."""

    @property
    def sent(self) -> int:
        """How many requests were sent."""
        return self._paths.sent

    def start(self, contacts: Iterable[Contact]) -> None:
        """Add the contacts to begin with, those that are nearest first."""
        for contact in contacts:
            self._paths.begin(contact)

    def requests(self, now: float) -> list[Contact]:
        """Return whom to ask now; each is taken as asked."""
        self._age(now)
        chosen: list[Contact] = []
        width = min(MAX_WIDTH, WIDTH + len(self.silent()))
        while len(self._asked) < width and not self._satisfied():
            chance = self._paths.next(self.want)
            if chance is None:
                break
            candidate, path = chance
            self._paths.ask(candidate, path)
            candidate.state, candidate.asked = State.ASKED, now
            candidate.attempts += 1
            candidate.outstanding += 1
            self._outstanding += 1
            self._asked.append(candidate)
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
            self._candidates.referrers.silent(candidate.referrers)
            path = candidate.asked_for
            self._candidates.learn([Contact(answerer, asked.address)], None, path)
            candidate = self._candidates.get(answerer)
            if candidate is None or candidate.state in (State.ANSWERED, State.REFUSED):
                return
            if candidate.state is State.NEW:
                candidate.asked_for = path
        self._leave_window(candidate)
        if candidate.state is State.LATE:
            self._candidates.referrers.forgive(candidate.referrers)
        if candidate.state is State.LATE or candidate.attempts > 1:
            self._slow = True
        self._candidates.answered(candidate, asked.address)
        named = learned[:MAX_NODES]
        self._candidates.learn(named, candidate.contact.id, candidate.asked_for)

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
        return self._asked[0].asked + self.patience if self._asked else None

    @property
    def done(self) -> bool:
        """Whether the crawl has ended."""
        if self._satisfied():
            return True
        patient = self._slow or not self._candidates.answers
        if self._asked or (patient and self._outstanding):
            return False
        return self._paths.next(self.want) is None

    def liars(self) -> list[Contact]:
        """Return those of whose contacts too many are silent, see `referrers`."""
        found = map(self._candidates.get, self._candidates.referrers.liars)
        return [liar.contact for liar in found if liar is not None]

    def silent(self) -> list[Contact]:
        """Return those that have not answered in time."""
        return [one.contact for one in self._candidates if one.state is State.LATE]

    def answerers(self) -> list[Contact]:
        """Return those that answered, nearest first and few of one area."""
        return [candidate.contact for candidate in self._candidates.answerers()]

    def chosen(self) -> list[Contact]:
        """Return the `want` nearest that answered, some of each path among them."""
        return self._paths.chosen(self.want)

    def _age(self, now: float) -> None:
        while self._asked and now >= self._asked[0].asked + self.patience:
            self._late(self._asked.pop(0))

    def _late(self, candidate: Candidate) -> None:
        candidate.state = State.LATE
        if candidate.attempts == 1:
            self._candidates.referrers.silent(candidate.referrers)

    def _ended(self, contact: Contact) -> Candidate | None:
        """Return the candidate of a request that is over, None for one that was given up."""
        candidate = self._candidates.get(contact.id)
        if candidate is not None:
            candidate.outstanding -= 1
            self._outstanding -= 1
        return candidate

    def _leave_window(self, candidate: Candidate) -> None:
        if candidate.state is State.ASKED:
            self._asked.remove(candidate)

    def _satisfied(self) -> bool:
        """Tell whether the `want` closest that can still count have answered, on all paths."""
        return self._candidates.complete(self.want) and not self._paths.open(self.want)
