"""Local discovery without a socket or a clock: who asks, who answers, and how rarely.

A lookup asks the group thrice and ends after a second; whoever announces the topic answers the
group with its signed record. Nothing is kept of what others say beyond the lookups that run.
An answer says nothing about the clock of who gives it: it is alive now. So expiry is not looked
at, and machines without the time of day find each other.

    receive_datagram(data, address, now)   datagrams_to_send()   next_event()
    next_timeout()                         handle_timeout(now)

Invariant: nothing that arrives raises. However many datagrams arrive, at most ANSWERS of ours
leave in a second, all to the group: nobody can have us flood a third party.
Specified in docs/spec/lan.md. Must not know sockets or interfaces.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from feedlog.errors import DecodeError
from feedlog.keys import KeyPair
from net.addresses import Address, RelayAddress, canonical, reach
from net.dht.limits import RateLimit
from net.dht.records import (
    MAX_LIFETIME,
    Announcement,
    fitting,
    parse_announcement,
    sign_announcement,
)
from net.discovery import TOPIC_SIZE, PeerAddress, check_topic
from net.lan.hashing import network_key
from net.lan.messages import MAX_RECORDS, SENDER_SIZE, Answer, Query, decode, encode, queries

ASK_AT = (0.0, 0.25, 0.6)
"""Seconds into a lookup at which it asks: a datagram may be lost, and wireless ones are late."""
LOOKUP_TIME = 1.0
"""Seconds that a lookup waits for answers."""

JITTER = 0.02
"""Seconds over which those who answer one question spread themselves."""
REPEAT_AFTER = 0.25
"""Seconds in which a record is not said twice: the group has heard it."""
TELL_AT = (0.0, 1.0)
"""Seconds after `announce` at which the record is told unasked: for lookups that run."""

ANSWERS = 20.0
"""Answers sent in a second, of 1200 bytes at most: 24 KB/s, and 80 records."""
QUESTIONS = 20.0
"""Queries sent in a second, each for up to 32 topics."""

PER_LOOKUP = 64
"""Announcers that one lookup tells of."""

MAX_SOURCES = 4
"""Hosts that one announcer may be heard from: its interfaces that lead to us."""

TOPIC_AT = 33
"""Where the topic stands in a record, between the announcer's key and the rest."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A lookup has found a peer, or another address of one."""

    lookup: int
    peer: PeerAddress


@dataclass(frozen=True, slots=True)
class Over:
    """A lookup has waited long enough."""

    lookup: int


Event = Heard | Over


@dataclass(slots=True)
class _Own:
    """A topic that we announce."""

    addresses: tuple[Address, ...]
    relays: tuple[RelayAddress, ...]
    record: Announcement | None = None
    told: float = float("-inf")


@dataclass(slots=True)
class _Found:
    """What a lookup knows of one announcer."""

    record: Announcement
    sources: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Lookup:
    topic: bytes
    asks: list[float]
    end: float
    found: dict[bytes, _Found] = field(default_factory=dict)


