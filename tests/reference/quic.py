"""QUIC without a network: endpoints joined by a wire that a test can bend; and with loopback.

The wire carries datagrams in order at once, unless `lose`, `mangle` or `move` say otherwise,
and keeps the clock.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from net.addresses import Address
from net.carriers import Carrier
from net.carriers.certificate import make_certificate
from net.carriers.quic import QuicPort
from net.carriers.quic_endpoint import QuicEndpoint
from net.carriers.quic_link import LinkData, LinkEvent, LinkOpened, QuicLink
from net.carriers.segments import Burst
from net.carriers.udp import UdpSocket

CERTIFICATE = make_certificate()

NEAR, FAR = ("192.0.2.1", 1001), ("198.51.100.1", 2002)


@asynccontextmanager
async def quic_pair(
    host: str = "127.0.0.1", *, offload: bool = True
) -> AsyncIterator[tuple[Carrier, Carrier]]:
    """A client's and a server's carrier over loopback."""
    accepted: asyncio.Future[Carrier] = asyncio.get_running_loop().create_future()
    near, far = [await UdpSocket.open(host, offload=offload) for _ in range(2)]
    ports = QuicPort(near), QuicPort(far, accepted.set_result)
    yield await ports[0].connect(far.addresses[0]), await accepted
    for thing in (*ports, near, far):
        thing.close()


def make_endpoint(seed: int = 0, *, accepting: bool = True) -> QuicEndpoint:
    return QuicEndpoint(
        CERTIFICATE,
        secret=bytes([seed] * 32),
        random=random.Random(seed).randbytes,
        accepting=accepting,
    )


class QuicWire:
    """Two endpoints and what is between them."""

    def __init__(self, *, accepting: bool = True) -> None:
        self.now = 1000.0
        self.ends = {
            NEAR: make_endpoint(1, accepting=False),
            FAR: make_endpoint(2, accepting=accepting),
        }
        self.events: dict[Address, list[tuple[QuicLink, LinkEvent]]] = {NEAR: [], FAR: []}
        self.lose: Callable[[bytes], bool] = lambda _: False
        self.mangle: Callable[[bytes], bytes] = lambda data: data
        self.seen_as: dict[Address, Address] = {}
        """How an end's address looks from outside; both ways, as a NAT does it."""
        self.flying: deque[tuple[Address, Address, bytes]] = deque()
        self.carried = 0

    @property
    def near(self) -> QuicEndpoint:
        return self.ends[NEAR]

    @property
    def far(self) -> QuicEndpoint:
        return self.ends[FAR]

    def collect(self) -> None:
        for address, end in self.ends.items():
            while (told := end.next_event()) is not None:
                self.events[address].append(told)
            for to, datagrams in end.datagrams_to_send(self.now):
                self.flying += [(address, to, data) for data in datagrams]

    def run(self, most: int = 100_000) -> None:
        """Carry datagrams until no more come."""
        self.collect()
        inside = {outside: inner for inner, outside in self.seen_as.items()}
        while self.flying and most:
            most -= 1
            source, to, data = self.flying.popleft()
            if not self.lose(data):
                data = self.mangle(data)
                self.carried += len(data)
                end = self.ends.get(inside.get(to, to))
                if end is not None:
                    source = self.seen_as.get(source, source)
                    end.receive([Burst(data, len(data), source)], self.now)
            self.collect()

    def pass_time(self, seconds: float, step: float = 0.05) -> None:
        """Let time go by, and timers with it."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + step)
            for end in self.ends.values():
                end.handle_timeout(self.now)
            self.run()

    def connect(self) -> tuple[QuicLink, QuicLink]:
        """Open a connection and return both of its ends, reading."""
        ours = self.near.connect(FAR, self.now)
        before = len(self.events[FAR])
        self.run()
        opened = [link for link, e in self.events[FAR][before:] if isinstance(e, LinkOpened)]
        for link, end in ((ours, self.near), (opened[0], self.far)):
            link.release()
            end.touch(link)
        self.run()
        return ours, opened[0]

    def received(self, address: Address, link: QuicLink) -> bytes:
        """The bytes that a link has given out."""
        told = [event for owner, event in self.events[address] if owner is link]
        return b"".join(bytes(event.data) for event in told if isinstance(event, LinkData))

    def told(self, address: Address, link: QuicLink) -> list[LinkEvent]:
        """What a link has said besides data."""
        told = [event for owner, event in self.events[address] if owner is link]
        return [event for event in told if not isinstance(event, LinkData)]
