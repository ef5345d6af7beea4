"""The shell around `DhtCore`: moves datagrams, wakes it when it asks for it, hands out events.

Everything that a DHT node decides, it decides in `core`; here are only the socket, the
event loop's clock, and one queue for each running operation.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from random import SystemRandom

from feedlog.keys import KeyPair
from net.addresses import (
    Address,
    RelayAddress,
    canonical,
    format_address,
    is_numeric,
    parse_address,
    reach,
)
from net.carriers.udp import UdpSocket, source_host
from net.dht.codes import REASONS, Code
from net.dht.core import DhtCore
from net.dht.datagrams import DHT_TAG
from net.dht.events import Answered, Discovered, Event, Fetched, Finished
from net.dht.hashing import peer_topic
from net.dht.messenger import Introduction
from net.dht.records import Announcement
from net.dht.value_records import Value
from net.discovery import PeerAddress
from net.errors import ClosedError, DeadlineError, NetError, NotFound, RefusedError
from net.lifetime import Lifetime
from net.punch.classify import NatReport, classify

NAMES_AGAIN = 15.0
"""Seconds between two looks at where names of bootstrap nodes lead, while nobody is known: as often
as the nodes themselves are asked again."""

BEYOND: tuple[Address, ...] = (("192.0.2.1", 9), ("2001:db8::1", 9))
"""Addresses of no host (RFC 5737, RFC 3849): the route to them is the route to everywhere."""

log = logging.getLogger(__name__)

OnIntroduction = Callable[[bytes], Awaitable[bytes | None]]
"""Answers a message that somebody has had passed on to us; None is silence."""


class DhtNode(Lifetime):
    """A node of the DHT on a UDP port, which it shares with other protocols and does not own.

    `bootstrap` names nodes as "host:port"; with none, this node starts a network. `known` are
    nodes that were there another time (`net.finding.contacts` keeps them), and may be gone.
    `ephemeral` nodes ask but do not offer themselves as contacts: for short commands. Nor do
    those that others see at an address which is not of this machine, unless they are `public`:
    reached by everybody all the same, through a port that a router or a cloud forwards.
    With a `network_key` (32 bytes) it speaks only with nodes that have the same.
    `on_introduction` is given the messages that others send to us through those who hold our
    announcements, and returns the answer (at most 512 bytes) or None for silence.
    """

    def __init__(
        self,
        key_pair: KeyPair,
        udp: UdpSocket,
        *,
        bootstrap: Sequence[str] = (),
        known: Sequence[Address] = (),
        node_key: KeyPair | None = None,
        ephemeral: bool = False,
        public: bool = False,
        network_key: bytes | None = None,
        on_introduction: OnIntroduction | None = None,
    ) -> None:
        self.bootstrap = tuple(bootstrap)
        self._names = [parse_address(text) for text in bootstrap]
        self._known = tuple(known)
        self._udp = udp
        self._loop = asyncio.get_running_loop()
        self._queues: dict[int, asyncio.Queue[Event | None]] = {}
        self._on_introduction = on_introduction
        self._answering: set[asyncio.Task[None]] = set()
        self._naming: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._routes: list[str] = []
        """The hosts from which packets to the contacts left when it could last be seen."""
        self._started = self._closed = False
        now = self._loop.time()
        self._core = DhtCore(
            key_pair,
            node_key or KeyPair.generate(),
            rng=SystemRandom(),
            secret=secrets.token_bytes(32),
            now=now,
            unix=time.time(),
            families=udp.families,
            ephemeral=ephemeral,
            introductions=on_introduction is not None,
            own=None if public or ephemeral else self._is_own,
            network_key=network_key,
        )

    async def start(self) -> int:
        """Listen and join the network; returns how many bootstrap and known nodes answered.

        Raises `NetError` when there are bootstrap nodes and nobody answers. The node runs
        all the same then: it can be asked, and keeps trying until it is closed.
        """
        self.listen()
        return await self.join()

    def listen(self) -> None:
        """Answer others from now on. What is asked before `join` has met somebody waits for it."""
        if self._started:
            raise RuntimeError("the DHT node was started before")
        self._started = True
        self._udp.attach(range(DHT_TAG, DHT_TAG + 1), self._received)
        self._pump()

    async def join(self) -> int:
        """Join the network, of a node that listens; see `start`."""
        if not self._names and not self._known:
            return 0
        numeric = [canonical(name) for name in self._names if is_numeric(name[0])]
        numeric += [address for address in self._known if self._reaches(address)]
        number = self._core.join(numeric, self._now())
        named = [name for name in self._names if not is_numeric(name[0])]
        if named:
            self._pump()
            found = await self._resolve(named)
            self._core.cancel(number, self._now())
            number = self._core.join([*numeric, *found], self._now())
            again = self._resolve_again(numeric, named, found)
            self._naming = self._loop.create_task(again)
        finished = await self._run(number)
        if self._names and not finished.answers:
            names = ", ".join(self.bootstrap)
            raise NetError(f"no bootstrap node answered: {names}")
        return finished.answers

    def look(self) -> None:
        """See at once what is due: this machine may be in another network than before."""
        if self._started and not self._closed:
            self._core.look(self._loop.time())
            self._pump()

    async def close(self) -> None:
        """Stop. Announcements are not withdrawn: they expire, or `unannounce` was called."""
        if self._closed:
            return
        self._closed = True
        if self._started:
            self._udp.detach(range(DHT_TAG, DHT_TAG + 1))
        if self._timer is not None:
            self._timer.cancel()
        for queue in self._queues.values():
            queue.put_nowait(None)
        tasks = [*self._answering, *([self._naming] if self._naming else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def address(self) -> str:
        """The "host:port" that another node on this machine or network can bootstrap from."""
        host, port = self._udp.addresses[0]
        if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            host = self.hosts()[0]
        return format_address((host, port))

    @property
    def observed(self) -> Address | None:
        """Our UDP address as most of the nodes that answered lately see it."""
        return self._core.observed

    @property
    def nat(self) -> NatReport:
        """What kind of router we are behind, from what the nodes see: of IPv4, else of IPv6."""
        port = self._udp.addresses[0][1]
        own, reports = [(host, port) for host in self._sources()], self._core.reports
        found = [classify(reports, own, version=v) for v in sorted(self._udp.families)]
        return next((report for report in found if report.public is not None), found[0])

    @property
    def contacts(self) -> list[str]:
        """The nodes in the routing table, which can serve as `bootstrap` another time."""
        return [format_address(entry.contact.address) for entry in self._core.table]

    @property
    def counters(self) -> dict[str, int]:
        """What was answered, refused, malformed, unmatched and silent so far, and records held."""
        return {**self._core.counters, **self._udp.counters, "records held": self._core.held}

    def hosts(self) -> list[str]:
        """Return the hosts at which this machine can be announced, likeliest first.

        They are those that packets to the contacts leave from (what a LAN needs), and the
        host that the contacts see (what the rest needs, if the router lets anyone in).
        """
        sources = self._sources()
        if self._core.observed is not None:
            sources.append(self._core.observed[0])
        hosts = dict.fromkeys(sources)
        # A loopback host is of use only to readers on this machine: last, and first if alone.
        return sorted(hosts, key=lambda host: reach(host) == 0) or ["127.0.0.1"]

    async def announce(
        self, topic: bytes, addresses: Sequence[Address], relays: Sequence[RelayAddress] = ()
    ) -> int:
        """Announce a topic; see `net.discovery.Discovery`."""
        number = self._core.announce(topic, addresses, self._now(), relays)
        return _stored(await self._run(number))

    async def unannounce(self, topic: bytes) -> int:
        """Withdraw an announcement; see `net.discovery.Discovery`."""
        return _stored(await self._run(self._core.withdraw(topic, self._now())))

    async def publish(self, record: Announcement) -> int:
        """Have an announcement held that somebody else has signed; returns how many hold it.

        Once: whoever signed it renews it. Raises `RefusedError` when all refuse, with the reason.
        """
        return _stored(await self._run(self._core.publish(record, self._now())))

    async def lookup(self, topic: bytes) -> AsyncGenerator[PeerAddress]:
        """Yield those who announce a topic; see `net.discovery.Discovery`."""
        async with aclosing(self.records(topic)) as records:
            async for record in records:
                yield PeerAddress(record.public_key, record.addresses, record.relays)

    async def records(self, topic: bytes) -> AsyncGenerator[Announcement]:
        """Yield the announcements of a topic as they were signed, and newer ones of the same."""
        number = self._core.lookup(topic, self._now())
        queue = self._queue(number)
        try:
            while isinstance(event := await self._more(number, queue), Discovered):
                record = event.announcement
                if not record.withdrawn:
                    yield record
        finally:
            self._forget(number)

    async def find(self, public_key: bytes) -> AsyncGenerator[PeerAddress]:
        """Yield the addresses that the owner of a key announces, and newer ones as they turn up."""
        found = self.lookup(peer_topic(public_key))
        try:
            async for peer in found:
                if peer.public_key == public_key:
                    yield peer
        finally:
            await found.aclose()

    async def put(
        self,
        value: bytes,
        *,
        key_pair: KeyPair | None = None,
        salt: bytes = b"",
        seq: int | None = None,
        cas: int | None = None,
        keep: bool = True,
    ) -> int:
        """Publish a value of at most 512 bytes under a key (ours if none is given) and a salt.

        It replaces one with a lower `seq`, below 2**63; without a `seq` the time of day in
        milliseconds is taken. With `cas` it replaces only a value with that seq. A salt of at
        most 32 bytes tells the values of one key apart. While `keep`, and until it is closed,
        this node renews it (256 values at most); one that nobody renews is gone after two hours.
        Returns how many others hold it; with 0, a value that is kept is tried again.
        Raises `RefusedError` when one is held that it may not replace, with the reason, or
        nobody takes it.
        """
        number = self._core.put(
            value, self._now(), key_pair=key_pair, salt=salt, seq=seq, cas=cas, keep=keep
        )
        finished = await self._run(number)
        if finished.obstacle or _OVERTAKEN & dict(finished.refusals).keys():
            reason = finished.obstacle or f"another is held: {_reasons(finished)}"
            raise RefusedError(f"the value was not put: {reason}")
        return _stored(finished, "value")

    async def get(self, public_key: bytes, salt: bytes = b"") -> AsyncGenerator[Value]:
        """Yield the value that the owner of a key publishes, and newer ones as they turn up."""
        number = self._core.get(public_key, salt, self._now())
        queue = self._queue(number)
        try:
            while isinstance(event := await self._next(queue), Fetched):
                yield event.value
        finally:
            self._forget(number)

    async def introduce(
        self,
        topic: bytes,
        public_key: bytes,
        message: bytes,
        *,
        timeout: float = 5.0,  # noqa: ASYNC109 - the error says who is silent
    ) -> bytes:
        """Have a message passed on; see `net.discovery.Introducer`."""
        number = self._core.introduce(topic, public_key, message, self._now())
        queue = self._queue(number)
        try:
            async with asyncio.timeout(timeout):
                event = await self._next(queue)
        except TimeoutError:
            raise DeadlineError(f"the peer did not answer within {timeout:g} s") from None
        finally:
            self._forget(number)
        if isinstance(event, Answered):
            return event.answer
        assert isinstance(event, Finished), "an introduction has two ends"
        raise _unanswered(event)

    def _sources(self) -> list[str]:
        """Return this machine's own hosts, from which packets to the contacts leave."""
        bound = [host for host, _ in self._udp.addresses]
        if all(host not in ("0.0.0.0", "::") for host in bound):  # noqa: S104 - compared, not bound
            return bound
        targets = [entry.contact.address for entry in self._core.table][:16]
        targets += BEYOND
        try:
            routes = [source_host(target) for target in targets if self._reaches(target)]
        except OSError as error:  # no file left to ask with: we are where we were
            log.debug("= no look at the routes of this machine: %s", error)
        else:
            self._routes = [host for host in routes if host is not None]
        return list(self._routes)

    def _now(self) -> float:
        if self._closed or not self._started:
            raise ClosedError("the DHT node is not running")
        now = self._loop.time()
        self._core.set_clock(now, time.time())
        return now

    def _reaches(self, target: Address) -> bool:
        return (6 if ":" in target[0] else 4) in self._udp.families

    async def _resolve(self, names: Sequence[Address]) -> list[Address]:
        """Return where names lead now."""
        asked = (self._loop.getaddrinfo(*name) for name in names)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found = dict.fromkeys(
            canonical(info[4])
            for infos in answers
            if not isinstance(infos, BaseException)
            for info in infos
        )
        return [address for address in found if self._reaches(address)]

    async def _resolve_again(
        self, numeric: Sequence[Address], names: Sequence[Address], before: Sequence[Address]
    ) -> None:
        """While nobody is known, ask where names lead: this machine may be online only now."""
        while True:
            await asyncio.sleep(NAMES_AGAIN)
            if len(self._core.table):
                continue
            found = await self._resolve(names)
            if found and found != before:
                before = found
                self._core.join([*numeric, *found], self._now())
                self._pump()

    def _is_own(self, seen: Address) -> bool:
        """Tell whether an address at which others see us is one of this machine."""
        return seen[0] in self._sources() and seen[1] == self._udp.addresses[0][1]

    async def _run(self, number: int) -> Finished:
        queue = self._queue(number)
        try:
            while not isinstance(event := await self._next(queue), Finished):
                pass
            return event
        finally:
            self._forget(number)

    def _queue(self, number: int) -> asyncio.Queue[Event | None]:
        queue = self._queues[number] = (
            asyncio.Queue()
        )  # an operation ends after a bounded number of events
        self._pump()
        return queue

    async def _next(self, queue: asyncio.Queue[Event | None]) -> Event:
        event = await queue.get()
        if event is None:
            raise ClosedError("the DHT node was closed")
        return event

    async def _more(self, number: int, queue: asyncio.Queue[Event | None]) -> Event:
        """Return what a lookup has found, or have it look for more."""
        if queue.empty():
            self._core.go_on(number, self._now())
            self._pump()
        return await self._next(queue)

    def _forget(self, number: int) -> None:
        del self._queues[number]
        if not self._closed:
            self._core.cancel(number, self._loop.time())
            self._pump()

    def _received(self, datagrams: Sequence[tuple[bytes, Address]]) -> None:
        now = self._loop.time()
        for data, address in datagrams:
            self._core.receive_datagram(data, address, now)
        self._pump()

    def _wake(self) -> None:
        self._timer = None
        now = self._loop.time()
        self._core.set_clock(now, time.time())
        self._core.handle_timeout(now)
        self._pump()

    async def _answer(self, introduction: Introduction) -> None:
        """Ask what to say to a message; a handler that fails is silent and reported as usual."""
        assert self._on_introduction is not None, "without it the core takes no messages"
        answer = None
        try:
            answer = await self._on_introduction(introduction.message)
        finally:
            if not self._closed:
                self._core.answer(introduction.number, answer)
                self._pump()

    def _pump(self) -> None:
        """Send what is to be sent, hand out events, and set the alarm."""
        for data, address in self._core.datagrams_to_send():
            self._udp.send(data, address)
        while (event := self._core.next_event()) is not None:
            if isinstance(event, Introduction):
                task = self._loop.create_task(self._answer(event))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
                continue
            queue = self._queues.get(event.operation)
            if queue is not None:
                queue.put_nowait(event)
        due = self._core.next_timeout()
        if self._timer is not None:
            if self._timer.when() == due:
                return  # as after most datagrams: an answer to others changes nothing
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._wake)


_OVERTAKEN = {Code.STALE, Code.CONFLICT}
"""What a node says that was given another value after the crawl had passed it."""


def _stored(finished: Finished, what: str = "announcement") -> int:
    if finished.stored or not finished.refusals:
        return finished.stored
    raise RefusedError(f"no DHT node holds the {what}: {_reasons(finished)}")


def _reasons(finished: Finished) -> str:
    return "; ".join(f"{count} x {REASONS[code]}" for code, count in finished.refusals)


def _unanswered(finished: Finished) -> NetError:
    """Return why an introduction came to nothing."""
    reasons = dict(finished.refusals)
    others = {code: count for code, count in reasons.items() if code is not Code.NO_ANNOUNCER}
    if finished.silent:
        return DeadlineError(f"the peer, or each of {finished.silent} DHT nodes, is silent")
    if others:
        said = "; ".join(f"{count} x {REASONS[code]}" for code, count in others.items())
        return RefusedError(f"no DHT node passed the message on: {said}")
    tried = [f"{finished.answers} DHT nodes"]
    return NotFound("no announcement of a peer that takes introductions", tried)
