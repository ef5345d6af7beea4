"""Having a record held, an announcement or a value, by the nodes that are closest to its topic.

The crawl comes first; then each of the closest is asked with the token that it gave. One that
does not answer within the crawl's patience is asked once more and the next beside it, so that
the silent are waited for only where there is nobody else.

Invariant: at most `MAX_TRIED` nodes are asked, each at most `MAX_STORE_ATTEMPTS` times, and none
any more once enough hold the record or something newer.
Must not know what a record says. Specified in docs/spec/dht.md, section 9.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from net.dht.codes import OVERTAKEN, Code
from net.dht.contacts import Contact
from net.dht.events import Finished
from net.dht.messages import Announce, Arguments, Found, Store
from net.dht.operations import Operation, To
from net.dht.query import WANT, Query

MAX_STORE_ATTEMPTS = 2
"""Times that one node is asked to hold a record."""

MAX_TRIED = 2 * WANT
"""Nodes that are asked to hold a record when some refuse or are silent."""


@dataclass(slots=True)
class _Store:
    """A request to hold a record, and its repetition."""

    contact: Contact
    asked: float = 0.0
    attempts: int = 0
    outstanding: int = 0
    late: bool = False


class Storing(Operation, ABC):
    """Crawls to a topic and has the closest nodes hold a record."""

    def __init__(self, sender: bytes, query: Query) -> None:
        super().__init__(sender, query)
        self.holders: list[bytes] = []
        """The ids of the nodes that hold it."""
        self.silent = 0
        self.refusals: Counter[Code] = Counter()
        self._tokens: dict[bytes, bytes] = {}
        self._crawled = False
        self._candidates: list[Contact] = []
        self._tried: set[bytes] = set()
        self._stores: dict[bytes, _Store] = {}
        """Those that have neither taken nor refused it."""
        self._again: list[To] = []
        self._renewing: set[bytes] = set()

    @abstractmethod
    def request(self, contact: Contact, token: bytes) -> Arguments:
        """Return the request to hold the record."""

    @property
    def stored(self) -> int:
        """How many nodes hold the record."""
        return len(self.holders)

    @property
    def done(self) -> bool:
        """Whether enough nodes hold the record, or each that is left has refused or is silent."""
        if not self._crawled or self._again:
            return False
        if self.stored + self._overtaken() >= WANT:
            return True
        return not self._candidates and self.query.done and not self._stores

    def requests(self, now: float) -> list[To]:
        """Return the lookups of the crawl; when it is over, the requests to hold the record.

        When too few take it the crawl goes on to nodes that are farther away.
        """
        if not self._crawled:
            lookups = super().requests(now)
            if lookups or not self.query.done:
                return lookups
            self._crawled = True
            self._candidates = self.query.chosen()
        requests, self._again = self._again, []
        for store in self._stores.values():
            if store.late or now < store.asked + self.query.patience:
                continue
            store.late = store.attempts >= MAX_STORE_ATTEMPTS
            if not store.late and store.contact.id in self._renewing:
                store.asked = now  # its new token is on the way
            elif not store.late:
                requests.append(self._store(store, now))
        missing = WANT - self.stored - self._overtaken() - self._prompt()
        while missing > 0 and (contact := self._candidate()) is not None:
            missing -= 1
            self._tried.add(contact.id)
            store = self._stores[contact.id] = _Store(contact)
            requests.append(self._store(store, now))
        self.query.want = min(len(self._tried) + max(0, missing), MAX_TRIED)
        return requests + super().requests(now)

    def finished(self, number: int) -> Finished:
        """Return how many hold the record, and why the others do not."""
        answers, refusals = len(self.query.answerers()), tuple(sorted(self.refusals.items()))
        return Finished(number, answers, self.stored, self.silent, refusals)

    def _candidate(self) -> Contact | None:
        """Return who is to be asked next to hold the record."""
        if len(self._tried) >= MAX_TRIED:
            self._candidates = []
        elif not self._candidates:
            answerers = self.query.answerers()
            self._candidates = [one for one in answerers if one.id not in self._tried]
        return self._candidates.pop(0) if self._candidates else None

    def found(self, contact: Contact, answer: Found, contacts: Sequence[Contact]) -> None:
        """Keep the token; after the crawl it is a fresh one in place of one that was refused."""
        self._tokens[answer.answerer] = answer.token
        store = self._stores.get(contact.id)
        if contact.id in self._renewing and store is not None:
            self._renewing.discard(contact.id)
            self._again.append(self._store(store, store.asked))
        else:
            super().found(contact, answer, contacts)

    def next_timeout(self) -> float | None:
        """Return when the crawl, or a node that is silent, wants a look."""
        times = [s.asked + self.query.patience for s in self._stores.values() if not s.late]
        crawl = super().next_timeout()
        return min(times if crawl is None else [*times, crawl], default=None)

    def held(self, contact: Contact) -> None:
        """Note that a node holds the record now."""
        self._stores.pop(contact.id, None)
        if contact.id not in self.holders:
            self.holders.append(contact.id)

    def failed(self, contact: Contact | None, arguments: Arguments) -> None:
        """Give up a node when none of what it was asked is answered."""
        if contact is None or not self._concerns_store(contact, arguments):
            super().failed(contact, arguments)
            return
        store = self._stores.get(contact.id)
        if store is None:
            return
        store.outstanding -= 1
        if store.attempts < MAX_STORE_ATTEMPTS:
            self._again.append(self._store(store, store.asked + self.query.patience))
        elif not store.outstanding:
            del self._stores[contact.id]
            self.silent += 1

    def refused(self, contact: Contact | None, arguments: Arguments, code: Code | None) -> None:
        """Fetch a new token when it was that; otherwise count the reason."""
        if contact is None or not self._concerns_store(contact, arguments):
            super().refused(contact, arguments, code)
            return
        store = self._stores.get(contact.id)
        if store is None:
            return
        if code is Code.TOKEN and store.attempts < MAX_STORE_ATTEMPTS:
            self._renewing.add(contact.id)
            self._again.append((contact.address, contact, self.lookup()))
            return
        del self._stores[contact.id]
        if code is None:
            self.silent += 1  # nonsense says no more than silence
        else:
            self.refusals[code] += 1

    def _overtaken(self) -> int:
        """Return how many hold something newer: others, farther away, are not to be asked."""
        return sum(self.refusals[code] for code in OVERTAKEN)

    def _prompt(self) -> int:
        """Return how many may still take the record soon."""
        return sum(store.attempts < 2 for store in self._stores.values())

    def _concerns_store(self, contact: Contact, arguments: Arguments) -> bool:
        if isinstance(arguments, Announce | Store):
            return True
        renewing = contact.id in self._renewing
        self._renewing.discard(contact.id)
        return renewing

    def _store(self, store: _Store, now: float) -> To:
        contact = store.contact
        store.attempts += 1
        store.outstanding += 1
        store.asked = now
        return contact.address, contact, self.request(contact, self._tokens[contact.id])
