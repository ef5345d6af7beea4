"""Discovery through relays, for a node that the DHT cannot hear: its UDP is blocked.

    discovery = RelayDiscovery(key_pair, links)     # links(): streams to relays, best first

Records are signed here and verified here, so a relay can hide peers and invent none. A
second relay is asked where the first fails.

Nobody can be introduced to such a node: an introduction leads to a punched way, which is
UDP. It is reached through the relays that its announcements name.

Invariant: what is announced is renewed until it is withdrawn, whichever relays come and go.
Must not know how relays are found or reached.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from random import SystemRandom

from feedlog.errors import DecodeError
from feedlog.keys import KeyPair
from net.addresses import Address, RelayAddress
from net.dht.publications import Publications
from net.dht.records import fitting, parse_announcement
from net.discovery import PeerAddress, check_topic
from net.errors import ClosedError, NetError, ProtocolError
from net.relay.link import RelayLink
from net.relay.questions import Kind

TICK = 5.0
"""Seconds between two looks at which announcements are due."""

log = logging.getLogger(__name__)


class RelayDiscovery:
    """Announces and looks up through relays; see `net.discovery.Discovery`."""

    def __init__(self, key_pair: KeyPair, links: Callable[[], Sequence[RelayLink]]) -> None:
        self._key_pair = key_pair
        self._links = links
        self._loop = asyncio.get_running_loop()
        self._publications = Publications(key_pair, SystemRandom())
        self._renewing: asyncio.Task[None] | None = None
        self._closed = False

    async def announce(
        self, topic: bytes, addresses: Sequence[Address], relays: Sequence[RelayAddress] = ()
    ) -> int:
        """Announce a topic; with no relay at hand it is kept and tried again."""
        check_topic(topic)
        self._publications.put(topic, fitting(addresses, relays), self._now(), relays)
        if self._renewing is None:
            self._renewing = self._loop.create_task(self._renew())
        return await self._spread(topic)

    async def unannounce(self, topic: bytes) -> int:
        """Withdraw an announcement."""
        check_topic(topic)
        self._now()
        self._publications.drop(topic)
        return await self._spread(topic)

    async def lookup(self, topic: bytes) -> AsyncGenerator[PeerAddress]:
        """Yield those who announce a topic; raises `NetError` when every relay fails."""
        check_topic(topic)
        self._now()
        failure: NetError | None = None
        for link in self._links():
            try:
                async with aclosing(link.request(Kind.LOOKUP, topic)) as answers:
                    async for raw in answers:
                        yield _peer(raw, topic)
            except NetError as error:
                failure = error
                log.debug("= lookup by a relay: %s", error)
            else:
                return
        if failure is not None:
            raise failure

    async def close(self) -> None:
        """Stop renewing. Closing twice is harmless."""
        self._closed = True
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)

    def relays_changed(self) -> None:
        """Announce at once what no relay has passed on yet."""
        self._publications.hurry(self._loop.time())

    async def _spread(self, topic: bytes) -> int:
        """Sign the record of a topic and have it held; 0 where there is no relay to ask."""
        now = self._loop.time()
        record = self._publications.sign(topic, now, time.time())
        failure: NetError | None = None
        for link in self._links():
            try:
                count = await link.told(Kind.ANNOUNCE, record.raw)
            except NetError as error:
                failure = error
            else:
                holder = [link.stream.remote_key] if count else []
                self._publications.spread(record, holder, self._loop.time())
                return count
        if failure is not None:
            raise failure
        return 0

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            for topic in self._publications.due(self._loop.time()):
                try:
                    await self._spread(topic)
                except NetError as error:
                    log.debug("= announcement by a relay: %s", error)

    def _now(self) -> float:
        if self._closed:
            raise ClosedError("the discovery is closed")
        return self._loop.time()


def _peer(raw: bytes, topic: bytes) -> PeerAddress:
    """Read an answer; raises `ProtocolError` for one that an honest relay does not give."""
    try:
        record = parse_announcement(raw)
    except DecodeError as error:
        raise ProtocolError(f"a relay answered with a bad record: {error}") from error
    if record.topic != topic or record.withdrawn:
        raise ProtocolError("a relay answered with a record of another topic")
    return PeerAddress(record.public_key, record.addresses, record.relays)
