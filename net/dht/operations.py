"""What a node does for its user, step by step: look up, announce, join.

Each operation is a crawl (`query`) and what is made of its answers. It names the requests
to send and is told how each ended; `core` sends them. Records that come back are verified
here, once each.

Invariant: an operation is `done` after finitely many calls. Must not know datagrams.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from feedlog.errors import DecodeError
from net.addresses import Address
from net.dht.codes import Code
from net.dht.contacts import Contact
from net.dht.events import Finished
from net.dht.messages import Announce, Arguments, Fetch, Found, Lookup, Ping, Store
from net.dht.query import SOFT_TIMEOUT, WANT, Query
from net.dht.records import Announcement, parse_announcement

MAX_PINGS = 3
"""Times that a bootstrap address is asked: its datagram may get lost, and there is no other."""

PING_AGAIN = 0.4
"""Seconds until it is asked again, while answers to the earlier pings are still welcome."""

GIVE_WAY = 2.0
"""Seconds for which exploring a part of the id space lets others go first: a connection is made
in less, and a node that always looks for something gets to know the whole of it all the same."""

MAX_STORE_ATTEMPTS = 2
"""Times that one node is asked to hold a record."""

MAX_TRIED = 2 * WANT
"""Nodes that are asked to hold a record when some refuse or are silent."""

To = tuple[Address, Contact | None, Arguments]
"""A request to send: where to, who should be there, what."""


Prove = Callable[[Contact, bytes, Announcement], tuple[bytes, bytes]]
"""Makes the ticket for a holder and the proof that it may keep it, from its token."""


class Operation:
    """A crawl towards `target`, which fills the routing table on its way."""

    def __init__(self, sender: bytes, query: Query) -> None:
        self.query = query
        self.resting = False
        """Whether it sends nothing for now, because nobody waits for what it would find."""
        self._sender = sender

    @property
    def target(self) -> bytes:
        """The id or topic that the crawl goes to."""
        return self.query.target

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.query.done

    def lookup(self) -> Arguments:
        """Return what the crawl asks."""
        return Lookup(self._sender, self.target)

    def requests(self, now: float) -> list[To]:
        """Return what to send now."""
        lookup = self.lookup()
        return [(c.address, c, lookup) for c in self.query.requests(now)]

    def found(self, contact: Contact, answer: Found, contacts: Sequence[Contact]) -> None:
        """Take the answer to a lookup, whose records are good."""
        self.query.answered(contact, answer.answerer, contacts)

    def failed(self, contact: Contact | None, arguments: Arguments) -> None:
        """Note that a request was not answered in time."""
        if contact is not None and isinstance(arguments, Lookup | Fetch):
            self.query.failed(contact)

    def refused(self, contact: Contact | None, arguments: Arguments, code: Code | None) -> None:
        """Note a refusal, or None for an answer that makes no sense."""
        if contact is not None and isinstance(arguments, Lookup | Fetch):
            if code is None:
                self.query.refuse(contact)
            else:
                self.query.failed(contact)

    def next_timeout(self) -> float | None:
        """Return when `requests` should be asked again."""
        return None if self.resting else self.query.next_timeout()

    def finished(self, number: int) -> Finished:
        """Return how it went."""
        return Finished(number, len(self.query.answerers()))


class Explore(Operation):
    """Crawls into the first of some parts of the id space; the others come after it.

    Nobody waits for it, so it rests while anything else runs, for `GIVE_WAY` seconds at most.
    """

    def __init__(self, sender: bytes, query: Query, parts: Sequence[int], now: float) -> None:
        super().__init__(sender, query)
        self.parts = tuple(parts)
        self._until = now + GIVE_WAY

    def gives_way(self, now: float) -> bool:
        """Tell whether it still lets others go first."""
        return now < self._until

    def next_timeout(self) -> float | None:
        """Return when `requests` should be asked again, or when it rests no longer."""
        return self._until if self.resting else super().next_timeout()


@dataclass(slots=True)
class _Pinged:
    """An address that we join through."""

    asked: float = -math.inf
    attempts: int = 0
    outstanding: int = 0


class Join(Operation):
    """Pings the bootstrap addresses and crawls towards the own id from whoever is there."""

    def __init__(self, sender: bytes, query: Query, addresses: Sequence[Address]) -> None:
        super().__init__(sender, query)
        self._silent = {address: _Pinged() for address in addresses}
        self.reached = 0

    @property
    def done(self) -> bool:
        """Whether the crawl is over, from one bootstrap node at least or with none there."""
        return (self.reached > 0 or not self._silent) and self.query.done

    def requests(self, now: float) -> list[To]:
        """Return pings to the addresses that have not answered, and the crawl's lookups."""
        pings: list[To] = []
        for address, pinged in self._silent.items():
            if pinged.attempts < MAX_PINGS and now >= pinged.asked + PING_AGAIN:
                pinged.asked = now
                pinged.attempts += 1
                pinged.outstanding += 1
                pings.append((address, None, Ping(self._sender)))
        return pings + super().requests(now)

    def next_timeout(self) -> float | None:
        """Return when the crawl goes on, or an address is to be pinged again."""
        times = [p.asked + PING_AGAIN for p in self._silent.values() if p.attempts < MAX_PINGS]
        crawl = super().next_timeout()
        return min(times if crawl is None else [*times, crawl], default=None)

    def finished(self, number: int) -> Finished:
        """Return how many of the addresses were reached."""
        return Finished(number, self.reached)

    def arrived(self, contact: Contact) -> None:
        """Take a bootstrap node that has proven its id."""
        if self._silent.pop(contact.address, None) is not None:
            self.reached += 1
            self.query.start([contact])

    def silent(self, address: Address, *, final: bool = False) -> None:
        """Note that a bootstrap address did not answer; `final` when it never will properly."""
        pinged = self._silent.get(address)
        if pinged is None:
            return
        pinged.outstanding -= 1
        if final or (pinged.attempts >= MAX_PINGS and not pinged.outstanding):
            del self._silent[address]


