"""What a node does, step by step: a crawl (`query`), and what is made of its answers.

An operation names the requests to send and is told how each ended; `runner` sends them. The
kinds are in `joining`, `announcement_operations`, `value_operations` and `introducing`.

Invariant: an operation is `done` after finitely many calls. Must not know datagrams.
"""

from __future__ import annotations

from collections.abc import Sequence

from net.addresses import Address
from net.dht.codes import Code
from net.dht.contacts import Contact
from net.dht.events import Finished
from net.dht.messages import Arguments, Fetch, Found, Lookup
from net.dht.query import Query

To = tuple[Address, Contact | None, Arguments]
"""A request to send: where to, who should be there, what."""


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
