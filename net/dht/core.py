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
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from feedlog.errors import DecodeError
from feedlog.keys import KeyPair, verify
from net.addresses import Address, RelayAddress, canonical, family, pack_address, reach
from net.dht.calls import Call, Calls
from net.dht.hashing import ID_SIZE, TOPIC_SIZE, node_id, ping_signable
from net.dht.messages import (
    MESSAGE_ID_SIZE,
    Announce,
    Arguments,
    Code,
    Contact,
    Found,
    Ping,
    Pong,
    Request,
    Response,
    decode_body,
    decode_datagram,
    encode_request,
)
from net.dht.observations import Observations
from net.dht.operations import Explore, Join, Operation, Publish, Search, To
from net.dht.publications import NEWCOMER_AFTER, Publications
from net.dht.query import WANT, Query
from net.dht.records import Announcement, fitting
from net.dht.responder import Responder
from net.dht.routing import Table
from net.dht.storage import PER_TOPIC
from net.dht.suspects import Suspects

MAX_OPERATIONS = 32
"""Operations that run at a time; more wait their turn, so that a node's own bursts stay small."""

MAX_VERIFYING = 32
"""Newcomers pinged at a time because they asked us something; the others may come by again."""

UPKEEP = 15.0
"""Seconds between two looks at what is due."""

STALE_AFTER = 300.0
"""Seconds of silence after which a contact is pinged."""

EXPLORE_EVERY = 60.0
"""Seconds between two crawls into a part of the id space where we know few."""

EXPLORE_WANT = 3
"""Answers that such a crawl is content with: it is to know somebody in each part."""

