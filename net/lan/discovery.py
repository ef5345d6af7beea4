"""The shell around `LanCore`: sockets on each interface, the loop's clock, a queue a lookup.

    lan = LanDiscovery(key_pair, ["0.0.0.0"])
    await lan.start()

A `Discovery` for one local network, which works without a DHT, a server, or a way out. Who
knows `secret` is a member of a network of its own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from random import SystemRandom

from feedlog.keys import KeyPair
from net.addresses import Address, RelayAddress
from net.discovery import PeerAddress
from net.errors import ClosedError, ListenError
from net.lan.core import Event, LanCore, Over
from net.lan.hashing import groups
from net.lan.links import MulticastSocket, open_sockets
from net.lan.messages import SENDER_SIZE
from net.lifetime import Lifetime

REFRESH = 5.0
"""Seconds between two looks at which interfaces there are."""

MAX_DRAIN = 64
"""Datagrams read in one turn of the loop, before other work gets its own."""


log = logging.getLogger(__name__)


class LanDiscovery(Lifetime):
    """Finds peers on the networks that this machine is plugged into.

    `hosts` are those that the node listens on: "0.0.0.0" and "::" mean every interface, an
    IPv4 host the one that has it.
    """

    def __init__(
        self,
        key_pair: KeyPair,
        hosts: Sequence[str],
        *,
        secret: bytes = b"",
    ) -> None:
        self._hosts = tuple(hosts)
        self._loop = asyncio.get_running_loop()
        self._core = LanCore(
            key_pair,
            sender=secrets.token_bytes(SENDER_SIZE),
            rng=SystemRandom(),
            now=self._loop.time(),
            unix=time.time(),
            secret=secret,
        )
        self._sockets: list[MulticastSocket] = []
        self._queues: dict[int, asyncio.Queue[Event | None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._refresher: asyncio.TimerHandle | None = None
        self._started = self._closed = False

    async def start(self) -> None:
        """Join the group; raises `ListenError` when this machine cannot, on any host."""
        if self._started or self._closed:
            raise RuntimeError("local discovery was started before")
        failures = self._open()
        if not self._sockets:
            raise ListenError("; ".join(failures) or "no host to join a local network from")
        self._started = True
        self._refresher = self._loop.call_later(REFRESH, self._refresh)

    async def close(self) -> None:
        """Leave. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        for timer in (self._timer, self._refresher):
            if timer is not None:
                timer.cancel()
        for sock in self._sockets:
            self._close(sock)
        for queue in self._queues.values():
            queue.put_nowait(None)

    @property
    def interfaces(self) -> list[str]:
        """The names of the interfaces that take part."""
        return sorted({name for sock in self._sockets for name in sock.interfaces})

    @property
    def counters(self) -> Counter[str]:
        """What was malformed, over a limit, or could not be sent."""
        return sum((sock.counters for sock in self._sockets), Counter(self._core.counters))

    async def announce(
        self, topic: bytes, addresses: Sequence[Address], relays: Sequence[RelayAddress] = ()
    ) -> int:
        """Announce a topic; see `net.discovery.Discovery`. Returns 0: nobody says that he heard."""
        self._core.announce(topic, addresses, self._now(), relays)
        self._pump()
        return 0

    async def unannounce(self, topic: bytes) -> int:
        """Answer for a topic no more; returns 0, for nobody holds it and need be told."""
        self._now()
        self._core.withdraw(topic)
        return 0

    async def lookup(self, topic: bytes) -> AsyncGenerator[PeerAddress]:
        """Yield those who announce a topic; see `net.discovery.Discovery`. Takes a second."""
        number = self._core.lookup(topic, self._now())
        queue = self._queues[number] = asyncio.Queue()  # a lookup has a bounded number of events
        self._pump()
        try:
            while not isinstance(event := await queue.get(), Over):
                if event is None:
                    raise ClosedError("local discovery was closed")
                yield event.peer
        finally:
            del self._queues[number]
            self._core.cancel(number)

    def _now(self) -> float:
        if self._closed or not self._started:
            raise ClosedError("local discovery is not running")
        now = self._loop.time()
        self._core.set_clock(now, time.time())
        return now

    def _readable(self, sock: MulticastSocket) -> None:
        now = self._loop.time()
        for data, address in sock.receive(MAX_DRAIN):
            self._core.receive_datagram(data, address, now)
        self._pump()

    def _open(self) -> list[str]:
        """Open a socket for each host that has none; returns why some have none then."""
        served = {sock.host for sock in self._sockets}
        missing = [host for host in self._hosts if host not in served]
        opened, failures = open_sockets(missing, groups(self._core.key))
        for sock in opened:
            self._loop.add_reader(sock.socket.fileno(), self._readable, sock)
        self._sockets += opened
        return failures

    def _close(self, sock: MulticastSocket) -> None:
        self._loop.remove_reader(sock.socket.fileno())
        sock.close()

    def _refresh(self) -> None:
        """Take part on interfaces that have come, also in place of others."""
        self._refresher = self._loop.call_later(REFRESH, self._refresh)
        for sock in [sock for sock in self._sockets if sock.is_stranded()]:
            log.warning("%s is on another interface: its multicast is opened anew", sock.host)
            self._sockets.remove(sock)
            self._close(sock)
        fresh = [sock.refresh() for sock in self._sockets]
        before = len(self._sockets)
        self._open()
        if any(fresh) or len(self._sockets) > before:
            self._core.tell_all(self._loop.time())
            self._pump()

    def _pump(self) -> None:
        """Do what is due, send what is to be sent, hand out events, and set the alarm."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed:
            return
        self._core.handle_timeout(self._loop.time())
        datagrams = self._core.datagrams_to_send()
        if datagrams:
            for sock in self._sockets:
                sock.send(datagrams)
        while (event := self._core.next_event()) is not None:
            queue = self._queues.get(event.lookup)
            if queue is not None:
                queue.put_nowait(event)
        due = self._core.next_timeout()
        if due is not None:
            self._timer = self._loop.call_at(due, self._pump)
