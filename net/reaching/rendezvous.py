"""Punched ways: how a node asks others for a hole between two routers, and is asked.

    carrier = await rendezvous.connect(introducer, topic, public_key)      # initiator
    reply = await rendezvous.asked(message)                                # responder

Both sides' offers travel in a Noise handshake through those who hold the announcement
(`Introducer`); then both punch, and the initiator opens a QUIC connection over the way.
The way is kept alive while that connection uses it, and closed after it. Where the way
begins at a socket of its own (blind probes), that socket has a QUIC port of its own.

Invariant: who may not come (`allow`) costs a handshake in memory and gets no answer; of
those who may, at most MAX_ASKED at a time and MAX_EACH of one key are answered; a way
over which nobody comes is closed after ARRIVAL seconds.
Must not know how messages travel, or what a stream is for. Specified in docs/spec/punch.md.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from random import SystemRandom

from feedlog import KeyPair
from net.addresses import Address, format_address
from net.carriers.base import Carrier
from net.carriers.held import HeldCarrier
from net.carriers.medium import Medium
from net.carriers.punching import Punch, PunchPort, Way
from net.carriers.quic import QuicPort
from net.discovery import Introducer
from net.errors import HandshakeError, NetError
from net.punch.introduction import Introduction
from net.punch.messages import Offer

MAX_ASKED = 64
"""Introductions of others that are being answered or punched for at a time."""
MAX_EACH = 2
"""Of one key: somebody who dials again may have lost our first answer."""
MAX_RATE = 100
"""Introductions a second that are looked into: each costs 1 ms of Diffie-Hellman."""

ARRIVAL = 10.0
"""Seconds that a way is kept for a connection that does not come."""
QUIC_TIMEOUT = 5.0
"""Seconds for the QUIC connection over a way that is known to be good."""

log = logging.getLogger(__name__)


class Rendezvous:
    """All introductions and punched ways of a node, on its one UDP port.

    `offer()` says how we are reached now, `allow(key)` who may come, and `accepted` is
    given the carriers of those who do.
    """

    def __init__(
        self,
        key_pair: KeyPair,
        punching: PunchPort,
        quic: QuicPort,
        *,
        offer: Callable[[], Offer],
        allow: Callable[[bytes], Awaitable[bool]],
        accepted: Callable[[Carrier], None],
    ) -> None:
        self.counters: Counter[str] = Counter()
        """Introductions that were refused, and why."""
        self._key_pair = key_pair
        self._punching, self._quic = punching, quic
        self._offer = offer
        self._allow = allow
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._asking: Counter[bytes] = Counter()
        self._expected: dict[Address, Hole] = {}
        """Ways from the shared port on which a QUIC connection should come, by its source."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._second = 0
        self._looked_into = 0

    async def close(self) -> None:
        """Stop answering and waiting; ways in use end with the ports."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # The one who asks.

    async def connect(self, introducer: Introducer, topic: bytes, public_key: bytes) -> Carrier:
        """Reach the owner of a key through a hole; raises `ConnectError` and other `NetError`."""
        introduction = Introduction.ask(self._key_pair, public_key, self._offer())
        introduction.finish(await introducer.introduce(topic, public_key, introduction.message))
        punch = self._start(introduction)
        hole = Hole(punch)
        try:
            hole.way = way = await punch.punched()
            if way.local:
                hole.quic = QuicPort(way.udp)
            quic = hole.quic or self._quic
            return hole.hold(await quic.connect(way.address, timeout=QUIC_TIMEOUT))
        except BaseException:
            hole.release()
            raise

    def _start(self, introduction: Introduction) -> Punch:
        puncher = introduction.puncher(
            rng=SystemRandom(), secret=secrets.token_bytes(32), now=self._loop.time()
        )
        return self._punching.start(introduction.keys, puncher)

    # The one who is asked.

    async def asked(self, message: bytes) -> bytes | None:
        """Answer an introduction, or keep silent."""
        try:
            introduction = self._look_into(message)
        except HandshakeError as error:
            return self._silence("malformed", error)
        if introduction is None:
            return self._silence("rate")
        key = introduction.remote_key
        if self._asking.total() >= MAX_ASKED or self._asking[key] >= MAX_EACH:
            return self._silence("too many")
        self._asking[key] += 1
        try:
            if not await self._allow(key):
                return self._silence("not allowed")
            introduction.answer(self._offer())
            hole = Hole(self._start(introduction))
        except NetError as error:  # too many punches, or the node is closing
            return self._silence("busy", error)
        finally:
            self._done_with(key)
        self._asking[key] += 1
        task = self._loop.create_task(self._expect(hole))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._done_with(key))
        return introduction.message

    def _look_into(self, message: bytes) -> Introduction | None:
        second = int(self._loop.time())
        if second != self._second:
            self._second, self._looked_into = second, 0
        self._looked_into += 1
        if self._looked_into > MAX_RATE:
            return None
        return Introduction.asked(self._key_pair, message)

    def _silence(self, why: str, error: NetError | None = None) -> bytes | None:
        self.counters[why] += 1
        log.debug("< no answer to an introduction: %s", error or why)
        return None

    def _done_with(self, key: bytes) -> None:
        self._asking[key] -= 1
        if not self._asking[key]:
            del self._asking[key]

    async def _expect(self, hole: Hole) -> None:
        """Punch, and have the way until somebody has come over it."""
        try:
            hole.way = way = await hole.punch.punched()
            if way.local:
                hole.quic = QuicPort(way.udp, lambda carrier: self._came(hole, carrier))
            else:
                self._expected[way.address] = hole
            async with asyncio.timeout(ARRIVAL):
                await hole.came.wait()
        except (NetError, TimeoutError) as error:
            log.debug("= a way was of no use: %s", error)
        finally:
            if hole.way is not None and self._expected.get(hole.way.address) is hole:
                del self._expected[hole.way.address]
            if not hole.came.is_set():
                hole.release()

    def arrived(self, carrier: Carrier) -> None:
        """Take a QUIC carrier that came to the shared port, over a punched way or not."""
        hole = self._expected.get(carrier.address) if carrier.address else None
        if hole is None or hole.came.is_set():
            self._accepted(carrier)
        else:
            self._came(hole, carrier)

    def _came(self, hole: Hole, carrier: Carrier) -> None:
        if hole.came.is_set():  # a second one over a socket that is for one peer
            carrier.abort()
            return
        hole.came.set()
        self._accepted(hole.hold(carrier))


class Hole:
    """A punch, the way that it has found, and who comes over it."""

    def __init__(self, punch: Punch) -> None:
        self.punch = punch
        self.way: Way | None = None
        self.quic: QuicPort | None = None
        """The port of a way that begins at a socket of its own."""
        self.came = asyncio.Event()

    def hold(self, carrier: Carrier) -> Carrier:
        """Keep the way as long as the carrier lives."""
        assert self.way is not None, "somebody came over it"
        where = format_address(self.way.address)
        return HeldCarrier(carrier, self.release, Medium.PUNCHED_QUIC, where)

    def release(self) -> None:
        """Give the way up."""
        if self.quic is not None:
            self.quic.close()
        # In the next turn: the QUIC port may be about to send its last words.
        asyncio.get_running_loop().call_soon(self.punch.close)
