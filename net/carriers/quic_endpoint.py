"""The QUIC connections of one UDP port, both those that we open and those that are opened to us.

    receive(bursts, now)   handle_timeout(now)   next_timeout()
    datagrams_to_send(now) -> (address, datagrams)*    next_event() -> (link, event)

Datagrams find their connection by connection id, so both ends' ports and addresses may
change, and two connections between the same two ports are kept apart. A datagram that
belongs to none may open one, which costs 0.7 ms and 50 KB; so of those that are not
open yet there are at most MAX_HALF_OPEN, MAX_AREA from one subnet, and MAX_UNPROVEN whose
sender has not shown that he receives where he says: further ones are asked for that proof
(Retry), for which nothing is kept and little is sent.

Invariant: strangers cost bounded memory, and no more bytes than they have sent.
Sans-I/O. Must not know sockets, the event loop, or what is carried.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from net.addresses import Address, area
from net.carriers.certificate import Certificate
from net.carriers.quic_connection import (
    NOWHERE,
    BurstConnection,
    client_configuration,
    server_configuration,
)
from net.carriers.quic_link import BROKEN, LinkEvent, LinkLost, LinkOpened, QuicLink
from net.carriers.quic_packet import (
    CONNECTION_ID_SIZE,
    FirstFlight,
    Retries,
    destination,
    first_flight,
)
from net.carriers.segments import Burst

MAX_HALF_OPEN = 256
MAX_AREA = 32
"""Half-open connections of one subnet, or of one host of a private network, that are proven:
else forged flights could fill a subnet's share."""
MAX_UNPROVEN = 32
"""Half-open connections of senders who have proven nothing. Forged first flights fill these
and no others; whoever comes then is answered one round trip later."""
HALF_OPEN_TIMEOUT = 10.0

MAX_WELCOMES = 8
"""First flights of unproven senders that are looked into at a time, before others have a turn:
3 ms if they are forged, 6 if not."""
UNPROVEN_PER_SECOND = 200
"""First flights of unproven senders that are looked into: forged ones, too, cost 0.3 ms until
they turn out not to decrypt. The others are asked for the proof."""
RETRIES_PER_SECOND = 1000
"""Each takes 11 us: a hundredth of a core goes to those who flood us."""

SPARE_TIMERS = 64
"""Entries of alarms that are void, beyond four for each connection."""
MAX_SEND = 256
"""Datagrams of one connection in a turn: 300 KB, before others have theirs."""


class HalfOpen(NamedTuple):
    """What is remembered of a connection until it is open."""

    deadline: float
    area: bytes | None
    proven: bool