class _Allowance:
    """Datagrams that may be sent: so many in a second, and at most a second's worth at once."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate, self._left, self._last = rate, rate, now

    def take(self, now: float) -> bool:
        self._left = min(self._rate, self._left + (now - self._last) * self._rate)
        self._last = now
        if self._left < 1 - 1e-6:  # the moment of `next` must do, however it was rounded
            return False
        self._left = max(0.0, self._left - 1)
        return True

    @property
    def next(self) -> float:
        """When the next one may go."""
        return self._last + max(0.0, 1 - self._left) / self._rate


class LanCore:
    """One member of a local network. `sender` is 8 random bytes that nobody else has."""

    def __init__(
        self,
        key_pair: KeyPair,
        *,
        sender: bytes,
        rng: Random,
        now: float,
        unix: float,
        secret: bytes = b"",
    ) -> None:
        if len(sender) != SENDER_SIZE:
            raise ValueError(f"a sender has {SENDER_SIZE} bytes, not {len(sender)}")
        self.key = network_key(secret)
        self.counters: Counter[str] = Counter()
        self._key_pair = key_pair
        self._sender = sender
        self._rng = rng
        self._unix_offset = unix - now
        self._seq = 0
        self._own: dict[bytes, _Own] = {}
        self._due: dict[bytes, list[float]] = {}
        """When to tell the record of a topic."""
        self._lookups: dict[int, _Lookup] = {}
        self._numbers = 0
        self._limit = RateLimit()
        self._answers = _Allowance(ANSWERS, now)
        self._questions = _Allowance(QUESTIONS, now)
        self._outbox: list[bytes] = []
        self._events: deque[Event] = deque()

    # What the shell asks for.

    def announce(
        self,
        topic: bytes,
        addresses: Sequence[Address],
        now: float,
        relays: Sequence[RelayAddress] = (),
    ) -> None:
        """Answer for a topic from now on, and tell it once unasked."""
        check_topic(topic)
        if not addresses and not relays:
            raise ValueError("an announcement has an address or a relay")
        waits = tuple(RelayAddress(key, canonical(address)) for key, address in relays)
        chosen = fitting([canonical(address) for address in addresses], waits)
        self._own[topic] = _Own(chosen, waits)
        self._due[topic] = [now + seconds for seconds in TELL_AT]

    def withdraw(self, topic: bytes) -> None:
        """Answer for a topic no more."""
        self._own.pop(topic, None)
        self._due.pop(topic, None)

    def tell_all(self, now: float) -> None:
        """Tell every record again: there are interfaces that have not heard them."""
        for topic in self._own:
            self._due[topic] = [now]

    def lookup(self, topic: bytes, now: float) -> int:
        """Ask who announces a topic: `Heard` for each, then `Over`."""
        check_topic(topic)
        self._numbers += 1
        asks = [now + seconds for seconds in ASK_AT]
        self._lookups[self._numbers] = _Lookup(topic, asks, now + LOOKUP_TIME)
        return self._numbers

    def cancel(self, number: int) -> None:
        """End a lookup: no event of it comes any more."""
        self._lookups.pop(number, None)
        self._events = deque(event for event in self._events if event.lookup != number)

    def set_clock(self, now: float, unix: float) -> None:
        """Say what time of day it is, in Unix seconds, by which records are numbered."""
        self._unix_offset = unix - now

    # The five verbs.

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        """Take what came to the group; a link-local IPv6 host may have its scope."""
        if not self._limit.allow(address, now):
            self.counters["over the limit"] += 1
            return
        try:
            message = decode(self.key, data)
            if message.sender == self._sender:
                return
            if isinstance(message.body, Query):
                self._asked(message.body, now)
            else:
                self._answered(message.body, address, now)
        except DecodeError:
            self.counters["malformed"] += 1

    def datagrams_to_send(self) -> list[bytes]:
        """Return the datagrams for the group, on every interface, and forget them."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def next_event(self) -> Event | None:
        """Return the oldest event that has not been returned."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called, None for not at all."""
        times = [one.end for one in self._lookups.values()]
        if asks := [one.asks[0] for one in self._lookups.values() if one.asks]:
            times.append(max(min(asks), self._questions.next))
        if self._due:
            times.append(max(min(due[0] for due in self._due.values()), self._answers.next))
        return min(times, default=None)

    def handle_timeout(self, now: float) -> None:
        """Do what is due by `now`."""
        for number, lookup in list(self._lookups.items()):
            if lookup.end <= now:
                del self._lookups[number]
                self._events.append(Over(number))
        self._ask(now)
        self._tell(now)

    # Asking and telling.

    def _ask(self, now: float) -> None:
        asking = [one for one in self._lookups.values() if one.asks and one.asks[0] <= now]
        for query in queries(list(dict.fromkeys(one.topic for one in asking))):
            if not self._questions.take(now):
                break
            self._send(query)
            for one in asking:
                if one.topic in query.topics:
                    one.asks = [when for when in one.asks if when > now]

    def _tell(self, now: float) -> None:
        due = [topic for topic, times in self._due.items() if times[0] <= now]
        for start in range(0, len(due), MAX_RECORDS):
            if not self._answers.take(now):
                break
            topics = due[start : start + MAX_RECORDS]
            self._send(Answer(tuple(self._record(topic, now).raw for topic in topics)))
            for topic in topics:
                self._own[topic].told = now
                later = [when for when in self._due.pop(topic) if when > now]
                if later:
                    self._due[topic] = later

    def _record(self, topic: bytes, now: float) -> Announcement:
        own = self._own[topic]
        unix = now + self._unix_offset
        if own.record is None or own.record.expiry < unix + MAX_LIFETIME / 2:
            self._seq = max(int(unix * 1000), self._seq + 1)
            expiry = max(0, int(unix)) + MAX_LIFETIME
            own.record = sign_announcement(
                self._key_pair, topic, own.addresses, own.relays, seq=self._seq, expiry=expiry
            )
        return own.record

    def _send(self, body: Query | Answer) -> None:
        self._outbox.append(encode(self.key, self._sender, body))

    # What arrives.

    def _asked(self, query: Query, now: float) -> None:
        for topic in query.topics:
            own = self._own.get(topic)
            if own is not None:
                when = max(now + self._rng.uniform(0, JITTER), own.told + REPEAT_AFTER)
                self._due[topic] = sorted({when, *self._due.get(topic, ())})[: len(TELL_AT)]

    def _answered(self, answer: Answer, address: Address, now: float) -> None:
        for raw in answer.records:
            topic, key = raw[TOPIC_AT : TOPIC_AT + TOPIC_SIZE], raw[1:TOPIC_AT]
            wanting = [
                number
                for number, one in self._lookups.items()
                if one.topic == topic and now < one.end and _is_news(one, key, raw, address[0])
            ]
            if not wanting or key == self._key_pair.public_key:
                continue  # a signature takes 60 us to check: only what somebody waits for
            record = parse_announcement(raw)
            if not record.withdrawn:
                for number in wanting:
                    self._hear(number, record, address[0])

    def _hear(self, number: int, record: Announcement, host: str) -> None:
        lookup = self._lookups[number]
        found = lookup.found.get(record.public_key)
        if found is None:
            found = lookup.found[record.public_key] = _Found(record)
        elif found.record.seq > record.seq:
            return
        found.record = record
        found.sources[host] = None
        addresses = _addresses(record, found.sources)
        if addresses or record.relays:
            peer = PeerAddress(record.public_key, addresses, record.relays)
            self._events.append(Heard(number, peer))


def _is_news(lookup: _Lookup, key: bytes, raw: bytes, host: str) -> bool:
    """Tell whether to look into a record of this announcer that came from this host."""
    found = lookup.found.get(key)
    if found is None:
        return len(lookup.found) < PER_LOOKUP
    if host in found.sources:
        return raw != found.record.raw
    return len(found.sources) < MAX_SOURCES


def _addresses(record: Announcement, sources: Iterable[str]) -> tuple[Address, ...]:
    """Return where to try an announcer: where it sends from, then where it says it is.

    On a network without a way out a node does not know its own address, but whoever hears it
    does. A loopback address counts only if it was heard on this machine's loopback.
    """
    ports = dict.fromkeys(port for _, port in record.addresses)
    hosts = [host for host in sources if "%" not in host and reach(host) >= 0]
    seen = [(host, port) for host in hosts for port in ports]
    here = any(reach(host) == 0 for host in hosts)
    said = [one for one in record.addresses if reach(one[0]) > 0 or (here and reach(one[0]) == 0)]
    return tuple(dict.fromkeys([*seen, *said]))
