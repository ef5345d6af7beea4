"""Reading a value, and having it held: crawls like those for announcements.

Invariant: an operation is `done` after finitely many calls, and a value is believed only with
its owner's signature, for the topic that was asked for. Must not know datagrams.
"""

from __future__ import annotations

from collections.abc import Sequence

from feedlog.errors import DecodeError
from net.dht.messages import Arguments, Contact, Fetch, Store
from net.dht.operations import Operation, Storing
from net.dht.query import Query
from net.dht.value_records import Value, parse_value


class Get(Operation):
    """Collects a value; `take` returns what is newer than before."""

    def __init__(self, sender: bytes, query: Query) -> None:
        super().__init__(sender, query)
        self.newest: Value | None = None

    def lookup(self) -> Arguments:
        """Return what the crawl asks."""
        return Fetch(self._sender, self.target)

    def take(self, records: Sequence[bytes], unix: float) -> list[Value]:
        """Verify the values of one answer; raises `DecodeError` when one is false."""
        known = b"" if self.newest is None else self.newest.raw
        parsed = [parse_value(raw) for raw in records if raw != known]
        if any(value.topic != self.target for value in parsed):
            raise DecodeError("dht value", 1, "it is of another key or salt")
        return [value for value in parsed if self.adopt(value, unix)]

    def adopt(self, value: Value, unix: float) -> bool:
        """Take a verified value; tells whether it is newer than what was taken so far."""
        if value.expiry <= unix or (self.newest is not None and value.seq <= self.newest.seq):
            return False
        self.newest = value
        return True


class Put(Storing):
    """Has the closest nodes hold a value; `cas` is the seq that it is to replace, if one does."""

    def __init__(
        self, sender: bytes, query: Query, value: Value, cas: int | None, *, patience: float
    ) -> None:
        super().__init__(sender, query, patience=patience)
        self.value = value
        self._cas = cas

    def lookup(self) -> Arguments:
        """Return what the crawl asks."""
        return Fetch(self._sender, self.target)

    def request(self, _contact: Contact, token: bytes) -> Arguments:
        """Return the request to hold the value."""
        return Store(self._sender, token, self.value.raw, self._cas)