class QuicEndpoint:
    """Connections by id, and the door through which new ones come.

    `secret` is 32 random bytes; `random(n)` returns n of them.
    """

    def __init__(
        self,
        certificate: Certificate,
        *,
        secret: bytes,
        random: Callable[[int], bytes],
        accepting: bool,
    ) -> None:
        self.accepting = accepting
        self.counters: Counter[str] = Counter()
        self._random = random
        self._retries = Retries(secret)
        self._client = client_configuration()
        self._server = server_configuration(certificate)
        self._links: dict[bytes, QuicLink] = {}
        self._ids: dict[QuicLink, set[bytes]] = {}
        self._half_open: dict[QuicLink, HalfOpen] = {}
        self._areas: Counter[bytes] = Counter()
        self._unproven = 0
        self._dirty: dict[QuicLink, None] = {}
        self._answers: list[tuple[Address, bytes]] = []
        self._telling: dict[QuicLink, None] = {}
        self._timers: list[tuple[float, int, QuicLink]] = []
        self._armed: dict[QuicLink, float] = {}
        self._sequence = 0
        self._second = 0
        self._looked_into = self._asked = self._welcomed = 0

    # What the shell calls.

    @property
    def links(self) -> list[QuicLink]:
        """Every connection that is not forgotten yet."""
        return list(self._ids)

    def connect(self, address: Address, now: float) -> QuicLink:
        """Begin to connect; `LinkOpened` or `LinkLost` will tell."""
        connection = BurstConnection(configuration=self._client)
        connection.connect(NOWHERE, now)
        link = QuicLink(connection, address, client=True, now=now)
        self._add(link, connection.host_cid)
        return link

    def receive(self, bursts: Sequence[Burst], now: float) -> None:
        """Take what has arrived: what belongs to connections first, then strangers'."""
        strangers = [
            part
            for burst in bursts
            for part in _one_connection_each(burst)
            if not self._receive(part, now)
        ]
        self._welcomed = 0
        for part in strangers:
            if not self._receive(part, now):  # unless one before it has opened its connection
                self._welcome(part, now)

    def datagrams_to_send(self, now: float) -> Iterator[tuple[Address, list[bytes]]]:
        """Yield what is to be sent, a bounded amount of each connection; see `dirty`."""
        answers, self._answers = self._answers, []
        for address, answer in answers:
            yield address, [answer]
        for link in self.dirty:
            if datagrams := self.datagrams_of(link, now):
                yield link.path.address, datagrams

    def datagrams_of(self, link: QuicLink, now: float) -> list[bytes]:
        """Return what one connection has to send to where it is, and set its alarm."""
        self._dirty.pop(link, None)
        out = link.datagrams_to_send(now, MAX_SEND)
        if len(out) >= MAX_SEND:
            self._dirty[link] = None
        self._settle(link)
        return out

    @property
    def dirty(self) -> list[QuicLink]:
        """The connections that may have something to send now."""
        return list(self._dirty)

    def touch(self, link: QuicLink) -> None:
        """Say that something was asked of a link: it may have to send or to tell."""
        self._dirty[link] = None
        self._telling[link] = None

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called."""
        return self._timers[0][0] if self._timers else None

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        while self._timers and self._timers[0][0] <= now:
            when, _, link = heapq.heappop(self._timers)
            if self._armed.get(link) != when:
                continue
            del self._armed[link]
            half = self._half_open.get(link)
            if half is not None and half.deadline <= now:
                self.counters["handshakes given up"] += 1
                link.abort(BROKEN, TimeoutError("no handshake in time"))
            due = link.next_timeout()
            if due is not None and due <= now:
                self._guarded(link, partial(link.handle_timeout, now))
            self.touch(link)

    def next_event(self) -> tuple[QuicLink, LinkEvent] | None:
        """Return what has happened."""
        while self._telling:
            link = next(iter(self._telling))
            event = link.next_event()
            if event is not None:
                self._dirty[link] = None  # what is taken out gives the peer credit
                if isinstance(event, LinkOpened | LinkLost):
                    self._no_longer_half_open(link)
                return link, event
            del self._telling[link]
        return None

    @property
    def has_events(self) -> bool:
        """Whether `next_event` may have something."""
        return bool(self._telling)

    # Datagrams.

    def _receive(self, burst: Burst, now: float) -> bool:
        """Give datagrams to their connection; False if there is none."""
        cid = destination(burst.data)
        link = self._links.get(cid) if cid is not None else None
        if link is None:
            return False
        self._guarded(link, partial(link.receive, burst, now))
        self.touch(link)
        return True

    def _guarded(self, link: QuicLink, work: Callable[[], None]) -> None:
        """Let bytes of strangers through a foreign parser: at worst this connection ends."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever the library raises on a peer's bytes
            self.counters["broken"] += 1
            link.abort(BROKEN, ConnectionError(f"broken packet: {error}"))

    def _welcome(self, burst: Burst, now: float) -> None:
        """Open a connection for a first flight, or ask for a proof, or neither."""
        first = burst.data[: burst.size]
        flight = first_flight(first)
        if flight is None or not self.accepting:
            self.counters["no connection"] += 1
            return
        if int(now) != self._second:
            self._second, self._looked_into, self._asked = int(now), 0, 0
        address = burst.address
        original = self._retries.check(flight, address, now) if flight.token else None
        where = area(address)
        full = len(self._half_open) >= MAX_HALF_OPEN
        if full or (where is not None and self._areas[where] >= MAX_AREA):
            self.counters["half-open limit"] += 1
        elif original is None and (
            self._unproven >= MAX_UNPROVEN
            or self._looked_into >= UNPROVEN_PER_SECOND
            or self._welcomed >= MAX_WELCOMES
        ):
            self._ask(flight, address, now)
        else:
            self._looked_into += original is None
            self._welcomed += original is None
            connection = BurstConnection(
                configuration=self._server,
                original_destination_connection_id=original or flight.destination,
                retry_source_connection_id=flight.destination if original else None,
            )
            link = QuicLink(connection, address, client=False, now=now)
            self._guarded(link, partial(link.receive, burst, now))
            if not connection.authenticated:
                self.counters["no handshake"] += 1
                return
            half = HalfOpen(now + HALF_OPEN_TIMEOUT, where, proven=original is not None)
            self._half_open[link] = half
            self._count(half, 1)
            self._add(link, connection.host_cid, flight.destination)

    def _ask(self, flight: FirstFlight, address: Address, now: float) -> None:
        if self._asked >= RETRIES_PER_SECOND:
            self.counters["retry limit"] += 1
            return
        self._asked += 1
        source = self._random(CONNECTION_ID_SIZE)
        self.counters["retries"] += 1
        self._answers.append((address, self._retries.ask(flight, source, address, now)))

    # Keeping the tables.

    def _add(self, link: QuicLink, *cids: bytes) -> None:
        self._ids[link] = set(cids)
        for cid in cids:
            self._links[cid] = link
        self.touch(link)

    def _settle(self, link: QuicLink) -> None:
        """Learn a link's connection ids and set its alarm, or forget it."""
        ids = self._ids.get(link)
        if ids is None:
            return
        if link.over:
            for cid in self._ids.pop(link):
                self._links.pop(cid, None)
            self._armed.pop(link, None)
            self._no_longer_half_open(link)
            return
        for cid in link.issued:
            self._links[cid] = link
            ids.add(cid)
        for cid in link.retired:
            self._links.pop(cid, None)
            ids.discard(cid)
        link.issued.clear()
        link.retired.clear()
        due = link.next_timeout()
        half = self._half_open.get(link)
        if half is not None:
            due = half.deadline if due is None else min(due, half.deadline)
        armed = self._armed.get(link)
        if due is not None and (armed is None or due < armed):
            self._sequence += 1
            self._armed[link] = due
            heapq.heappush(self._timers, (due, self._sequence, link))
            if len(self._timers) > SPARE_TIMERS + 4 * len(self._armed):
                # Alarms that were moved forward leave their old entries behind.
                self._timers = [
                    (when, n, each) for n, (each, when) in enumerate(self._armed.items())
                ]
                heapq.heapify(self._timers)

    def _no_longer_half_open(self, link: QuicLink) -> None:
        half = self._half_open.pop(link, None)
        if half is not None:
            self._count(half, -1)

    def _count(self, half: HalfOpen, by: int) -> None:
        if not half.proven:
            self._unproven += by
        elif half.area is not None:
            self._areas[half.area] += by
            if not self._areas[half.area]:
                del self._areas[half.area]


def _one_connection_each(burst: Burst) -> Sequence[Burst]:
    """Cut a burst where the connection changes: the kernel joins by port, not by connection."""
    data, size, address = burst
    if len(data) <= size:
        return (burst,)
    cids = [destination(data, start) for start in range(0, len(data), size)]
    if cids.count(cids[0]) == len(cids):
        return (burst,)
    parts: list[Burst] = []
    first = 0
    for at in range(1, len(cids) + 1):
        if at == len(cids) or cids[at] != cids[first]:
            parts.append(Burst(data[first * size : at * size], size, address))
            first = at
    return parts
