"""What a node does for its user, step by step: look up, announce, join.

Each operation is a crawl (`query`) and what is made of its answers. It names the requests
to send and is told how each ended; `core` sends them. Records that come back are verified
here, once each.

Invariant: an operation is `done` after finitely many calls. Must not know datagrams.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from feedlog.errors import DecodeError
from net.addresses import Address
from net.dht.messages import (
    Announce,
    Arguments,
    Code,
    Contact,
    Found,
    Lookup,
    Ping,
)
from net.dht.query import WANT, Query
from net.dht.records import Announcement, parse_announcement

MAX_PINGS = 3
"""Times that a bootstrap address is asked: its datagram may get lost, and there is no other."""

MAX_STORE_ATTEMPTS = 2
"""Times that one node is asked to hold a record."""

To = tuple[Address, Contact | None, Arguments]
"""A request to send: where to, who should be there, what."""


Prove = Callable[[Contact, bytes, Announcement], tuple[bytes, bytes]]
"""Makes the ticket for a holder and the proof that it may keep it, from its token."""


class Operation:
    """A crawl towards `target`, which fills the routing table on its way."""

    def __init__(self, sender: bytes, query: Query) -> None:
        self.query = query
        self._sender = sender

    @property
    def target(self) -> bytes:
        """The id or topic that the crawl goes to."""
        return self.query.target

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self.query.done

    def requests(self, now: float) -> list[To]:
        """Return what to send now."""
        lookup = Lookup(self._sender, self.target)
        return [(c.address, c, lookup) for c in self.query.requests(now)]

    def found(self, contact: Contact, answer: Found, contacts: Sequence[Contact]) -> None:
        """Take the answer to a lookup, whose records are good."""
        self.query.answered(contact, answer.answerer, contacts)

    def failed(self, contact: Contact | None, arguments: Arguments) -> None:
        """Note that a request was not answered in time."""
        if contact is not None and isinstance(arguments, Lookup):
            self.query.failed(contact)

    def refused(self, contact: Contact | None, arguments: Arguments, code: Code | None) -> None:
        """Note a refusal, or None for an answer that makes no sense."""
        if contact is not None and isinstance(arguments, Lookup):
            if code is None:
                self.query.refuse(contact)
            else:
                self.query.failed(contact)

    def next_timeout(self) -> float | None:
        """Return when `requests` should be asked again."""
        return self.query.next_timeout()


class Explore(Operation):
    """Crawls into the first of some parts of the id space; the others come after it."""

    def __init__(self, sender: bytes, query: Query, parts: Sequence[int]) -> None:
        super().__init__(sender, query)
        self.parts = tuple(parts)


class Join(Operation):
    """Pings the bootstrap addresses and crawls towards the own id from whoever is there."""

    def __init__(self, sender: bytes, query: Query, addresses: Sequence[Address]) -> None:
        super().__init__(sender, query)
        self._attempts: dict[Address, int] = dict.fromkeys(addresses, 0)
        self._unasked = list(self._attempts)
        self._waiting: set[Address] = set()
        self.reached = 0

    @property
    def done(self) -> bool:
        """Whether the crawl is over, from one bootstrap node at least or with none there."""
        there = self.reached > 0 or not (self._unasked or self._waiting)
        return there and self.query.done

    def requests(self, now: float) -> list[To]:
        """Return pings to the addresses that have not answered, and the crawl's lookups."""
        pings: list[To] = [(address, None, Ping(self._sender)) for address in self._unasked]
        for address in self._unasked:
            self._attempts[address] += 1
            self._waiting.add(address)
        self._unasked.clear()
        return pings + super().requests(now)

    def arrived(self, contact: Contact) -> None:
        """Take a bootstrap node that has proven its id."""
        self._waiting.discard(contact.address)
        self.reached += 1
        self.query.start([contact])

    def silent(self, address: Address, *, final: bool = False) -> None:
        """Note that a bootstrap address did not answer; `final` when it never will properly."""
        self._waiting.discard(address)
        if not final and self._attempts[address] < MAX_PINGS:
            self._unasked.append(address)


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


