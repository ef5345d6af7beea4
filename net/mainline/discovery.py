"""Finding peers through the BitTorrent Mainline DHT, so that nobody need run a bootstrap node.

    mainline = MainlineDiscovery(key_pair)
    await mainline.start()

A `Discovery` whose announcements are the same signed records as in our own DHT, kept by strangers
as BEP 44 items: one under the peer's own key, and for topics one of a few under a key that
everybody makes of the topic. Publishing takes seconds, so `announce` does not wait for it.

Must not know how libtorrent works, or what is at an address.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from random import SystemRandom

from feedlog.keys import KeyPair
from net.addresses import Address, RelayAddress, canonical
from net.dht.hashing import peer_topic
from net.dht.records import (
    MAX_ADDRESSES,
    MAX_LIFETIME,
    Announcement,
    fitting,
    sign_announcement,
)
from net.discovery import PeerAddress, check_topic
from net.errors import ClosedError, DeadlineError
from net.lifetime import Lifetime
from net.mainline.hashing import PEER_SALT, slot_salt, topic_seed
from net.mainline.session import PUBLIC, MainlineSession, interfaces_for
from net.mainline.slots import SLOTS, choose_slot, read_slot

RENEW_AFTER = 1200.0
"""Seconds after which a record is published again: a third of its life."""
CHECK_AFTER = 60.0
"""Seconds after which it is the first time: somebody may have chosen the same slot in the same
moment."""
RETRY_AFTER = 5.0
"""Seconds after which one is tried again that nobody took; doubling, up to RENEW_AFTER."""

MAX_PUBLISHING = 4
"""Topics that are published at a time."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Own:
    """A topic that we announce."""

    addresses: tuple[Address, ...]
    relays: tuple[RelayAddress, ...]
    task: asyncio.Task[None] | None = None
    slot: int | None = None


