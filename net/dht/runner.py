"""Runs the operations of one node: sends what they ask for, until they are done.

Exploring, for which nobody waits, gives way to all else. Others rest when they have found
something, until `go_on`.

Invariant: an operation that has begun ends with one call of `concluded`, unless it was
cancelled before; what is silent or lied in one crawl is asked last in the next.
Must not know what operations are for.
"""

from __future__ import annotations

from collections.abc import Callable

from net.dht.exchange import Exchange
from net.dht.introducing import INTRODUCE_TIMEOUT
from net.dht.joining import Explore
from net.dht.messages import Introduce, Introduced
from net.dht.operations import Operation
from net.dht.paths import PATHS
from net.dht.query import WANT, Query
from net.dht.routing import Table
from net.dht.schedule import Schedule
from net.dht.suspects import Suspects

Concluded = Callable[[int, Operation, float], None]


class Runner:
    """The operations that run and wait, and the means that they share."""

    def __init__(
        self, exchange: Exchange, table: Table, suspects: Suspects, concluded: Concluded
    ) -> None:
        self.schedule = Schedule()
        self._exchange = exchange
        self._table = table
        self._suspects = suspects
        self._concluded = concluded

    @property
    def patience(self) -> float:
        """Seconds after which an answer need not be waited for."""
        return self._exchange.round_trips.patience

    def query(self, target: bytes, now: float, *, want: int = WANT, paths: int = PATHS) -> Query:
        """Return a crawl towards a target, which gets its contacts when it begins."""
        suspects = self._suspects.at(now)
        return Query(target, want=want, paths=paths, patience=self.patience, suspects=suspects)

    def begin(self, operation: Operation, now: float) -> int:
        """Run an operation, now or in its turn; returns its number."""
        number = self.schedule.add(operation)
        self.resume(now)
        return number

    def go_on(self, number: int, now: float) -> None:
        """Have an operation rest no more."""
        operation = self.schedule.find(number)
        if operation is not None and operation.resting:
            operation.resting = False
            self.advance(number, now)

    def cancel(self, number: int, now: float) -> Operation | None:
        """Forget an operation; return it, None if it was over."""
        operation = self.schedule.remove(number)
        self.resume(now)
        return operation

    def handle_timeout(self, now: float) -> None:
        """Have all that run send what is due by `now`."""
        for number in self.schedule.numbers():
            self._step(number, now)
        self.resume(now)

    def advance(self, number: int, now: float) -> None:
        """Have an operation go on; another may have its place if it is over, or rests."""
        self._step(number, now)
        self.resume(now)

    def resume(self, now: float) -> None:
        """Begin what waits and may run, and have exploring go on if nothing else runs."""
        going_on = True
        while going_on:
            while (ready := self.schedule.start(alone=not len(self._table))) is not None:
                number, operation = ready
                operation.query.start(self._table.near(operation.target))
                self._give_way(now)
                self._step(number, now)
            going_on = self._give_way(now)

    def _give_way(self, now: float) -> bool:
        """Have exploring rest while others run, or go on; tells whether any has gone on."""
        busy = any(not isinstance(operation, Explore) for operation in self.schedule)
        gone_on = False
        for number in self.schedule.numbers():
            operation = self.schedule.get(number)
            if isinstance(operation, Explore):
                rested, operation.resting = operation.resting, busy and operation.gives_way(now)
                if rested and not operation.resting:
                    gone_on = True
                    self._step(number, now)
        return gone_on

    def _step(self, number: int, now: float) -> None:
        """Send what an operation wants to send; conclude it if it is done and does not rest.

        Begins no other: of a long line that all end at once each would stand on the one before.
        """
        operation = self.schedule.get(number)
        if operation is None or operation.resting:
            return
        operation.query.patience = self.patience  # a new node learns it from its first answers
        for address, contact, arguments in operation.requests(now):
            timeout = INTRODUCE_TIMEOUT if isinstance(arguments, Introduce | Introduced) else None
            self._exchange.ask(address, arguments, contact, now, operation=number, timeout=timeout)
        if operation.done:
            self.schedule.remove(number)
            for suspect in [*operation.query.liars(), *operation.query.silent()]:
                self._suspects.add(suspect.address, now)
            self._concluded(number, operation, now)
