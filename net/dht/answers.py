"""What an answer does, or its absence: to the table, to the operation that asked, to upkeep.

Invariant: an answer that makes no sense, or names what it may not, has no effect but that its
sender has failed; only those that prove it are contacts; nothing that is found is told twice.
Must not know how answers arrive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from feedlog.errors import DecodeError
from net.addresses import Address, family, reach
from net.dht.acquaintance import Acquaintance
from net.dht.announcement_operations import Publish, Search
from net.dht.announcer import Announcer
from net.dht.calls import Call
from net.dht.contacts import Contact
from net.dht.datagrams import Response, decode_body
from net.dht.events import Discovered, Event, Fetched
from net.dht.introducing import Introducing
from net.dht.joining import Join
from net.dht.messages import Found, Introduced, Ping, procedure
from net.dht.messenger import Messenger
from net.dht.operations import Operation
from net.dht.publications import NEWCOMER_AFTER
from net.dht.routing import Table
from net.dht.runner import Runner
from net.dht.storing import Storing
from net.dht.suspects import Suspects
from net.dht.time_of_day import TimeOfDay
from net.dht.upkeep import Upkeep
from net.dht.value_operations import Get, Put


class Answers:
    """Reads the answers to the requests of one node."""

    def __init__(
        self,
        *,
        table: Table,
        acquaintance: Acquaintance,
        suspects: Suspects,
        runner: Runner,
        announcer: Announcer,
        messenger: Messenger,
        upkeep: Upkeep,
        time_of_day: TimeOfDay,
        families: frozenset[int],
        counters: Counter[str],
        deliver: Callable[[Event], None],
    ) -> None:
        self._table = table
        self._acquaintance = acquaintance
        self._suspects = suspects
        self._runner = runner
        self._announcer = announcer
        self._messenger = messenger
        self._upkeep = upkeep
        self._time_of_day = time_of_day
        self._families = families
        self._counters = counters
        self._deliver = deliver

    def receive(self, call: Call, response: Response, now: float) -> None:
        """Take the answer to a request, and have the operation that asked go on."""
        self._suspects.clear(call.address)
        if isinstance(call.arguments, Ping):
            self._acquaintance.over(call.address)
        operation = self._runner.schedule.get(call.operation)
        try:
            self._take(call, operation, response, now)
        except DecodeError:
            self._counters["malformed"] += 1
            if call.contact is not None:
                self._table.failed(call.contact)
            if isinstance(operation, Join) and call.contact is None:
                operation.silent(call.address, final=True)
            elif operation is not None:
                operation.refused(call.contact, call.arguments, None)
        self._runner.advance(call.operation, now)

    def lost(self, call: Call, now: float) -> None:
        """Note that a request will not be answered any more."""
        self._counters["silent"] += 1
        self._acquaintance.over(call.address)
        self._suspects.add(call.address, now)
        if call.contact is not None:
            self._table.failed(call.contact)
            if isinstance(call.arguments, Ping):
                self._upkeep.hasten(self._announcer.silent(call.contact, now))
        operation = self._runner.schedule.get(call.operation)
        if isinstance(call.arguments, Introduced) and operation is None:
            self._messenger.lost(call)
        elif isinstance(operation, Join) and call.contact is None:
            operation.silent(call.address)
        elif operation is not None:
            operation.failed(call.contact, call.arguments)

    def _take(
        self, call: Call, operation: Operation | None, response: Response, now: float
    ) -> None:
        """Use a response; raises `DecodeError` when it makes no sense, before it has any effect."""
        if isinstance(call.arguments, Introduced) and operation is None:
            self._messenger.returned(call, response)
            return
        if response.code:
            self._counters[f"refusal {response.code.name}"] += 1
            if isinstance(operation, Join) and call.contact is None:
                operation.silent(call.address)
            elif operation is not None:
                operation.refused(call.contact, call.arguments, response.code)
            return
        arguments = call.arguments
        if isinstance(arguments, Ping):
            self._proven(call, operation, response, now)
            return
        body = decode_body(procedure(arguments), response)
        if isinstance(body, Found):
            self._learned(call, operation, body, now)
            return
        if isinstance(body, bytes):
            if isinstance(operation, Introducing):
                operation.answered(body)
            return
        if call.contact is not None:
            self._table.seen(call.contact, now)
            if isinstance(operation, Storing):
                operation.held(call.contact)
            if isinstance(operation, Publish):
                self._announcer.held(operation.record, call.contact, response.observed, now)

    def _proven(
        self, call: Call, operation: Operation | None, response: Response, now: float
    ) -> None:
        """Take the proof of a node id."""
        alone = not len(self._table)
        contact, new = self._acquaintance.proven(call, response, now)
        self._upkeep.hasten(self._announcer.answered(contact, response.observed, now))
        if new and self._announcer.publications.met(contact.id, now):
            self._upkeep.hasten(now + NEWCOMER_AFTER)
        if isinstance(operation, Join):
            operation.arrived(contact)
        if alone:
            self._runner.resume(now)
            self._upkeep.hurry(now)

    def _learned(self, call: Call, operation: Operation | None, found: Found, now: float) -> None:
        """Take contacts, and what is held of a topic."""
        assert call.contact is not None, "a lookup goes to nodes whose id is known"
        if found.answerer == self._table.own_id:
            raise DecodeError("dht lookup", 0, "we are asking ourselves under another id")
        contacts = [
            contact for contact in found.contacts() if self._plausible(contact, call.address)
        ]
        if isinstance(operation, Search):
            for record in operation.take(found.records, self._time_of_day.at(now)):
                self._deliver(Discovered(call.operation, record))
        if isinstance(operation, Get | Put):
            for value in operation.newest.take(found.records, self._time_of_day.at(now)):
                self._deliver(Fetched(call.operation, value))
        if found.answerer == call.contact.id:
            self._table.seen(call.contact, now)
        else:
            self._table.forget(call.contact)  # somebody else lives there now, or always did
        if operation is not None:
            operation.found(call.contact, found, contacts)
        self._acquaintance.consider(Contact(found.answerer, call.address), now)

    def _plausible(self, contact: Contact, answerer: Address) -> bool:
        """Tell whether to ask a contact: nobody sends us into a network nearer than its own."""
        far = reach(contact.address[0])
        return (
            contact.id != self._table.own_id
            and family(contact.address) in self._families
            and far >= max(0, reach(answerer[0]))
        )
