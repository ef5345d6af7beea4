"""The paths of a crawl: several ways to one target, so that a liar leads only one of them astray.

The contacts to begin with are dealt to them, and what an answer names is followed only by the
path that asked (Baumgart and Mies 2007). Each path ends with `PATH_WANT` answers of its own that
are the closest it has heard of, and has `MAX_REQUESTS` divided by their number.

Invariant: no more than `MAX_REQUESTS` are sent on all paths, to each candidate `MAX_ATTEMPTS`.
Must not know times. Specified in docs/spec/dht.md, section 9.
"""

from __future__ import annotations

from collections import Counter

from net.dht.candidates import Candidate, Candidates, State
from net.dht.contacts import Contact

PATHS = 4
"""Ways to a target that share no answer."""

PATH_WANT = 3
"""Answers of each path that must be the closest it has heard of."""

PATH_HOLDERS = 2
"""Answers of each path among those that are to hold a record, also when others are closer."""

MAX_ATTEMPTS = 3
"""A small network has nobody else to ask, and datagrams get lost."""

MAX_REQUESTS = 128
"""A crawl that is fed with false contacts ends here."""

ENOUGH = 3
"""Answers from which on silent nodes are not asked again."""


class Paths:
    """The `count` paths of one crawl through its candidates."""

    def __init__(self, count: int, candidates: Candidates) -> None:
        self._candidates = candidates
        self._sent_on = [0] * count
        self._dealt = 0

    @property
    def sent(self) -> int:
        """How many requests were sent on all paths."""
        return sum(self._sent_on)

    def begin(self, contact: Contact) -> None:
        """Give a contact to begin with to the path whose turn it is."""
        self._candidates.learn([contact], None, self._dealt % len(self._sent_on))
        self._dealt += 1

    def ask(self, candidate: Candidate, path: int) -> None:
        """Note that a candidate is asked for a path."""
        candidate.asked_for = path
        self._sent_on[path] += 1

    def next(self, want: int) -> tuple[Candidate, int] | None:
        """Return whom to ask next, and on which path: the one that has asked least.

        A new one; if there is none, one that is asked last; else one that was silent so far.
        """
        candidates, is_next = self._candidates, self._candidates.is_next
        paths = self.open(want)
        for path in sorted(paths, key=self._sent_on.__getitem__):
            for candidate in candidates:
                if path in candidate.paths and is_next(candidate):
                    return candidate, path
        if not paths or len(paths) < len(self._sent_on):
            # The closest of all: it may have been heard of on a path that has ended.
            for candidate in candidates:
                path = min(candidate.paths, key=self._sent_on.__getitem__)
                if is_next(candidate) and self._may_send(path):
                    return candidate, path
        return self._last_resort()

    def open(self, want: int) -> list[int]:
        """Return the paths that have not come to their closest and may still send."""
        enough, answers = min(PATH_WANT, want), [0] * len(self._sent_on)
        undecided = {path for path in range(len(self._sent_on)) if self._may_send(path)}
        blocked: set[int] = set()
        for candidate in self._candidates:
            if not undecided:
                break
            if candidate.state is State.ANSWERED:
                for path in candidate.paths & undecided:
                    answers[path] += 1
                    if answers[path] >= enough:
                        undecided.discard(path)
            elif self._candidates.blocks(candidate):
                stopped = candidate.paths & undecided
                blocked |= stopped
                undecided -= stopped
        return sorted(blocked)

    def chosen(self, want: int) -> list[Contact]:
        """Return the `want` nearest that answered; with `PATH_HOLDERS` of each path, if it has
        them, in place of the farthest of others, so that no path decides alone.
        """
        answerers = self._candidates.answerers()
        chosen, rest = answerers[:want], answerers[want:]
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

    def _last_resort(self) -> tuple[Candidate, int] | None:
        paths = [path for path in range(len(self._sent_on)) if self._may_send(path)]
        answers = self._candidates.answers
        late = []
        for candidate in self._candidates:
            usable = candidate.paths.intersection(paths)
            if not usable:
                continue
            if candidate.state is State.NEW and self._candidates.counts(candidate):
                return candidate, min(usable)
            gone = candidate.suspect and answers  # and it is not we who are cut off
            if candidate.state is State.LATE and candidate.attempts < MAX_ATTEMPTS and not gone:
                late.append((candidate, min(usable)))
        if answers >= ENOUGH:
            return None
        return min(late, key=lambda pair: pair[0].attempts, default=None)

    def _may_send(self, path: int) -> bool:
        return self._sent_on[path] < MAX_REQUESTS // len(self._sent_on)
