"""A DHT node without a socket or a clock: datagrams and `now` in, datagrams and events out.

Here are the verbs of its user and of its shell, and the parts that they lead to: `responder` and
`messenger` answer others, `runner` runs operations, `answers` reads what they are answered, and
`upkeep` does what is due.

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
from net.addresses import Address, RelayAddress, canonical
from net.dht.acquaintance import Acquaintance
from net.dht.announcement_operations import Publish, Search
from net.dht.announcer import Announcer
from net.dht.answers import Answers
from net.dht.codes import Code
from net.dht.datagrams import Request
from net.dht.events import Answered, Discovered, Event, Fetched
from net.dht.exchange import Exchange
from net.dht.hashing import node_id
from net.dht.introducing import Introducing
from net.dht.joining import Explore, Join
from net.dht.messages import MAX_MESSAGE, Introduce, Introduced
from net.dht.messenger import Introduction, Messenger
from net.dht.operations import Operation
from net.dht.records import Announcement
from net.dht.responder import Responder
from net.dht.routing import Table
from net.dht.runner import Runner
from net.dht.sealing import Seal
from net.dht.storage import PER_TOPIC
from net.dht.suspects import Suspects
from net.dht.time_of_day import TimeOfDay
from net.dht.upkeep import Upkeep
from net.dht.value_operations import Put
from net.dht.value_service import ValueService
from net.discovery import check_topic


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
        self._sender = b"" if ephemeral else self.id
        seal = None if network_key is None else Seal(network_key, rng)
        self._exchange = Exchange(rng, self.counters, seal=seal, own=own)
        largest = self._exchange.largest
        self._responder = Responder(node_key, self.table, secret, rng, largest=largest)
        self._acquaintance = Acquaintance(self.table, self._exchange, self._sender, rng)
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
        self._announcer = Announcer(
            key_pair,
            self._responder.store,
            self._runner,
            self._messenger,
            self._sender,
            rng,
        )
        self._upkeep = self._make_upkeep(now)
        self._answers = self._make_answers(families)

    # -- the five verbs ---------------------------------------------------------------

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        """Take a datagram that came from an address."""
        try:
            address = canonical(address)
            message = self._exchange.receive(data, address, now)
            if isinstance(message, Request):
                self._receive_request(message, address, now)
            elif message is not None:
                self._answers.receive(*message, now)
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
        times += [self._upkeep.next_timeout(), self._exchange.next_deadline()]
        return min(time for time in times if time is not None)

    def handle_timeout(self, now: float) -> None:
        """Do what is due by `now`."""
        for call in self._exchange.expire(now):
            self._answers.lost(call, now)
        self._runner.handle_timeout(now)
        self._upkeep.handle_timeout(now)

    # -- operations -------------------------------------------------------------------

    def join(self, addresses: Sequence[Address], now: float) -> int:
        """Make contact with the network through some of its nodes, and again whenever alone."""
        return self._upkeep.join([canonical(address) for address in addresses], now)

    def lookup(self, topic: bytes, now: float) -> int:
        """Look for the announcements of a topic: `Discovered` for each, then `Finished`.

        The search rests when it has found something, until `go_on` says that this is not
        enough. What this node holds itself is found without asking anybody.
        """
        check_topic(topic)
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
        check_topic(topic)
        unix = self._time_of_day.at(now)
        return self._runner.begin(
            self._announcer.announce(topic, addresses, relays, now, unix), now
        )

    def publish(self, record: Announcement, now: float) -> int:
        """Have the closest nodes hold an announcement that somebody else has signed, once."""
        return self._runner.begin(self._announcer.storing(record, now), now)

    def withdraw(self, topic: bytes, now: float) -> int:
        """Take an announcement back: the nodes that hold it are told."""
        check_topic(topic)
        unix = self._time_of_day.at(now)
        return self._runner.begin(self._announcer.withdraw(topic, now, unix), now)

    def introduce(self, topic: bytes, public_key: bytes, message: bytes, now: float) -> int:
        """Have a message passed to somebody who announces a topic: `Answered`, `Finished`.

        Those who hold the announcement pass it on, if the announcer takes introductions.
        """
        check_topic(topic)
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
            self._upkeep.hurry(now, held_too=True)

    def look(self, now: float) -> None:
        """See at once what is due, with this machine in another network than before perhaps."""
        self._upkeep.hasten(now)

    def cancel(self, number: int, now: float) -> None:
        """Stop an operation: no event of it comes any more, and a value is not put later either."""
        kept = [e for e in self._events if isinstance(e, Introduction) or e.operation != number]
        self._events.clear()
        self._events.extend(kept)
        operation = self._runner.cancel(number, now)
        if isinstance(operation, Put):
            self._values.cancelled(operation)

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

    # -- requests, and operations that are over ----------------------------------------

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

    def _conclude(self, number: int, operation: Operation, now: float) -> None:
        if isinstance(operation, Join | Explore):
            self._upkeep.concluded(operation, now)
        elif isinstance(operation, Publish):
            self._announcer.publications.spread(operation.record, operation.holders, now)
        elif isinstance(operation, Put):
            self._values.concluded(operation, now, self._time_of_day.at(now))
        elif isinstance(operation, Introducing) and operation.answer is not None:
            self._events.append(Answered(number, operation.answer))
        self._events.append(operation.finished(number))

    # -- the parts that need the others -------------------------------------------------

    def _make_upkeep(self, now: float) -> Upkeep:
        return Upkeep(
            table=self.table,
            responder=self._responder,
            observations=self._exchange.observations,
            runner=self._runner,
            acquaintance=self._acquaintance,
            announcer=self._announcer,
            values=self._values,
            time_of_day=self._time_of_day,
            sender=self._sender,
            rng=self._rng,
            now=now,
        )

    def _make_answers(self, families: frozenset[int]) -> Answers:
        return Answers(
            table=self.table,
            acquaintance=self._acquaintance,
            suspects=self._suspects,
            runner=self._runner,
            announcer=self._announcer,
            messenger=self._messenger,
            upkeep=self._upkeep,
            time_of_day=self._time_of_day,
            families=families,
            counters=self.counters,
            deliver=self._events.append,
        )


def _check_key(public_key: bytes) -> None:
    if len(public_key) != KEY_SIZE:
        raise ValueError(f"a public key has {KEY_SIZE} bytes, not {len(public_key)}")
