"""A node of the DHT as its user sees it: to start, to ask, to announce with, and to close.

    async with DhtNode(key_pair, udp, bootstrap=["192.0.2.7:49737"]) as node:
        await node.announce(topic, [("203.0.113.5", 49737)])

Everything that it decides, it decides in `core`, which a `driver` moves.

Invariant: what comes to nothing raises a `NetError` that says why. Must not know datagrams.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from random import SystemRandom

from feedlog.keys import KeyPair
from net.addresses import Address, RelayAddress, format_address
from net.carriers.udp import UdpSocket
from net.dht.bootstrap import Bootstrap
from net.dht.core import DhtCore
from net.dht.driver import Driver, OnIntroduction
from net.dht.events import Discovered, Fetched
from net.dht.hashing import peer_topic
from net.dht.outcomes import answer, holders, value_holders
from net.dht.own_hosts import OwnHosts
from net.dht.records import Announcement
from net.dht.value_records import Value
from net.discovery import PeerAddress
from net.errors import DeadlineError, NetError
from net.lifetime import Lifetime
from net.punch.classify import NatReport


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
        self._udp = udp
        self._own = OwnHosts(udp, self._addresses)
        self._bootstrap = Bootstrap(bootstrap, known, self._own.reaches)
        self._core = DhtCore(
            key_pair,
            node_key or KeyPair.generate(),
            rng=SystemRandom(),
            secret=secrets.token_bytes(32),
            now=asyncio.get_running_loop().time(),
            unix=time.time(),
            families=udp.families,
            ephemeral=ephemeral,
            introductions=on_introduction is not None,
            own=None if public or ephemeral else self._own.is_own,
            network_key=network_key,
        )
        self._driver = Driver(self._core, udp, on_introduction)

    async def start(self) -> int:
        """Listen and join the network; returns how many bootstrap and known nodes answered.

        Raises `NetError` when there are bootstrap nodes and nobody answers. The node runs
        all the same then: it can be asked, and keeps trying until it is closed.
        """
        self.listen()
        return await self.join()

    def listen(self) -> None:
        """Answer others from now on. What is asked before `join` has met somebody waits for it."""
        self._driver.start()

    async def join(self) -> int:
        """Join the network, of a node that listens; see `start`."""
        if not self._bootstrap:
            return 0
        number = self._join()
        if self._bootstrap.has_names:
            self._driver.pump()
            await self._bootstrap.resolve()
            self._core.cancel(number, self._driver.now())
            number = self._join()
            self._driver.spawn(self._bootstrap.watch(self._is_alone, self._rejoin))
        finished = await self._driver.run(number)
        if self.bootstrap and not finished.answers:
            raise NetError(f"no bootstrap node answered: {', '.join(self.bootstrap)}")
        return finished.answers

    def look(self) -> None:
        """See at once what is due: this machine may be in another network than before."""
        if self._driver.running:
            self._core.look(self._driver.now())
            self._driver.pump()

    async def close(self) -> None:
        """Stop. Announcements are not withdrawn: they expire, or `unannounce` was called."""
        await self._driver.close()

    @property
    def bootstrap(self) -> tuple[str, ...]:
        """The nodes to join through, as they were named."""
        return self._bootstrap.names

    @property
    def address(self) -> str:
        """The "host:port" that another node on this machine or network can bootstrap from."""
        return format_address(self._own.address(self._core.observed))

    @property
    def observed(self) -> Address | None:
        """Our UDP address as most of the nodes that answered lately see it."""
        return self._core.observed

    @property
    def nat(self) -> NatReport:
        """What kind of router we are behind, from what the nodes see: of IPv4, else of IPv6."""
        return self._own.nat(self._core.reports)

    @property
    def contacts(self) -> list[str]:
        """The nodes in the routing table, which can serve as `bootstrap` another time."""
        return [format_address(address) for address in self._addresses()]

    @property
    def counters(self) -> dict[str, int]:
        """What was answered, refused, malformed, unmatched and silent so far, and records held."""
        return {**self._core.counters, **self._udp.counters, "records held": self._core.held}

    def hosts(self) -> list[str]:
        """Return the hosts at which this machine can be announced, likeliest first."""
        return self._own.hosts(self._core.observed)

    async def announce(
        self, topic: bytes, addresses: Sequence[Address], relays: Sequence[RelayAddress] = ()
    ) -> int:
        """Announce a topic; see `net.discovery.Discovery`."""
        number = self._core.announce(topic, addresses, self._driver.now(), relays)
        return holders(await self._driver.run(number))

    async def unannounce(self, topic: bytes) -> int:
        """Withdraw an announcement; see `net.discovery.Discovery`."""
        return holders(await self._driver.run(self._core.withdraw(topic, self._driver.now())))

    async def publish(self, record: Announcement) -> int:
        """Have an announcement held that somebody else has signed; returns how many hold it.

        Once: whoever signed it renews it. Raises `RefusedError` when all refuse, with the reason.
        """
        return holders(await self._driver.run(self._core.publish(record, self._driver.now())))

    async def lookup(self, topic: bytes) -> AsyncGenerator[PeerAddress]:
        """Yield those who announce a topic; see `net.discovery.Discovery`."""
        async with aclosing(self.records(topic)) as records:
            async for record in records:
                yield PeerAddress(record.public_key, record.addresses, record.relays)

    async def records(self, topic: bytes) -> AsyncGenerator[Announcement]:
        """Yield the announcements of a topic as they were signed, and newer ones of the same."""
        number = self._core.lookup(topic, self._driver.now())
        with self._driver.follow(number) as events:
            while isinstance(event := await events.more(), Discovered):
                record = event.announcement
                if not record.withdrawn:
                    yield record

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
        Returns how many others hold it; with 0, a value that is kept is tried again. Cancelled,
        it keeps what was kept before and nothing else, though some may hold the value already.
        Raises `RefusedError` when one is held that it may not replace, with the reason, or
        nobody takes it.
        """
        number = self._core.put(
            value, self._driver.now(), key_pair=key_pair, salt=salt, seq=seq, cas=cas, keep=keep
        )
        return value_holders(await self._driver.run(number))

    async def get(self, public_key: bytes, salt: bytes = b"") -> AsyncGenerator[Value]:
        """Yield the value that the owner of a key publishes, and newer ones as they turn up."""
        number = self._core.get(public_key, salt, self._driver.now())
        with self._driver.follow(number) as events:
            while isinstance(event := await events.next(), Fetched):
                yield event.value

    async def introduce(
        self,
        topic: bytes,
        public_key: bytes,
        message: bytes,
        *,
        timeout: float = 5.0,  # noqa: ASYNC109 - the error says who is silent
    ) -> bytes:
        """Have a message passed on; see `net.discovery.Introducer`."""
        number = self._core.introduce(topic, public_key, message, self._driver.now())
        with self._driver.follow(number) as events:
            try:
                async with asyncio.timeout(timeout):
                    event = await events.next()
            except TimeoutError:
                raise DeadlineError(f"the peer did not answer within {timeout:g} s") from None
        return answer(event)

    def _join(self) -> int:
        return self._core.join(self._bootstrap.addresses, self._driver.now())

    def _rejoin(self) -> None:
        """Join through where the names of the bootstrap nodes lead now."""
        self._join()
        self._driver.pump()

    def _is_alone(self) -> bool:
        return not len(self._core.table)

    def _addresses(self) -> list[Address]:
        return [entry.contact.address for entry in self._core.table]
