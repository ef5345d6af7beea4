"""Reading a value, and having it held: crawls like those for announcements.

Invariant: an operation is `done` after finitely many calls; a value is believed only with its
owner's signature, for the topic that was asked for; and none is stored where the crawl has
met one that it may not replace. Must not know datagrams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from feedlog.errors import DecodeError
from net.dht.contacts import Contact
from net.dht.events import Finished
from net.dht.messages import Arguments, Fetch, Found, Store
from net.dht.operations import Operation, To
from net.dht.query import Query
from net.dht.storing import Storing
from net.dht.value_records import Value, parse_value, seq_of


class Newest:
    """The newest value of one topic that a crawl has met."""

    def __init__(self, topic: bytes) -> None:
        self._topic = topic
        self.value: Value | None = None

    def take(self, records: Sequence[bytes], unix: float) -> list[Value]:
        """Verify the values of one answer and return what is newer than before.

        Raises `DecodeError` when one is false.
        """
        known = b"" if self.value is None else self.value.raw
        parsed = [parse_value(raw) for raw in records if raw != known]
        if any(value.topic != self._topic for value in parsed):
            raise DecodeError("dht value", 1, "it is of another key or salt")
        return [value for value in parsed if self.adopt(value, unix)]

    def adopt(self, value: Value, unix: float) -> bool:
        """Take a verified value; tells whether it is newer than what was taken so far."""
        if value.expiry <= unix or (self.value is not None and value.seq <= self.value.seq):
            return False
        self.value = value
        return True


class Get(Operation):
    """Collects a value."""

    def __init__(self, sender: bytes, query: Query) -> None:
        super().__init__(sender, query)
        self.newest = Newest(self.target)

    def lookup(self) -> Arguments:
        """Return what the crawl asks."""
        return Fetch(self._sender, self.target)


class Put(Storing):
    """Has the closest nodes hold a value; `cas` is the seq that it is to replace, if one does.

    It ends as soon as it meets a value that it may not replace.
    """

    def __init__(self, sender: bytes, query: Query, value: Value, cas: int | None) -> None:
        super().__init__(sender, query)
        self.value = value
        self.newest = Newest(self.target)
        self.cas = cas
        self._shown: dict[bytes, int] = {}
        """What a node holds, by id: its seq."""

    @property
    def obstacle(self) -> str:
        """Why the value is not to be held; empty as far as is known."""
        held = self.newest.value
        return "" if held is None else self.value.obstacle(held, self.cas)

    @property
    def done(self) -> bool:
        """Whether enough nodes hold the value, none is left to ask, or none is to hold it."""
        return bool(self.obstacle) or super().done

    def lookup(self) -> Arguments:
        """Return what the crawl asks."""
        return Fetch(self._sender, self.target)

    def requests(self, now: float) -> list[To]:
        """Return what to send now: nothing once the value is not to be held."""
        return [] if self.obstacle else super().requests(now)

    def found(self, contact: Contact, answer: Found, contacts: Sequence[Contact]) -> None:
        """Take the answer to a lookup, whose values are good."""
        for raw in answer.records:
            self._shown[answer.answerer] = seq_of(raw)
        super().found(contact, answer, contacts)

    def request(self, contact: Contact, token: bytes) -> Arguments:
        """Return the request to hold the value.

        A node that has missed the value with the seq `cas`, where others have it, is to replace the
        older one that it holds.
        """
        cas, held = self.cas, self.newest.value
        if cas is not None and held is not None and held.seq >= cas:
            cas = min(cas, self._shown.get(contact.id, cas))
        return Store(self._sender, token, self.value.raw, cas)

    def finished(self, number: int) -> Finished:
        """Return how many hold the value, and why the others do not."""
        return replace(super().finished(number), obstacle=self.obstacle)
