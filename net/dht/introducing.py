"""Getting a message to somebody through the nodes that hold its announcement.

While the crawl goes on, nodes whose answer has the record are asked to pass the message on;
when it is over also the closest others, for a node shows only some of the records that it
holds. A silent or lying holder costs time only where there is no other: `WIDTH` are asked
at once, and the first answer ends it.

Invariant: at most `MAX_HOLDERS` are asked, each twice at most, the second time when it is late.
Specified in docs/spec/dht.md, section 10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from net.dht.codes import Code
from net.dht.contacts import Contact
from net.dht.events import Finished
from net.dht.messages import Arguments, Found, Introduce, Introduced, Lookup
from net.dht.operations import Operation, To
from net.dht.query import Query
from net.dht.records import HEADER
from net.dht.storage import Way

WIDTH = 3
"""Holders that are asked at once."""

MAX_SHOWING = 8
"""Nodes that are asked because they showed the record: liars can do that too."""

MAX_HOLDERS = 16
"""So at least the eight closest are asked, whoever else has put itself forward."""

RESEND = 1.0
"""Seconds after which a holder is asked again, and counts as silent for the next to be asked."""

INTRODUCE_TIMEOUT = 3.0
"""Seconds that an answer may take from a request on: two round trips, and a decision."""

INTRODUCED_TIMEOUT = 2.0
"""Seconds that a holder waits for the announcer."""


@dataclass(slots=True)
class _Holder:
    contact: Contact | None
    """None for ourselves, when we hold the announcement."""
    token: bytes
    asked: float = 0.0
    outstanding: int = 0
    late: bool = False
    over: bool = False


class Introducing(Operation):
    """Passes one message to one announcer."""

    def __init__(
        self, sender: bytes, query: Query, public_key: bytes, message: bytes, way: Way | None
    ) -> None:
        super().__init__(sender, query)
        self.public_key = public_key
        self.message = message
        self.answer: bytes | None = None
        self.asked = 0
        """Holders that were asked."""
        self.refusals: Counter[Code] = Counter()
        self.silent = 0
        self._way = way
        self._holders: dict[bytes, _Holder] = {}
        self._tokens: dict[bytes, bytes] = {}
        self._ready: list[_Holder] = []
        self._under_way: list[_Holder] = []
        self._crawled = False
        if way is not None:
            self._add(None, b"", 1)

    @property
    def done(self) -> bool:
        """Whether there is an answer, or nobody left to ask."""
        if self.answer is not None:
            return True
        return self._crawled and not self._ready and not self._under_way

    def requests(self, now: float) -> list[To]:
        """Return the lookups of the crawl, and the requests to pass the message on."""
        if self.done:
            return []
        requests = super().requests(now)
        if not requests and self.query.done and not self._crawled:
            self._crawled = True
            for contact in self.query.answerers():
                self._add(contact, self._tokens[contact.id], MAX_HOLDERS)
        for holder in self._under_way:
            if not holder.late and now >= holder.asked + RESEND:
                holder.late = True
                requests.append(self._ask(holder, now))
        while self._ready and sum(not holder.late for holder in self._under_way) < WIDTH:
            holder = self._ready.pop(0)
            self._under_way.append(holder)
            self.asked += 1
            requests.append(self._ask(holder, now))
        return requests

    def next_timeout(self) -> float | None:
        """Return when the crawl or a silent holder wants a look."""
        times = [holder.asked + RESEND for holder in self._under_way if not holder.late]
        crawl = None if self._crawled else super().next_timeout()
        return min(times if crawl is None else [*times, crawl], default=None)

    def found(self, contact: Contact, answer: Found, contacts: Sequence[Contact]) -> None:
        """Keep the token, and ask a node at once that shows the announcer's record."""
        super().found(contact, answer, contacts)
        self._tokens[answer.answerer] = answer.token
        if any(_maker(record) == self.public_key for record in answer.records):
            self._add(Contact(answer.answerer, contact.address), answer.token, MAX_SHOWING)

    def answered(self, answer: bytes) -> None:
        """Take the announcer's answer: it is over."""
        if self.answer is None:
            self.answer = answer

    def failed(self, contact: Contact | None, arguments: Arguments) -> None:
        """Note that a request was not answered in time."""
        if isinstance(arguments, Lookup):
            super().failed(contact, arguments)
        elif (holder := self._ended(contact)) is not None and not holder.outstanding:
            self._drop(holder)
            self.silent += 1

    def refused(self, contact: Contact | None, arguments: Arguments, code: Code | None) -> None:
        """Note a refusal, or None for an answer that makes no sense: the next is asked."""
        if isinstance(arguments, Lookup):
            super().refused(contact, arguments, code)
        elif (holder := self._ended(contact)) is not None:
            self._drop(holder)
            if code is None or code is Code.SILENT:
                self.silent += 1
            else:
                self.refusals[code] += 1

    def finished(self, number: int) -> Finished:
        """Return how many were asked, and why there is no answer."""
        answers, refusals = len(self.query.answerers()), tuple(sorted(self.refusals.items()))
        return Finished(number, answers, self.asked, self.silent, refusals)

    def _add(self, contact: Contact | None, token: bytes, limit: int) -> None:
        key = b"" if contact is None else contact.id
        if key not in self._holders and len(self._holders) < limit:
            self._holders[key] = holder = _Holder(contact, token)
            self._ready.append(holder)

    def _ask(self, holder: _Holder, now: float) -> To:
        holder.outstanding += 1
        holder.asked = now
        if holder.contact is None:
            assert self._way is not None, "only who has a way asks without a holder"
            introduced = Introduced(self._sender, self._way.ticket, self.target, self.message)
            return self._way.address, None, introduced
        introduce = Introduce(
            self._sender, holder.token, self.target, self.public_key, self.message
        )
        return holder.contact.address, holder.contact, introduce

    def _ended(self, contact: Contact | None) -> _Holder | None:
        holder = self._holders.get(b"" if contact is None else contact.id)
        if holder is None or holder.over:
            return None
        holder.outstanding -= 1
        return holder

    def _drop(self, holder: _Holder) -> None:
        holder.over = True
        self._under_way.remove(holder)


def _maker(record: bytes) -> bytes:
    """Return whose record it claims to be; a false claim costs one request to a liar."""
    return record[1:33] if len(record) >= HEADER.size else b""