CLOCK_JUMP = 60.0
"""Seconds that the time of day may drift between two looks without meaning anything."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """A lookup has found an announcement, or a newer one of the same announcer."""

    operation: int
    announcement: Announcement


@dataclass(frozen=True, slots=True)
class Finished:
    """An operation is over."""

    operation: int
    answers: int
    """Nodes that answered the crawl (and, of a join, bootstrap nodes reached)."""
    stored: int = 0
    silent: int = 0
    refusals: tuple[tuple[Code, int], ...] = ()


Event = Discovered | Finished


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
    ) -> None:
        self.id = node_id(node_key.public_key)
        self.table = Table(self.id)
        self._unix_offset = unix - now
        self.counters: Counter[str] = Counter()
        self._key_pair = key_pair
        self._rng = rng
        self._families = families
        self._sender = b"" if ephemeral else self.id
        self._responder = Responder(node_key, self.table, secret, rng)
        self._calls = Calls()
        self._operations: dict[int, Operation] = {}
        self._queue: deque[tuple[int, Operation]] = deque()
        self._numbers = 0
        self._bootstrap: tuple[Address, ...] = ()
        self._publications = Publications(key_pair, rng)
        self._verifying: dict[Address, bytes] = {}
        self._suspects = Suspects()
        self._observations = Observations()
        self._outbox: list[tuple[bytes, Address]] = []
        self._events: deque[Event] = deque()
        self._upkeep = now + UPKEEP
        self._explore_next = now + EXPLORE_EVERY

    # -- the five verbs ---------------------------------------------------------------

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        """Take a datagram that came from an address."""
        try:
            address = canonical(address)
            message = decode_datagram(data)
            if isinstance(message, Response):
                self._receive_response(message, address, now)
            else:
                self._receive_request(message, len(data), address, now)
        except (DecodeError, ValueError):
            self.counters["malformed"] += 1

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """Return the datagrams to send, oldest first, and forget them."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def next_event(self) -> Event | None:
        """Return the oldest event that has not been returned."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> float:
        """Return when `handle_timeout` wants to be called at the latest."""
        times = [self._upkeep]
        deadline = self._calls.next_deadline()
        if deadline is not None:
            times.append(deadline)
        times += [t for o in self._operations.values() if (t := o.next_timeout()) is not None]
        return min(times)

    def handle_timeout(self, now: float) -> None:
        """Do what is due by `now`."""
        for call in self._calls.expire(now):
            self._lost(call, now)
        for number in list(self._operations):
            self._advance(number, now)
        if now >= self._upkeep:
            self._upkeep = now + UPKEEP * self._rng.uniform(0.9, 1.1)
            self._keep_up(now)

    # -- operations -------------------------------------------------------------------

    def join(self, addresses: Sequence[Address], now: float) -> int:
        """Make contact with the network through some of its nodes, and again whenever alone."""
        self._bootstrap = tuple(canonical(address) for address in addresses)
        return self._join(now)

    def lookup(self, topic: bytes, now: float) -> int:
        """Look for the announcements of a topic: `Discovered` for each, then `Finished`."""
        _check_topic(topic)
        search = Search(self._sender, self._query(topic, now))
        number = self._begin(search, now)
        unix = self._unix(now)
        held = self._responder.store.sample(topic, unix, PER_TOPIC, self._rng)
        for record in search.adopt(held, unix):
            self._discovered(number, record)
        return number

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
        self._publications.put(topic, chosen, now, waits)
        return self._publish(topic, now)

    def withdraw(self, topic: bytes, now: float) -> int:
        """Take an announcement back: the nodes that hold it are told."""
        _check_topic(topic)
        self._publications.drop(topic)
        return self._publish(topic, now)

    def set_clock(self, now: float, unix: float) -> None:
        """Say what time of day it is, in Unix seconds.

        A jump means that the machine slept or that its clock was set: then records may have
        expired elsewhere, and all are announced anew.
        """
        jumped = abs(unix - now - self._unix_offset) > CLOCK_JUMP
        self._unix_offset = unix - now
        if jumped:
            self._publications.hurry(now, held_too=True)
            self._upkeep = now

    def cancel(self, number: int, now: float) -> None:
        """Stop an operation: no event of it comes any more."""
        self._operations.pop(number, None)
        self._queue = deque(item for item in self._queue if item[0] != number)
        self._events = deque(event for event in self._events if event.operation != number)
        self._start_waiting(now)

    @property
    def observed(self) -> Address | None:
        """Our address as most of the nodes that answered lately see it."""
        return self._observations.address

    @property
    def reports(self) -> dict[Address, Address]:
        """Our address as each of the nodes that answered lately sees it."""
        return self._observations.reports

    @property
    def held(self) -> int:
        """The number of records held for others."""
        return len(self._responder.store)

    # -- what arrives -----------------------------------------------------------------

    def _receive_request(self, request: Request, size: int, address: Address, now: float) -> None:
        answer, code = self._responder.answer(request, size, address, now, self._unix(now))
        self.counters[f"refused {code.name}" if code else "answered"] += 1
        if answer is None:
            self.counters["answer too large"] += 1
            return
        self._outbox.append((answer, address))
        self._suspects.clear(address)
        if request.arguments.sender and len(self._verifying) < MAX_VERIFYING:
            self._consider(Contact(request.arguments.sender, address), now)

    def _receive_response(self, response: Response, address: Address, now: float) -> None:
        call = self._calls.match(response.message_id, address)
        if call is None:
            self.counters["unmatched"] += 1
            return
        self._suspects.clear(address)
        if isinstance(call.arguments, Ping):
            self._verifying.pop(address, None)
        self._observations.add(address, response.observed)
        operation = self._operations.get(call.operation)
        try:
            self._take(call, operation, response, now)
        except DecodeError:
            self.counters["malformed"] += 1
            if call.contact is not None:
                self.table.failed(call.contact)
            if isinstance(operation, Join) and call.contact is None:
                operation.silent(address, final=True)
            elif operation is not None:
                operation.refused(call.contact, call.arguments, None)
        self._advance(call.operation, now)

    def _take(
        self, call: Call, operation: Operation | None, response: Response, now: float
    ) -> None:
        """Use a response; raises `DecodeError` when it makes no sense, before it has any effect."""
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
        body = decode_body("announce" if isinstance(arguments, Announce) else "lookup", response)
        if isinstance(body, Found):
            self._learned(call, operation, body, now)
            return
        if call.contact is not None:
            self.table.seen(call.contact, now)
            if isinstance(operation, Publish):
                operation.held(call.contact)

    def _proven(
        self, call: Call, operation: Operation | None, response: Response, now: float
    ) -> None:
        pong = decode_body("ping", response)
        assert isinstance(pong, Pong), "the decoder of a ping's body makes nothing else"
        contact = Contact(node_id(pong.public_key), call.address)
        signable = ping_signable(call.message_id, pack_address(response.observed))
        if not verify(pong.public_key, signable, pong.signature):
            raise DecodeError("dht ping", 0, "the signature does not match")
        if contact.id == self.id:
            raise DecodeError("dht ping", 0, "we are asking ourselves")
        if call.contact is not None and contact.id != call.contact.id:
            raise DecodeError("dht ping", 0, "the key is not the one that the id was made of")
        alone = not len(self.table)
        known = self.table.get(contact.id) is not None
        self.table.add(contact, now)
        if not known and self._publications.met(contact.id, now):
            self._upkeep = min(self._upkeep, now + NEWCOMER_AFTER)
        if isinstance(operation, Join):
            operation.arrived(contact)
        if alone:
            self._publications.hurry(now)
            self._upkeep = now

    def _learned(self, call: Call, operation: Operation | None, found: Found, now: float) -> None:
        assert call.contact is not None, "a lookup goes to nodes whose id is known"
        if found.answerer == self.id:
            raise DecodeError("dht lookup", 0, "we are asking ourselves under another id")
        contacts = [
            contact for contact in found.contacts() if self._plausible(contact, call.address)
        ]
        fresh = []
        if isinstance(operation, Search):
            fresh = operation.take(found.records, self._unix(now))
        if found.answerer == call.contact.id:
            self.table.seen(call.contact, now)
        else:
            self.table.forget(call.contact)  # somebody else lives there now, or always did
        if operation is not None:
            operation.found(call.contact, found, contacts)
        for record in fresh:
            self._discovered(call.operation, record)
        self._consider(Contact(found.answerer, call.address), now)

    def _plausible(self, contact: Contact, answerer: Address) -> bool:
        """Tell whether to ask a contact: nobody sends us into a network nearer than its own."""
        far = reach(contact.address[0])
        return (
            contact.id != self.id
            and family(contact.address) in self._families
            and far >= max(0, reach(answerer[0]))
        )

    def _discovered(self, number: int, record: Announcement) -> None:
        if record.public_key != self._key_pair.public_key:
            self._events.append(Discovered(number, record))

    def _consider(self, contact: Contact, now: float) -> None:
        """Ping a newcomer that the table has room for: only a proven id enters."""
        if (
            len(contact.id) == ID_SIZE
            and contact.address not in self._verifying
            and self.table.wants(contact)
        ):
            self._verifying[contact.address] = contact.id
            self._send(contact.address, Ping(self._sender), contact, 0, now)

    def _lost(self, call: Call, now: float) -> None:
        self.counters["silent"] += 1
        self._verifying.pop(call.address, None)
        self._suspects.add(call.address, now)
        if call.contact is not None:
            self.table.failed(call.contact)
        operation = self._operations.get(call.operation)
        if isinstance(operation, Join) and call.contact is None:
            operation.silent(call.address)
        elif operation is not None:
            operation.failed(call.contact, call.arguments)

    # -- running operations -----------------------------------------------------------

    def _query(self, target: bytes, now: float, want: int = WANT) -> Query:
        query = Query(target, want=want, suspects=self._suspects.at(now))
        query.start(self.table.near(target))
        return query

    def _begin(self, operation: Operation, now: float) -> int:
        self._numbers += 1
        self._queue.append((self._numbers, operation))
        self._start_waiting(now)
        return self._numbers

    def _start_waiting(self, now: float) -> None:
        while self._queue and len(self._operations) < MAX_OPERATIONS:
            number, operation = self._queue.popleft()
            self._operations[number] = operation
            self._advance(number, now)

    def _advance(self, number: int, now: float) -> None:
        operation = self._operations.get(number)
        if operation is None:
            return
        for to in operation.requests(now):
            self._dispatch(to, number, now)
        if operation.done:
            del self._operations[number]
            self._events.append(self._conclude(number, operation, now))
            self._start_waiting(now)

    def _dispatch(self, to: To, number: int, now: float) -> None:
        address, contact, arguments = to
        self._send(address, arguments, contact, number, now)

    def _send(
        self,
        address: Address,
        arguments: Arguments,
        contact: Contact | None,
        number: int,
        now: float,
    ) -> None:
        message_id = self._rng.randbytes(MESSAGE_ID_SIZE)
        self._calls.begin(message_id, address, arguments, contact, number, now)
        self._outbox.append((encode_request(message_id, arguments), address))

    def _conclude(self, number: int, operation: Operation, now: float) -> Finished:
        answers = len(operation.query.answerers())
        for liar in operation.query.liars():
            self._suspects.add(liar.address, now)
        if isinstance(operation, Join):
            self._explore(self.table.thin_parts(), now)
            return Finished(number, operation.reached)
        if isinstance(operation, Explore):
            rest = set(operation.parts[1:]) & set(self.table.thin_parts())
            self._explore(sorted(rest), now)
        if not isinstance(operation, Publish):
            return Finished(number, answers)
        self._publications.spread(operation.record, operation.holders, now)
        refusals = tuple(sorted(operation.refusals.items()))
        return Finished(number, answers, operation.stored, operation.silent, refusals)

    # -- upkeep -----------------------------------------------------------------------

    def _keep_up(self, now: float) -> None:
        self._responder.store.expire(self._unix(now))
        for topic in self._publications.due(now):
            self._publish(topic, now)
        if not len(self.table):
            if self._bootstrap and not any(isinstance(o, Join) for o in self._operations.values()):
                self._join(now)
            return
        stalest = self.table.stalest()
        if stalest is not None and stalest.seen + STALE_AFTER <= now:
            self._send(stalest.contact.address, Ping(self._sender), stalest.contact, 0, now)
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
        shift = 8 * ID_SIZE - 1 - parts[0]
        prefix = (int.from_bytes(self.id, "big") >> shift) ^ 1
        target = (prefix << shift) | self._rng.getrandbits(shift)
        query = self._query(target.to_bytes(ID_SIZE, "big"), now, EXPLORE_WANT)
        self._begin(Explore(self._sender, query, parts), now)

    def _join(self, now: float) -> int:
        return self._begin(Join(self._sender, self._query(self.id, now), self._bootstrap), now)

    def _publish(self, topic: bytes, now: float) -> int:
        unix = self._unix(now)
        record = self._publications.sign(topic, now, unix)
        self._responder.store.put(record, "127.0.0.1", unix)
        return self._begin(Publish(self._sender, self._query(topic, now), record), now)

    def _unix(self, now: float) -> float:
        return now + self._unix_offset


def _check_topic(topic: bytes) -> None:
    if len(topic) != TOPIC_SIZE:
        raise ValueError(f"a topic has {TOPIC_SIZE} bytes, not {len(topic)}")