class Publish(Operation):
    """Crawls to a topic and has the closest nodes hold a record."""

    def __init__(
        self,
        sender: bytes,
        query: Query,
        record: Announcement,
        prove: Prove | None = None,
    ) -> None:
        super().__init__(sender, query)
        self.record = record
        self._prove = prove
        self.holders: list[bytes] = []
        """The ids of the nodes that hold it."""
        self.silent = 0
        self.refusals: Counter[Code] = Counter()
        self._tokens: dict[bytes, bytes] = {}
        self._attempts: Counter[bytes] = Counter()
        self._candidates: list[Contact] | None = None
        self._again: list[To] = []
        self._waiting: set[bytes] = set()
        self._renewing: set[bytes] = set()

    @property
    def stored(self) -> int:
        """How many nodes hold the record."""
        return len(self.holders)

    @property
    def done(self) -> bool:
        """Whether each chosen node holds the record, has refused or is silent."""
        return (
            self._candidates is not None
            and not self._waiting
            and not self._again
            and (self.stored >= WANT or not self._candidates)
        )

    def requests(self, now: float) -> list[To]:
        """Return the lookups of the crawl; when it is over, the requests to hold the record."""
        if self._candidates is None:
            lookups = super().requests(now)
            if lookups or not self.query.done:
                return lookups
            self._candidates = self.query.answerers()
        requests, self._again = self._again, []
        while self._candidates and self.stored + len(self._waiting) < WANT:
            requests.append(self._store(self._candidates.pop(0)))
        return requests

    def found(self, contact: Contact, answer: Found, contacts: Sequence[Contact]) -> None:
        """Keep the token; after the crawl it is a fresh one in place of one that was refused."""
        self._tokens[answer.answerer] = answer.token
        if contact.id in self._renewing:
            self._renewing.discard(contact.id)
            self._again.append(self._store(contact))
        else:
            super().found(contact, answer, contacts)

    def next_timeout(self) -> float | None:
        """Return when the crawl wants to go on; the requests after it only have their deadline."""
        return super().next_timeout() if self._candidates is None else None

    def held(self, contact: Contact) -> None:
        """Note that a node holds the record now."""
        self._waiting.discard(contact.id)
        self.holders.append(contact.id)

    def failed(self, contact: Contact | None, arguments: Arguments) -> None:
        """Ask a silent node once more."""
        if contact is None or not self._concerns_store(contact, arguments):
            super().failed(contact, arguments)
        elif self._attempts[contact.id] < MAX_STORE_ATTEMPTS:
            self._again.append(self._store(contact))
        else:
            self._waiting.discard(contact.id)
            self.silent += 1

    def refused(self, contact: Contact | None, arguments: Arguments, code: Code | None) -> None:
        """Fetch a new token when it was that; otherwise count the reason."""
        if contact is None or not self._concerns_store(contact, arguments):
            super().refused(contact, arguments, code)
        elif code is Code.TOKEN and self._attempts[contact.id] < MAX_STORE_ATTEMPTS:
            self._renewing.add(contact.id)
            self._again.append((contact.address, contact, Lookup(self._sender, self.target)))
        else:
            self._waiting.discard(contact.id)
            if code is None:
                self.silent += 1  # nonsense says no more than silence
            else:
                self.refusals[code] += 1

    def _concerns_store(self, contact: Contact, arguments: Arguments) -> bool:
        if isinstance(arguments, Announce):
            return True
        renewing = contact.id in self._renewing
        self._renewing.discard(contact.id)
        return renewing

    def _store(self, contact: Contact) -> To:
        self._waiting.add(contact.id)
        self._attempts[contact.id] += 1
        token = self._tokens[contact.id]
        ticket, proof = b"", b""
        if self._prove is not None and not self.record.withdrawn:
            ticket, proof = self._prove(contact, token, self.record)
        store = Announce(self._sender, token, self.record.raw, ticket, proof)
        return contact.address, contact, store
