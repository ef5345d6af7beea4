"""The candidates of a crawl: everybody that it has heard of, nearest to its target first.

Liars are met like this: contacts that only such nodes name whose contacts do not answer are
asked last (`referrers`), and of one area only `PER_AREA` answers count.

Invariant: at most `MAX_CANDIDATES` besides those that were asked, each id once. Must not know
requests and their times.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from net.addresses import Address, area
from net.dht.contacts import Contact
from net.dht.referrers import Referrers

MAX_CANDIDATES = 256
"""Beyond this the farthest are forgotten: a crawl of a million nodes asks about thirty."""

PER_AREA = 3
"""Answers of one area that count in a crawl, so that one owner cannot surround a target."""


class State(Enum):
    """Of a candidate."""

    NEW = auto()
    ASKED = auto()
    LATE = auto()
    """Asked longer ago than the crawl's patience; an answer is still welcome."""
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


class Candidates:
    """Those of one crawl towards `target`; `suspects` are asked after all others."""

    def __init__(self, target: bytes, suspects: frozenset[Address]) -> None:
        self.referrers = Referrers()
        self.answers = 0
        self._target = int.from_bytes(target, "big")
        self._suspects = suspects
        self._by_id: dict[bytes, Candidate] = {}
        self._order: list[Candidate] = []
        self._areas: Counter[object] = Counter()

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Candidate]:
        """Go through them, nearest first."""
        return iter(self._order)

    def get(self, node: bytes) -> Candidate | None:
        """Return the candidate with an id."""
        return self._by_id.get(node)

    def learn(self, contacts: Iterable[Contact], referrer: bytes | None, path: int) -> None:
        """Take contacts that a node has named on a path; None stands for our own table."""
        for contact in contacts:
            known = self._by_id.get(contact.id)
            if known is not None:
                known.paths.add(path)
                if known.referrers and referrer is not None:
                    known.referrers.add(referrer)
            else:
                distance = int.from_bytes(contact.id, "big") ^ self._target
                suspect = contact.address in self._suspects
                candidate = Candidate(contact, distance, suspect, {path})
                if referrer is not None:
                    candidate.referrers.add(referrer)
                self._by_id[contact.id] = candidate
                insort(self._order, candidate, key=lambda c: c.distance)
        self._forget_farthest()

    def answered(self, candidate: Candidate, address: Address) -> None:
        """Count the answer of a candidate, which came from an address."""
        self.referrers.answered(candidate.referrers)
        candidate.state = State.ANSWERED
        self.answers += 1
        self._areas[area(address)] += 1

    def answerers(self) -> list[Candidate]:
        """Return those that answered, nearest first and few of one area."""
        counted = []
        areas: Counter[object] = Counter()
        for candidate in self._order:
            if candidate.state is State.ANSWERED:
                place = area(candidate.contact.address)
                if place is None or areas[place] < PER_AREA:
                    areas[place] += 1
                    counted.append(candidate)
        return counted

    def counts(self, candidate: Candidate) -> bool:
        """Tell whether an answer of a candidate would count: its area has not enough."""
        place = area(candidate.contact.address)
        return place is None or self._areas[place] < PER_AREA

    def is_next(self, candidate: Candidate) -> bool:
        """Tell whether a candidate is to be asked before suspects and whom only liars named."""
        return (
            candidate.state is State.NEW and self.counts(candidate) and not self._trails(candidate)
        )

    def blocks(self, candidate: Candidate) -> bool:
        """Tell whether a candidate may still turn out to be among the closest."""
        return candidate.state is State.ASKED or self.is_next(candidate)

    def complete(self, want: int) -> bool:
        """Tell whether the `want` closest that can still count have answered."""
        answers = 0
        for candidate in self._order:
            if candidate.state is State.ANSWERED:
                answers += 1
                if answers >= want:
                    return True
            elif self.blocks(candidate):
                return False
        return False

    def _trails(self, candidate: Candidate) -> bool:
        """Tell whether a candidate is asked only after all others."""
        if candidate.suspect:
            return True
        return bool(candidate.referrers) and candidate.referrers <= self.referrers.liars

    def _forget_farthest(self) -> None:
        excess = len(self._order) - MAX_CANDIDATES
        for candidate in reversed(self._order[:]):
            if excess <= 0:
                break
            if candidate.state is State.NEW:
                self._order.remove(candidate)
                del self._by_id[candidate.contact.id]
                excess -= 1
