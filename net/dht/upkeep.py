"""What a node does of itself: it stays in the network, knows it, and is found in it.

It looks at what is due every `UPKEEP` seconds, and sooner when it has been told to. Without
contacts it joins anew; else it asks those that have been silent for long whether they are there,
and explores the parts of the id space in which it knows few. Announcements and values of its user
are renewed, those of others forgotten when they expire.

Invariant: the next look is at most 1.1 times `UPKEEP` away. Must not know what answers say.
Specified in docs/spec/dht.md, sections 4, 8, 10 and 11.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from net.addresses import Address
from net.dht.acquaintance import Acquaintance
from net.dht.announcement_operations import Publish
from net.dht.announcer import Announcer
from net.dht.joining import Explore, Join
from net.dht.observations import Observations
from net.dht.responder import Responder
from net.dht.routing import Table
from net.dht.runner import Runner
from net.dht.time_of_day import TimeOfDay
from net.dht.value_service import ValueService

UPKEEP = 15.0
"""Seconds between two looks at what is due."""

EXPLORE_EVERY = 60.0
"""Seconds between two crawls into a part of the id space where we know few."""

EXPLORE_WANT = 3
"""Answers that such a crawl is content with: it is to know somebody in each part."""


class Upkeep:
    """Does what is due in one node."""

    def __init__(
        self,
        *,
        table: Table,
        responder: Responder,
        observations: Observations,
        runner: Runner,
        acquaintance: Acquaintance,
        announcer: Announcer,
        values: ValueService,
        time_of_day: TimeOfDay,
        sender: bytes,
        rng: Random,
        now: float,
    ) -> None:
        self._table = table
        self._responder = responder
        self._observations = observations
        self._runner = runner
        self._acquaintance = acquaintance
        self._announcer = announcer
        self._values = values
        self._time_of_day = time_of_day
        self._sender = sender
        self._rng = rng
        self._bootstrap: tuple[Address, ...] = ()
        self._next_look = now + UPKEEP
        self._explore_next = now + EXPLORE_EVERY

    def next_timeout(self) -> float:
        """Return when `handle_timeout` wants to be called at the latest."""
        ping = self._announcer.next_ping()
        return self._next_look if ping is None else min(self._next_look, ping)

    def handle_timeout(self, now: float) -> None:
        """Do what is due by `now`."""
        for contact in self._announcer.pings(now, behind_router=self._observations.hidden):
            self._acquaintance.ping(contact, now)
        if now >= self._next_look:
            self._next_look = now + UPKEEP * self._rng.uniform(0.9, 1.1)
            self._look(now)

    def hasten(self, due: float | None) -> None:
        """Have a look at a moment, if that is before the next one; not for None."""
        if due is not None:
            self._next_look = min(self._next_look, due)

    def hurry(self, now: float, *, held_too: bool = False) -> None:
        """Have what nobody holds, or everything that is ours, held anew at once."""
        self._announcer.publications.hurry(now, held_too=held_too)
        self._values.hurry(now, held_too=held_too)
        self.hasten(now)

    def join(self, addresses: Sequence[Address], now: float) -> int:
        """Join through these addresses, and again whenever alone; returns the operation's number.

        Until somebody says how we are seen, we offer ourselves to nobody.
        """
        self._bootstrap = tuple(addresses)
        self._observations.hide_until_seen()
        return self._join(now)

    def concluded(self, crawl: Join | Explore, now: float) -> None:
        """Go on exploring, after a crawl into the first of some parts or the join before them."""
        parts = self._table.thin_parts()
        if isinstance(crawl, Explore):
            parts = sorted(set(crawl.parts[1:]) & set(parts))
        self._explore(parts, now)

    def _look(self, now: float) -> None:
        unix = self._time_of_day.at(now)
        self._responder.store.expire(unix)
        if not self._runner.schedule.has(Publish):
            self._announcer.keep_up()
        for publish in self._announcer.due(now, unix):
            self._runner.begin(publish, now)
        self._responder.values.expire(unix)
        for put in self._values.due(now, unix):
            self._runner.begin(put, now)
        if not len(self._table):
            if self._bootstrap and not self._runner.schedule.has(Join):
                self._join(now)
            return
        self._acquaintance.check(now)
        if now >= self._explore_next:
            self._explore_next = now + EXPLORE_EVERY
            thin = self._table.thin_parts()
            self._explore([self._rng.choice(thin)] if thin else [0], now)

    def _explore(self, parts: Sequence[int], now: float) -> None:
        """Crawl into one part of the id space after the other, see `Table.thin_parts`.

        Without this a node knows its own neighbourhood and whoever came by, and a lookup far
        from both can end among nodes that all know nobody closer.
        """
        if not parts:
            return
        target = self._acquaintance.somewhere(parts)
        query = self._runner.query(target, now, want=EXPLORE_WANT, paths=1)
        self._runner.begin(Explore(self._sender, query, parts, now), now)

    def _join(self, now: float) -> int:
        query = self._runner.query(self._table.own_id, now, paths=1)
        return self._runner.begin(Join(self._sender, query, self._bootstrap), now)