class MainlineDiscovery(Lifetime):
    """Announces and looks up in the Mainline DHT, from a UDP port of its own.

    `bootstrap` names Mainline nodes as "host:port"; `private` is for networks of one's own, where
    many nodes share few addresses. `interfaces` are "host:port" to listen on; port 0 takes any.
    By default it is every host, or the loopback one where all bootstrap nodes are.
    """

    def __init__(
        self,
        key_pair: KeyPair,
        *,
        bootstrap: Sequence[str] = PUBLIC,
        interfaces: Sequence[str] | None = None,
        private: bool = False,
    ) -> None:
        self._key_pair = key_pair
        where = interfaces_for(bootstrap) if interfaces is None else interfaces
        self._options = tuple(bootstrap), tuple(where), private
        self._rng = SystemRandom()
        self._session: MainlineSession | None = None
        self._own: dict[bytes, _Own] = {}
        self._turns = asyncio.Semaphore(MAX_PUBLISHING)
        self._seq = 0
        self._closed = False

    async def start(self) -> None:
        """Take part in the network. Whether it can be reached shows when it is used."""
        if self._session is not None or self._closed:
            raise RuntimeError("Mainline discovery was started before")
        bootstrap, interfaces, private = self._options
        self._session = MainlineSession(bootstrap, interfaces, private=private)

    async def close(self) -> None:
        """Stop announcing and looking. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        tasks = [own.task for own in self._own.values() if own.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> MainlineSession:
        """The node of the Mainline DHT."""
        if self._session is None or self._closed:
            raise ClosedError("Mainline discovery is not running")
        return self._session

    async def announce(
        self, topic: bytes, addresses: Sequence[Address], relays: Sequence[RelayAddress] = ()
    ) -> int:
        """Announce a topic; see `net.discovery.Discovery`. Returns 0: it is published by and by."""
        check_topic(topic)
        _ = self.session
        if not addresses and not relays:
            raise ValueError("an announcement has an address or a relay")
        waits = tuple(RelayAddress(key, canonical(address)) for key, address in relays)
        chosen = fitting([canonical(address) for address in addresses], waits)
        before = self._own.get(topic)
        own = self._own[topic] = _Own(chosen, waits, slot=None if before is None else before.slot)
        own.task = asyncio.create_task(self._keep(topic, own))
        if before is not None:
            await _end(before)
        return 0

    async def unannounce(self, topic: bytes) -> int:
        """Withdraw an announcement; returns how many nodes were told."""
        check_topic(topic)
        own = self._own.pop(topic, None)
        if own is None:
            return 0
        await _end(own)
        nothing = _Own((), (), slot=own.slot)
        return await self._put(topic, self._sign(topic, nothing), nothing.slot)

    async def lookup(self, topic: bytes) -> AsyncGenerator[PeerAddress]:
        """Yield those who announce a topic; see `net.discovery.Discovery`. Takes seconds."""
        check_topic(topic)
        places = [(_topic_key(topic).public_key, slot_salt(slot)) for slot in range(SLOTS)]
        async with contextlib.aclosing(self._records(topic, places)) as records:
            async for record in records:
                yield PeerAddress(record.public_key, record.addresses, record.relays)

    async def find(self, public_key: bytes) -> AsyncGenerator[PeerAddress]:
        """Yield where the owner of a key listens, from the item that nobody else can write."""
        places = [(public_key, PEER_SALT)]
        async with contextlib.aclosing(self._records(peer_topic(public_key), places)) as records:
            async for record in records:
                if record.public_key == public_key:
                    yield PeerAddress(public_key, record.addresses, record.relays)

    # Reading.

    async def _records(
        self, topic: bytes, places: Sequence[tuple[bytes, bytes]]
    ) -> AsyncGenerator[Announcement]:
        """Yield the live records of others at some places, and newer ones as they turn up."""
        found: asyncio.Queue[Announcement | None] = asyncio.Queue()  # each place's walk is bounded
        newest: dict[bytes, int] = {self._key_pair.public_key: 2**64}
        session = self.session

        async def read(place: tuple[bytes, bytes]) -> None:
            async with contextlib.aclosing(session.values(place)) as values:
                async for value in values:
                    record = read_slot(value, topic, time.time())
                    if record is not None:
                        found.put_nowait(record)

        tasks = [asyncio.create_task(read(place)) for place in places]
        for task in tasks:
            task.add_done_callback(lambda _: found.put_nowait(None))
        try:
            left = len(tasks)
            while left:
                record = await found.get()
                if record is None:
                    left -= 1
                elif newest.get(record.public_key, -1) < record.seq:
                    newest[record.public_key] = record.seq
                    yield record
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._closed:
            raise ClosedError("Mainline discovery was closed")

    # Publishing.

    async def _keep(self, topic: bytes, own: _Own) -> None:
        """Publish a topic's record and renew it, until cancelled."""
        wait, retry = CHECK_AFTER, RETRY_AFTER
        while True:
            stored = await self._publish(topic, own)
            if stored:
                pause, wait, retry = wait, RENEW_AFTER, RETRY_AFTER
            else:
                pause, retry = retry, min(2 * retry, RENEW_AFTER)
            await asyncio.sleep(pause * self._rng.uniform(0.8, 1.0))

    async def _publish(self, topic: bytes, own: _Own) -> int:
        stored = 0
        async with self._turns:
            try:
                own.slot = await self._choose(topic)
                stored = await self._put(topic, self._sign(topic, own), own.slot)
            except DeadlineError as error:
                log.debug("= %s is not published: %s", topic.hex()[:16], error)
        log.debug("= %s is held by %d Mainline nodes", topic.hex()[:16], stored)
        return stored

    async def _choose(self, topic: bytes) -> int | None:
        key = _topic_key(topic).public_key
        slots = [self._read(topic, (key, slot_salt(slot))) for slot in range(SLOTS)]
        held = await asyncio.gather(*slots)
        return choose_slot(held, self._key_pair.public_key, self._rng)

    async def _read(self, topic: bytes, place: tuple[bytes, bytes]) -> Announcement | None:
        record = None
        async with contextlib.aclosing(self.session.values(place)) as values:
            async for value in values:
                record = read_slot(value, topic, time.time())
        return record

    def _sign(self, topic: bytes, own: _Own) -> Announcement:
        unix = time.time()
        self._seq = max(int(unix * 1000), self._seq + 1)
        addresses = self._seen_from_outside(own.addresses)
        chosen = fitting(addresses, own.relays)
        expiry = int(unix) + MAX_LIFETIME
        return sign_announcement(
            self._key_pair, topic, chosen, own.relays, seq=self._seq, expiry=expiry
        )

    def _seen_from_outside(self, addresses: tuple[Address, ...]) -> list[Address]:
        """Add the host that Mainline nodes see, with our ports: a router may let them in."""
        outside = self.session.external
        ports = dict.fromkeys(port for _, port in addresses)
        seen = [] if outside is None else [canonical((outside, port)) for port in ports]
        return list(dict.fromkeys([*addresses, *seen]))[:MAX_ADDRESSES]

    async def _put(self, topic: bytes, record: Announcement, slot: int | None) -> int:
        """Write a record into our slot, and our own addresses under our own key, too."""
        places = [] if slot is None else [(_topic_key(topic), slot_salt(slot))]
        if topic == peer_topic(self._key_pair.public_key):
            places.append((self._key_pair, PEER_SALT))
        puts = (self.session.put(pair, salt, record.raw) for pair, salt in places)
        return max(await asyncio.gather(*puts), default=0)


def _topic_key(topic: bytes) -> KeyPair:
    return KeyPair.from_seed(topic_seed(topic))


async def _end(own: _Own) -> None:
    if own.task is not None:
        own.task.cancel()
        await asyncio.gather(own.task, return_exceptions=True)
