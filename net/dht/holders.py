"""The nodes that hold our announcements, and how we keep in touch with them.

A holder can bring us a message only as long as the router before us remembers that we have
sent to it. So each gets a ping every `KEEP_EVERY` seconds; its answer also says from which
address we seem to come. When that changes, or a holder is silent, what it holds is no longer
of use, and the announcements are made anew (`net.dht.publications`).

Invariant: at most `MAX_KEPT` are kept, the holders of our own peer topic rather than others,
and none that has been silent `MAX_SILENCES` times in a row.
Specified in docs/spec/dht.md, section 10.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from net.addresses import Address
from net.dht.contacts import Contact

KEEP_EVERY = 20.0
"""Seconds; routers forget a mapping after 30 in practice, and a ping may get lost."""

KEEP_CLOSE_EVERY = 4.0
"""Seconds for `MAX_CLOSE` holders while we are behind a router: some forget after five."""

MAX_CLOSE = 16
"""Two kilobytes a second in all; the holders of our own peer topic come first."""

KEEP_AGAIN = 2.0
"""Seconds until a holder that did not answer is asked again."""

MAX_KEPT = 128
"""Two kilobytes a second more; a node with few topics has eight or sixteen."""

MAX_SILENCES = 3
"""Pings without an answer after which a holder is gone."""


@dataclass(slots=True)
class Holder:
    """A node that holds an announcement of ours."""

    contact: Contact
    seen_as: Address
    """Our address as it saw it when it took the announcement, or answered last."""
    due: float
    first: bool
    silences: int = 0


class Holders:
    """Those that we keep in touch with."""

    def __init__(self) -> None:
        self._holders: OrderedDict[bytes, Holder] = OrderedDict()
        self.behind_router = False
        """Whether datagrams reach us only as long as a router remembers ours."""

    def __len__(self) -> int:
        return len(self._holders)

    def held(self, contact: Contact, seen_as: Address, now: float, *, first: bool = False) -> None:
        """Note that a node has just taken an announcement; `first` for the peer topic."""
        known = self._holders.pop(contact.id, None)
        first = first or (known is not None and known.first)
        every = KEEP_CLOSE_EVERY if self.behind_router else KEEP_EVERY
        self._holders[contact.id] = Holder(contact, seen_as, now + every, first)
        if len(self._holders) > MAX_KEPT:
            others = (key for key, holder in self._holders.items() if not holder.first)
            del self._holders[next(others, next(iter(self._holders)))]

    def retain(self, ids: Iterable[bytes]) -> None:
        """Keep in touch with these only: the others hold nothing of ours any more."""
        wanted = set(ids)
        for gone in [key for key in self._holders if key not in wanted]:
            del self._holders[gone]

    def due(self, now: float) -> list[Contact]:
        """Return whom to ping now; the next ping is due later unless the answer says sooner."""
        if not self._holders or min(holder.due for holder in self._holders.values()) > now:
            return []
        chosen = []
        holders = sorted(self._holders.values(), key=lambda holder: not holder.first)
        for place, holder in enumerate(holders):
            if holder.due <= now:
                close = self.behind_router and place < MAX_CLOSE
                holder.due = now + (KEEP_CLOSE_EVERY if close else KEEP_EVERY)
                chosen.append(holder.contact)
        return chosen

    def next_due(self) -> float | None:
        """Return when `due` will have something to say."""
        return min((holder.due for holder in self._holders.values()), default=None)

    def answered(self, contact: Contact, seen_as: Address) -> bool:
        """Take the answer of a node; tells whether it is a holder that sees us elsewhere now."""
        holder = self._holders.get(contact.id)
        if holder is None or holder.contact.address != contact.address:
            return False
        moved, holder.seen_as, holder.silences = holder.seen_as != seen_as, seen_as, 0
        return moved

    def silent(self, contact: Contact, now: float) -> bool:
        """Note that a node did not answer; tells whether a holder is gone with it."""
        holder = self._holders.get(contact.id)
        if holder is None or holder.contact.address != contact.address:
            return False
        holder.silences += 1
        holder.due = min(holder.due, now + KEEP_AGAIN)
        if holder.silences < MAX_SILENCES:
            return False
        del self._holders[contact.id]
        return True