class Search(Operation):
    """Collects the announcements of a topic; `take` returns what is new."""

    def __init__(self, sender: bytes, query: Query) -> None:
        super().__init__(sender, query)
        self._newest: dict[bytes, Announcement] = {}
        self._verified: set[bytes] = set()

    def take(self, records: Sequence[bytes], unix: float) -> list[Announcement]:
        """Verify records of one answer and return those that say something new.

        Raises `DecodeError` when one is false: no honest node holds a false record.
        """
        parsed = [parse_announcement(raw) for raw in records if raw not in self._verified]
        if any(record.topic != self.target for record in parsed):
            raise DecodeError("announcement", 33, "it is of another topic")
        # Only now, so that a false record takes no good one with it.
        return self.adopt(parsed, unix)

    def adopt(self, records: Sequence[Announcement], unix: float) -> list[Announcement]:
        """Return what is new among verified records."""
        fresh = []
        for record in records:
            self._verified.add(record.raw)
            newest = self._newest.get(record.public_key)
            if record.expiry > unix and (newest is None or record.seq > newest.seq):
                self._newest[record.public_key] = record
                fresh.append(record)
        return fresh


@dataclass(slots=True)
class _Store:
    """A request to hold a record, and its repetition."""

    contact: Contact
    asked: float = 0.0
    attempts: int = 0
    outstanding: int = 0
    late: bool = False


class Storing(Operation, ABC):
    """Crawls to a topic and has the closest nodes hold a record.

    One that does not answer within `patience` is asked once more and the next beside it, so
    that the silent are waited for only where there is nobody else.
    """

    def __init__(
        self,
        sender: bytes,
        query: Query,
        *,
        patience: float = SOFT_TIMEOUT,
    ) -> None:
        super().__init__(sender, query)
        self._patience = patience
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
            if store.late or now < store.asked + self._patience:
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
        if not self._candidates:
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
        times = [s.asked + self._patience for s in self._stores.values() if not s.late]
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
            self._again.append(self._store(store, store.asked + self._patience))
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
        return self.refusals[Code.STALE] + self.refusals[Code.CONFLICT]

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


class Publish(Storing):
    """Has the closest nodes hold an announcement."""

    def __init__(
        self,
        sender: bytes,
        query: Query,
        record: Announcement,
        prove: Prove | None = None,
        *,
        patience: float = SOFT_TIMEOUT,
    ) -> None:
        super().__init__(sender, query, patience=patience)
        self.record = record
        self._prove = prove

    def request(self, contact: Contact, token: bytes) -> Arguments:
        """Return the request to hold the record, with a way to us if we take introductions."""
        ticket, proof = b"", b""
        if self._prove is not None and not self.record.withdrawn:
            ticket, proof = self._prove(contact, token, self.record)
        return Announce(self._sender, token, self.record.raw, ticket, proof)
