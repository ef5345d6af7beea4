"""What a relay does for clients whose UDP is blocked: it asks the DHT, and tells it, for them.

    kind  asks for                                 data                items       done
    0     an announcement to be held               a signed record     none        holders
    1     the announcements of a topic             topic (20 bytes)    records     their number

The relay passes on what was signed and cannot make or change a record: clients verify
what they get, and it verifies what it is given before the DHT hears of it.

Invariant: a client publishes records of its own key only; its requests are limited in rate
(`RATE`), as are the records of one answer (`MAX_RECORDS`).
Must not know streams or circuits. Specified in docs/spec/relay.md, section 6.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from feedlog.errors import DecodeError
from net.dht.records import MAX_LIFETIME, Announcement, parse_announcement
from net.discovery import check_topic
from net.errors import NetError
from net.relay.messages import Code, Done, Item, Request

MAX_RECORDS = 64
"""Of one lookup."""

RATE = 2.0
"""Requests a second of one client; each costs the relay some forty datagrams."""
BURST = 64.0
"""Requests at once: a client that comes back announces all that it shares."""
MAX_CLIENTS = 1024
"""Clients whose rate is remembered, those that asked last."""


class Kind(enum.IntEnum):
    """What a client asks for."""

    ANNOUNCE = 0
    LOOKUP = 1


class Records(Protocol):
    """The DHT, as far as it is needed here; `net.dht.node.DhtNode` is one."""

    async def publish(self, record: Announcement) -> int:
        """Have an announcement held that somebody else has signed; returns by how many."""

    def records(self, topic: bytes) -> AsyncGenerator[Announcement]:
        """Yield the announcements of a topic."""


class RelayQuestions:
    """Answers the questions of clients from the DHT."""

    def __init__(self, dht: Records) -> None:
        self._dht = dht
        self._left: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    async def ask(self, public_key: bytes, request: Request) -> AsyncGenerator[Item | Done]:
        """Answer a question of the owner of that key; the last answer is a Done."""
        number = request.number
        if not self._within_rate(public_key, asyncio.get_running_loop().time()):
            reason = f"more than {RATE:g} requests a second, the limit"
            yield Done(number, code=Code.REQUESTS, reason=reason)
            return
        try:
            match request.kind:
                case Kind.ANNOUNCE:
                    yield await self._announce(public_key, request)
                case Kind.LOOKUP:
                    async with aclosing(self._lookup(request)) as answers:
                        async for answer in answers:
                            yield answer
                case _:
                    reason = f"request of kind {request.kind} is not known here"
                    yield Done(number, code=Code.BAD_REQUEST, reason=reason)
        except NetError as error:
            yield Done(number, code=Code.FAILED, reason=str(error)[:160])

    async def _announce(self, public_key: bytes, request: Request) -> Done:
        try:
            record = parse_announcement(request.data)
        except DecodeError as error:
            return Done(request.number, code=Code.BAD_REQUEST, reason=str(error)[:160])
        if record.public_key != public_key:
            reason = "the record was signed by another key than the client's"
            return Done(request.number, code=Code.BAD_REQUEST, reason=reason)
        ahead = record.expiry - int(time.time())
        if not 0 < ahead <= MAX_LIFETIME:
            reason = f"the record expires in {ahead} s, not within {MAX_LIFETIME} s"
            return Done(request.number, code=Code.BAD_REQUEST, reason=reason)
        return Done(request.number, await self._dht.publish(record))

    async def _lookup(self, request: Request) -> AsyncGenerator[Item | Done]:
        try:
            check_topic(request.data)
        except ValueError as error:
            yield Done(request.number, code=Code.BAD_REQUEST, reason=str(error))
            return
        count = 0
        async with aclosing(self._dht.records(request.data)) as records:
            async for record in records:
                yield Item(request.number, record.raw)
                count += 1
                if count == MAX_RECORDS:
                    break
        yield Done(request.number, count)

    def _within_rate(self, public_key: bytes, now: float) -> bool:
        left, last = self._left.pop(public_key, (BURST, now))
        left = min(BURST, left + (now - last) * RATE)
        self._left[public_key] = (left - 1.0 if left >= 1.0 else left, now)
        while len(self._left) > MAX_CLIENTS:
            self._left.popitem(last=False)
        return left >= 1.0
