"""How a node gets to know the network: by joining it, and by exploring its parts.

Both are crawls that look for nothing: they fill the routing table on their way.

Invariant: each address to join through is asked at most `MAX_PINGS` times; exploring lets others
go first, but not for ever. Must not know datagrams. Specified in docs/spec/dht.md, section 8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from net.addresses import Address
from net.dht.contacts import Contact
from net.dht.events import Finished
from net.dht.messages import Ping
from net.dht.operations import Operation, To
from net.dht.query import Query

MAX_PINGS = 3
"""Times that a bootstrap address is asked: its datagram may get lost, and there is no other."""

PING_AGAIN = 0.4
"""Seconds until it is asked again, while answers to the earlier pings are still welcome."""

GIVE_WAY = 2.0
"""Seconds for which exploring a part of the id space lets others go first: a connection is made
in less, and a node that always looks for something gets to know the whole of it all the same."""


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
