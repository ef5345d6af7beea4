"""A DHT node without a socket or a clock: datagrams and `now` in, datagrams and events out.

It answers others (`responder`), keeps the routing table honest, and runs its user's
operations: look up, announce, join. Announcements of its own are renewed until withdrawn.

    receive_datagram(data, address, now)   datagrams_to_send()   next_event()
    next_timeout()                         handle_timeout(now)

Invariant: nothing that arrives raises; what is malformed, unasked for or refused is counted
in `counters`. `now` never goes back; the time of day may jump (`set_clock`).
Specified in docs/spec/dht.md, sections 8 and 9.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from random import Random

from feedlog.errors import DecodeError
from feedlog.keys import KEY_SIZE, KeyPair
from net.addresses import Address, RelayAddress, canonical, family, reach
from net.dht.acquaintance import Acquaintance
from net.dht.announcement_operations import Prove, Publish, Search
from net.dht.announcer import Announcer
from net.dht.calls import Call
from net.dht.codes import Code
from net.dht.contacts import Contact
from net.dht.datagrams import Request, Response, decode_body
from net.dht.events import Answered, Discovered, Event, Fetched
from net.dht.exchange import Exchange
from net.dht.hashing import TOPIC_SIZE, node_id
from net.dht.introducing import Introducing
from net.dht.joining import Explore, Join
from net.dht.messages import MAX_MESSAGE, Found, Introduce, Introduced, Ping, procedure
from net.dht.messenger import Introduction, Messenger
from net.dht.operations import Operation
from net.dht.publications import NEWCOMER_AFTER
from net.dht.records import Announcement, fitting
from net.dht.responder import Responder
from net.dht.routing import Table
from net.dht.runner import Runner
from net.dht.sealing import Seal
from net.dht.storage import PER_TOPIC
from net.dht.storing import Storing
from net.dht.suspects import Suspects
from net.dht.time_of_day import TimeOfDay
from net.dht.value_operations import Get, Put
from net.dht.value_service import ValueService

UPKEEP = 15.0
"""Seconds between two looks at what is due."""

EXPLORE_EVERY = 60.0
"""Seconds between two crawls into a part of the id space where we know few."""

EXPLORE_WANT = 3
"""Answers that such a crawl is content with: it is to know somebody in each part."""


class DhtCore:
    """One node of the DHT. `key_pair` signs announcements, `node_key` proves the node id.

    They are two so that nobody can tell from a node's queries who it is that asks.
    """

    def __init__(
        self,
        key_pair: KeyPair,
        node_key: KeyPair,
        *,
        rng: Random,
        secret: bytes,
        now: float,
        unix: float,
        families: frozenset[int] = frozenset((4,)),
        ephemeral: bool = False,
        introductions: bool = False,
        own: Callable[[Address], bool] | None = None,
        network_key: bytes | None = None,
    ) -> None:
        self.id = node_id(node_key.public_key)
        self.table = Table(self.id)
        self._time_of_day = TimeOfDay(now, unix)
        self.counters: Counter[str] = Counter()
        self._key_pair = key_pair
        self._rng = rng
        self._families = families
        self._sender = b"" if ephemeral else self.id
        seal = None if network_key is None else Seal(network_key, rng)
        self._exchange = Exchange(rng, self.counters, seal=seal, own=own)
        largest = self._exchange.largest
        self._responder = Responder(node_key, self.table, secret, rng, largest=largest)
        self._acquaintance = Acquaintance(self.table, self._exchange, self._sender, rng)
        self._bootstrap: tuple[Address, ...] = ()
        self._suspects = Suspects()
        self._runner = Runner(self._exchange, self.table, self._suspects, self._conclude)
        self._events: deque[Event | Introduction] = deque()
        self._values = ValueService(
            key_pair, self._responder.values, self._runner, self._sender, rng
        )
        self._messenger = Messenger(
            self._exchange,
            self._responder,
            sender=self._sender,
            public_key=key_pair.public_key,
            secret=secret,
            takes=introductions,
            deliver=self._events.append,
        )
        self._announcer = Announcer(key_pair, rng, self._messenger, introductions=introductions)
        self._upkeep = now + UPKEEP
        self._explore_next = now + EXPLORE_EVERY

    # -- the five verbs ---------------------------------------------------------------

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        """Take a datagram that came from an address."""
        try:
            address = canonical(address)
            message = self._exchange.receive(data, address, now)
            if isinstance(message, Request):
                self._receive_request(message, address, now)
            elif message is not None:
                self._receive_response(*message, now)
        except (DecodeError, ValueError):
            self.counters["malformed"] += 1

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """Return the datagrams to send, oldest first, and forget them."""
        return self._exchange.datagrams_to_send()

    def next_event(self) -> Event | Introduction | None:
        """Return the oldest event that has not been returned."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> float:
        """Return when `handle_timeout` wants to be called at the latest."""
        times = [operation.next_timeout() for operation in self._runner.schedule]
        times += [self._upkeep, self._exchange.next_deadline(), self._announcer.next_ping()]
        return min(time for time in times if time is not None)

    def handle_timeout(self, now: float) -> None:
        """Do what is due by `now`."""
        for call in self._exchange.expire(now):
            self._lost(call, now)
        self._runner.handle_timeout(now)
        for contact in self._announcer.pings(now, behind_router=self._exchange.observations.hidden):
            self._acquaintance.ping(contact, now)
        if now >= self._upkeep:
            self._upkeep = now + UPKEEP * self._rng.uniform(0.9, 1.1)
            self._keep_up(now)

    # -- operations -------------------------------------------------------------------

    def join(self, addresses: Sequence[Address], now: float) -> int:
        """Make contact with the network through some of its nodes, and again whenever alone."""
        self._bootstrap = tuple(canonical(address) for address in addresses)
        self._exchange.observations.hide_until_seen()
        return self._join(now)

    def lookup(self, topic: bytes, now: float) -> int:
        """Look for the announcements of a topic: `Discovered` for each, then `Finished`.

        The search rests when it has found something, until `go_on` says that this is not
        enough. What this node holds itself is found without asking anybody.
        """
        _check_topic(topic)
        search = Search(self._sender, self._runner.query(topic, now), self._key_pair.public_key)
        unix = self._time_of_day.at(now)
        held = self._responder.store.sample(topic, unix, PER_TOPIC, self._rng)
        found = search.adopt(held, unix)
        number = self._runner.begin(search, now)
        self._events.extend(Discovered(number, record) for record in found)
        return number

    def go_on(self, number: int, now: float) -> None:
        """Look for more than what a lookup has found so far."""
        self._runner.go_on(number, now)

    def announce(
        self,
        topic: bytes,
        addresses: Sequence[Address],
        now: float,
        relays: Sequence[RelayAddress] = (),
    ) -> int:
        """Announce a topic, in place of what was announced before, until it is withdrawn."""
        _check_topic(topic)
        if not addresses and not relays:
            raise ValueError("an announcement has an address or a relay")
        waits = [RelayAddress(key, canonical(address)) for key, address in relays]
        chosen = fitting([canonical(address) for address in addresses], waits)
        self._announcer.publications.put(topic, chosen, now, waits)
        return self._publish(topic, now)

    def publish(self, record: Announcement, now: float) -> int:
        """Have the closest nodes hold an announcement that somebody else has signed, once."""
        return self._runner.begin(self._storing(record, now), now)

    def withdraw(self, topic: bytes, now: float) -> int:
        """Take an announcement back: the nodes that hold it are told."""
        _check_topic(topic)
        self._announcer.publications.drop(topic)
        return self._publish(topic, now)

    def introduce(self, topic: bytes, public_key: bytes, message: bytes, now: float) -> int:
        """Have a message passed to somebody who announces a topic: `Answered`, `Finished`.

        Those who hold the announcement pass it on, if the announcer takes introductions.
        """
        _check_topic(topic)
        _check_key(public_key)
        if not 1 <= len(message) <= MAX_MESSAGE:
            raise ValueError(f"a message has 1..{MAX_MESSAGE} bytes, not {len(message)}")
        way = self._messenger.way(topic, public_key, self._time_of_day.at(now))
        query = self._runner.query(topic, now)
        return self._runner.begin(Introducing(self._sender, query, public_key, message, way), now)

    def answer(self, number: int, answer: bytes | None) -> None:
        """Answer an `Introduction`; None is silence."""
        if answer is not None and not 1 <= len(answer) <= MAX_MESSAGE:
            raise ValueError(f"an answer has 1..{MAX_MESSAGE} bytes, not {len(answer)}")
        self._messenger.answer(number, answer)

    def put(
        self,
        content: bytes,
        now: float,
        *,
        key_pair: KeyPair | None = None,
        salt: bytes = b"",
        seq: int | None = None,
        cas: int | None = None,
        keep: bool = True,
    ) -> int:
        """Publish a value under a key, ours if none is given, and renew it while `keep`."""
        unix = self._time_of_day.at(now)
        put = self._values.put(
            content, now, unix, key_pair=key_pair, salt=salt, seq=seq, cas=cas, keep=keep
        )
        return self._runner.begin(put, now)

    def get(self, public_key: bytes, salt: bytes, now: float) -> int:
        """Look for the value under a key: `Fetched` for each newer one, then `Finished`."""
        _check_key(public_key)
        get, held = self._values.get(public_key, salt, now, self._time_of_day.at(now))
        number = self._runner.begin(get, now)
        if held is not None:
            self._events.append(Fetched(number, held))
        return number

    def set_clock(self, now: float, unix: float) -> None:
        """Say what time of day it is, in Unix seconds.

        A jump means that the machine slept or that its clock was set: then records and values
        may have expired elsewhere, and all are announced and put anew.
        """
        if self._time_of_day.set(now, unix):
            self._announcer.publications.hurry(now, held_too=True)
            self._values.hurry(now, held_too=True)
            self._upkeep = now

    def look(self, now: float) -> None:
        """See at once what is due, with this machine in another network than before perhaps."""
        self._upkeep = now

    def cancel(self, number: int, now: float) -> None:
        """Stop an operation: no event of it comes any more."""
        kept = [e for e in self._events if isinstance(e, Introduction) or e.operation != number]
        self._events.clear()
        self._events.extend(kept)
        self._runner.cancel(number, now)

    @property
    def observed(self) -> Address | None:
        """Our address as most of the nodes that answered lately see it."""
        return self._exchange.observations.address

    @property
    def reports(self) -> dict[Address, Address]:
        """Our address as each of the nodes that answered lately sees it."""
        return self._exchange.observations.reports

    @property
    def held(self) -> int:
        """The number of records held for others."""
        return len(self._responder.store)

    # -- what arrives -----------------------------------------------------------------

    def _receive_request(self, request: Request, address: Address, now: float) -> None:
        if isinstance(request.arguments, Introduce | Introduced):
            code = self._messenger.receive(request, address, now, self._time_of_day.at(now))
            what = "not ours to carry" if code is None else f"refused {code.name}"
            self.counters[what if code is not Code.OK else "carried"] += 1
            if code is not Code.OK:
                return
        else:
            answer, code = self._responder.answer(
                request, request.size, address, now, self._time_of_day.at(now)
            )
            self.counters[f"refused {code.name}" if code else "answered"] += 1
            if answer is None:
                self.counters["answer too large"] += 1
                return
            self._exchange.send(answer, address)
        self._suspects.clear(address)
        self._acquaintance.came(request.arguments.sender, address, now)

    def _receive_response(self, call: Call, response: Response, now: float) -> None:
        self._suspects.clear(call.address)
        if isinstance(call.arguments, Ping):
            self._acquaintance.over(call.address)
        operation = self._runner.schedule.get(call.operation)
        try:
            self._take(call, operation, response, now)
        except DecodeError:
            self.counters["malformed"] += 1
            if call.contact is not None:
                self.table.failed(call.contact)
            if isinstance(operation, Join) and call.contact is None:
                operation.silent(call.address, final=True)
            elif operation is not None:
                operation.refused(call.contact, call.arguments, None)
        self._runner.advance(call.operation, now)

    def _take(
        self, call: Call, operation: Operation | None, response: Response, now: float
    ) -> None:
        """Use a response; raises `DecodeError` when it makes no sense, before it has any effect."""
        if isinstance(call.arguments, Introduced) and operation is None:
            self._messenger.returned(call, response)
            return
        if response.code:
            self.counters[f"refusal {response.code.name}"] += 1
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
            self.table.seen(call.contact, now)
            if isinstance(operation, Storing):
                operation.held(call.contact)
            if isinstance(operation, Publish):
                self._announcer.held(operation.record, call.contact, response.observed, now)

    def _proven(
        self, call: Call, operation: Operation | None, response: Response, now: float
    ) -> None:
        alone = not len(self.table)
        contact, new = self._acquaintance.proven(call, response, now)
        self._hasten(self._announcer.answered(contact, response.observed, now))
        if new and self._announcer.publications.met(contact.id, now):
            self._hasten(now + NEWCOMER_AFTER)
        if isinstance(operation, Join):
            operation.arrived(contact)
        if alone:
            self._runner.resume(now)
            self._announcer.publications.hurry(now)
            self._values.hurry(now)
            self._upkeep = now

    def _learned(self, call: Call, operation: Operation | None, found: Found, now: float) -> None:
        assert call.contact is not None, "a lookup goes to nodes whose id is known"
        if found.answerer == self.id:
            raise DecodeError("dht lookup", 0, "we are asking ourselves under another id")
        contacts = [
            contact for contact in found.contacts() if self._plausible(contact, call.address)
        ]
        if isinstance(operation, Search):
            news = operation.take(found.records, self._time_of_day.at(now))
            self._events.extend(Discovered(call.operation, record) for record in news)
        if isinstance(operation, Get | Put):
            newer = operation.newest.take(found.records, self._time_of_day.at(now))
            self._events.extend(Fetched(call.operation, value) for value in newer)
        if found.answerer == call.contact.id:
            self.table.seen(call.contact, now)
        else:
            self.table.forget(call.contact)  # somebody else lives there now, or always did
        if operation is not None:
            operation.found(call.contact, found, contacts)
        self._acquaintance.consider(Contact(found.answerer, call.address), now)

    def _plausible(self, contact: Contact, answerer: Address) -> bool:
        """Tell whether to ask a contact: nobody sends us into a network nearer than its own."""
        far = reach(contact.address[0])
        return (
            contact.id != self.id
            and family(contact.address) in self._families
            and far >= max(0, reach(answerer[0]))
        )

    def _lost(self, call: Call, now: float) -> None:
        self.counters["silent"] += 1
        self._acquaintance.over(call.address)
        self._suspects.add(call.address, now)
        if call.contact is not None:
            self.table.failed(call.contact)
            if isinstance(call.arguments, Ping):
                self._hasten(self._announcer.silent(call.contact, now))
        operation = self._runner.schedule.get(call.operation)
        if isinstance(call.arguments, Introduced) and operation is None:
            self._messenger.lost(call)
        elif isinstance(operation, Join) and call.contact is None:
            operation.silent(call.address)
        elif operation is not None:
            operation.failed(call.contact, call.arguments)

    def _hasten(self, due: float | None) -> None:
        """Have a look at what is due at a moment, if that is before the next look."""
        if due is not None:
            self._upkeep = min(self._upkeep, due)

    # -- running operations -----------------------------------------------------------

    def _conclude(self, number: int, operation: Operation, now: float) -> None:
        if isinstance(operation, Join):
            self._explore(self.table.thin_parts(), now)
        elif isinstance(operation, Explore):
            rest = set(operation.parts[1:]) & set(self.table.thin_parts())
            self._explore(sorted(rest), now)
        elif isinstance(operation, Publish):
            self._announcer.publications.spread(operation.record, operation.holders, now)
        elif isinstance(operation, Put):
            self._values.concluded(operation, now, self._time_of_day.at(now))
        elif isinstance(operation, Introducing) and operation.answer is not None:
            self._events.append(Answered(number, operation.answer))
        self._events.append(operation.finished(number))

    # -- upkeep -----------------------------------------------------------------------

    def _keep_up(self, now: float) -> None:
        self._responder.store.expire(self._time_of_day.at(now))
        if not self._runner.schedule.has(Publish):
            self._announcer.keep_up()
        for topic in self._announcer.publications.due(now):
            self._publish(topic, now)
        self._responder.values.expire(self._time_of_day.at(now))
        for put in self._values.due(now, self._time_of_day.at(now)):
            self._runner.begin(put, now)
        if not len(self.table):
            if self._bootstrap and not self._runner.schedule.has(Join):
                self._join(now)
            return
        self._acquaintance.check(now)
        if now >= self._explore_next:
            self._explore_next = now + EXPLORE_EVERY
            thin = self.table.thin_parts()
            self._explore([self._rng.choice(thin)] if thin else [0], now)

    def _explore(self, parts: Sequence[int], now: float) -> None:
        """Crawl into one part of the id space after the other, see `Table.thin_parts`.

        Without this a node knows its own neighbourhood and whoever came by, and a lookup far
        from both can end among nodes that all know nobody closer.
        """
        if not parts:
            return
        query = self._runner.query(
            self._acquaintance.somewhere(parts), now, want=EXPLORE_WANT, paths=1
        )
        self._runner.begin(Explore(self._sender, query, parts, now), now)

    def _join(self, now: float) -> int:
        return self._runner.begin(
            Join(self._sender, self._runner.query(self.id, now, paths=1), self._bootstrap), now
        )

    def _publish(self, topic: bytes, now: float) -> int:
        unix = self._time_of_day.at(now)
        record = self._announcer.publications.sign(topic, now, unix)
        self._responder.store.put(record, "127.0.0.1", unix)
        return self._runner.begin(self._storing(record, now, self._announcer.prove()), now)

    def _storing(self, record: Announcement, now: float, prove: Prove | None = None) -> Publish:
        query, patience = self._runner.query(record.topic, now), self._runner.patience
        return Publish(self._sender, query, record, prove, patience=patience)


def _check_topic(topic: bytes) -> None:
    if len(topic) != TOPIC_SIZE:
        raise ValueError(f"a topic has {TOPIC_SIZE} bytes, not {len(topic)}")


def _check_key(public_key: bytes) -> None:
    if len(public_key) != KEY_SIZE:
        raise ValueError(f"a public key has {KEY_SIZE} bytes, not {len(public_key)}")
