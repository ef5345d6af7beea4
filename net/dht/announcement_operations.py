"""Looking for the announcements of a topic, and having one held.

Invariant: each record is verified once, and only one with its maker's signature, for the topic
that was asked for, is told of. Must not know datagrams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from feedlog.errors import DecodeError
from net.dht.contacts import Contact
from net.dht.messages import Announce, Arguments
from net.dht.operations import Operation
from net.dht.query import Query
from net.dht.records import Announcement, parse_announcement
from net.dht.storing import Storing

Prove = Callable[[Contact, bytes, Announcement], tuple[bytes, bytes]]
"""Makes the ticket for a holder and the proof that it may keep it, from its token."""


class Search(Operation):
    """Collects the announcements of a topic; `take` returns what is new, and then it rests.

    Those of the `own` public key are no news.
    """

    def __init__(self, sender: bytes, query: Query, own: bytes = b"") -> None:
        super().__init__(sender, query)
        self._own = own
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
                if record.public_key != self._own:
                    fresh.append(record)
        self.resting = self.resting or bool(fresh)
        return fresh


class Publish(Storing):
    """Has the closest nodes hold an announcement."""

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

    def request(self, contact: Contact, token: bytes) -> Arguments:
        """Return the request to hold the record, with a way to us if we take introductions."""
        ticket, proof = b"", b""
        if self._prove is not None and not self.record.withdrawn:
            ticket, proof = self._prove(contact, token, self.record)
        return Announce(self._sender, token, self.record.raw, ticket, proof)
