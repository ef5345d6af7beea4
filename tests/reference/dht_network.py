"""A network of DHT cores with its own clock: datagrams travel, get lost and late, from a seed.

No socket, no sleeping: `run` takes the next datagram or timer in order of time until nothing is
left before a moment. Every run with one seed is the same run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from feedlog.keys import KeyPair
from net.addresses import Address
from net.dht.core import DhtCore
from net.dht.events import Discovered, Event, Finished
from net.dht.messenger import Introduction
from net.dht.records import Announcement

UNIX = 1_800_000_000.0

TOPIC = bytes(range(20))
HERE = ("9.9.9.9", 4000)
"""What is announced, and where it is, if nothing else is said."""


class Party(Protocol):
    """Whatever lives at an address."""

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None: ...
    def datagrams_to_send(self) -> list[tuple[bytes, Address]]: ...
    def next_timeout(self) -> float: ...
    def handle_timeout(self, now: float) -> None: ...


def address_of(number: int) -> Address:
    """Return a public address; each number is in a /24 of its own."""
    return f"{20 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.7", 4000


@dataclass
class Network:
    seed: int = 0
    loss: float = 0.0
    delay: tuple[float, float] = (0.005, 0.04)
    duplicate: float = 0.0
    now: float = 1000.0
    parties: dict[Address, Party] = field(default_factory=dict)
    sent: int = 0
    network_key: bytes | None = None
    introductions: list[tuple[Address, Introduction]] = field(default_factory=list)
    tap: Callable[[bytes, Address, Address], None] | None = None

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self._heap: list[tuple[float, int, Address, tuple[bytes, Address] | None]] = []
        self._count = 0
        self._alarms: dict[Address, float] = {}
        self._numbers = 0

    def key_pair(self) -> KeyPair:
        return KeyPair.from_seed(self.rng.randbytes(32))

    def core(
        self, *, ephemeral: bool = False, own: Callable[[Address], bool] | None = None
    ) -> DhtCore:
        return DhtCore(
            self.key_pair(),
            self.key_pair(),
            rng=Random(self.rng.random()),
            secret=self.rng.randbytes(32),
            now=self.now,
            unix=UNIX + self.now,
            families=frozenset((4, 6)),
            ephemeral=ephemeral,
            own=own,
            network_key=self.network_key,
        )

    def place(self, party: Party, address: Address | None = None) -> Address:
        if address is None:
            address = address_of(self._numbers)
            self._numbers += 1
        self.parties[address] = party
        self.pump(address)
        return address

    def add(
        self, bootstrap: Address | None, *, address: Address | None = None, ephemeral: bool = False
    ) -> tuple[DhtCore, Address]:
        """Add an honest node and have it join."""
        core = self.core(ephemeral=ephemeral)
        address = self.place(core, address)
        if bootstrap is not None:
            self.finish(address, core.join([bootstrap], self.now))
        return core, address

    def build(self, count: int) -> list[tuple[DhtCore, Address]]:
        nodes = [self.add(None)]
        while len(nodes) < count:
            nodes.append(self.add(nodes[0][1]))
        return nodes

    def kill(self, address: Address) -> None:
        del self.parties[address]

    def send(self, data: bytes, source: Address, target: Address) -> None:
        """Put a datagram on the way, from whatever address it says."""
        self.sent += 1
        if self.tap is not None:
            self.tap(data, source, target)
        copies = 2 if self.rng.random() < self.duplicate else 1
        for _ in range(copies):
            if self.rng.random() >= self.loss:
                when = self.now + self.rng.uniform(*self.delay)
                self._push(when, target, (data, source))

    def pump(self, address: Address) -> None:
        """Send what a party wants to send and set its alarm."""
        party = self.parties.get(address)
        if party is None:
            return
        for data, target in party.datagrams_to_send():
            self.send(data, address, target)
        alarm = party.next_timeout()
        if self._alarms.get(address) != alarm:
            self._alarms[address] = alarm
            self._push(alarm, address, None)

    def run(self, until: float, stop: Callable[[], bool] = lambda: False) -> None:
        while self._heap and self._heap[0][0] <= until and not stop():
            when, _, address, parcel = heapq.heappop(self._heap)
            self.now = max(self.now, when)
            party = self.parties.get(address)
            if party is None:
                continue
            if parcel is not None:
                party.receive_datagram(*parcel, self.now)
            elif self._alarms.get(address) == when:
                del self._alarms[address]
                party.handle_timeout(self.now)
            self.pump(address)
        if not stop():
            self.now = max(self.now, until)

    def finish(self, address: Address, operation: int, limit: float = 60.0) -> Finished:
        """Run until an operation of a core is over."""
        return self.collect(address, operation, limit)[1]

    def collect(
        self, address: Address, operation: int, limit: float = 60.0
    ) -> tuple[list[Announcement], Finished]:
        """Run until an operation is over; return what it discovered, in order, and its end."""
        core = self.parties[address]
        assert isinstance(core, DhtCore)
        found: list[Announcement] = []
        end: list[Finished] = []

        def drain() -> bool:
            event: Event | Introduction | None
            while (event := core.next_event()) is not None:
                if isinstance(event, Introduction):
                    self.introductions.append((address, event))
                elif event.operation != operation:
                    continue
                elif isinstance(event, Discovered):
                    found.append(event.announcement)
                    core.go_on(operation, self.now)
                    self.pump(address)
                elif isinstance(event, Finished):
                    end.append(event)
            return bool(end)

        self.pump(address)
        self.run(self.now + limit, drain)
        assert end, f"operation {operation} has not ended within {limit} s"
        return found, end[0]

    def _push(self, when: float, address: Address, parcel: tuple[bytes, Address] | None) -> None:
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, address, parcel))


def lookup(network: Network, reader: tuple[DhtCore, Address], topic: bytes = TOPIC) -> list[bytes]:
    """Return the keys of those whose announcements of a topic a node finds."""
    core, address = reader
    found, _ = network.collect(address, core.lookup(topic, network.now))
    return [record.public_key for record in found]


def announce(network: Network, node: tuple[DhtCore, Address], topic: bytes = TOPIC) -> int:
    """Have a node announce a topic; returns how many others hold it."""
    core, address = node
    return network.finish(address, core.announce(topic, [HERE], network.now)).stored
