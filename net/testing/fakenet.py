"""A network of hosts behind routers, made from a seed: for protocols that take bytes and `now`.

    net = FakeNet(seed=7, loss=0.1)
    router = net.router(NatKind.CONE)
    near, far = net.host(router), net.host()
    socket = far.open(received)            # received(data, address)
    near.open(ignored).send(b"hello", socket.address)
    net.clock.run(net.clock.now + 1.0)

Datagrams get lost, doubled and late, so also out of order. Hosts behind one router reach each
other directly at their inside addresses; a router does not send back in what comes from inside
(no hairpinning), as most do not.

Invariant: a run with one seed is always the same run. Must not know protocols.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from net.addresses import Address
from net.testing.clock import Clock
from net.testing.nat import Nat, NatKind

Received = Callable[[bytes, Address], None]

FIRST_PORT = 40000
"""Of the ports that sockets take in turn."""


class FakeNet:
    """The part of the network that everybody reaches, with its routers and hosts."""

    def __init__(
        self,
        seed: int = 0,
        *,
        loss: float = 0.0,
        duplicate: float = 0.0,
        delay: tuple[float, float] = (0.005, 0.04),
        clock: Clock | None = None,
    ) -> None:
        self.rng = Random(seed)  # noqa: S311 - a simulation, which is to be repeatable
        self.clock = clock or Clock()
        self.loss = loss
        self.duplicate = duplicate
        self.delay = delay
        self.sent = 0
        self._routers: dict[str, Router] = {}
        self._open: dict[Address, FakeSocket] = {}
        self._numbers = 0

    def router(self, kind: NatKind, *, timeout: float = 120.0) -> Router:
        """Add a router, with a public host of its own."""
        self._numbers += 1
        nat = Nat(kind, self._public(), self.rng, timeout=timeout)
        router = self._routers[nat.host] = Router(nat, self._numbers)
        return router

    def host(self, router: Router | None = None) -> Host:
        """Add a host: behind a router, or reached by everybody."""
        if router is None or router.nat.kind is NatKind.OPEN:
            self._numbers += 1
            return Host(self, self._public(), None)
        router.hosts += 1
        return Host(self, f"192.168.{router.number}.{router.hosts + 1}", router)

    def _public(self) -> str:
        return f"{20 + (self._numbers >> 8)}.{self._numbers & 255}.9.7"

    def carry(self, data: bytes, source: FakeSocket, target: Address) -> None:
        """Put a datagram on the way."""
        self.sent += 1
        for _ in range(2 if self.rng.random() < self.duplicate else 1):
            if self.rng.random() < self.loss:
                continue
            when = self.clock.now + self.rng.uniform(*self.delay)
            deliver = self._leave(data, source, target)
            if deliver is not None:
                self.clock.call_at(when, deliver)

    def _leave(self, data: bytes, source: FakeSocket, target: Address) -> Callable[[], None] | None:
        """Take a datagram out of its own network; return how it arrives where it goes."""
        router, address = source.host.router, source.address
        if router is not None:
            neighbour = router.sockets.get(target)
            if neighbour is not None:
                return lambda: neighbour.deliver(data, address)
            mapped = router.nat.outbound(address, target, self.clock.now)
            if mapped is None or target[0] == router.nat.host:
                return None
            address = mapped
        return lambda: self._arrive(data, address, target)

    def _arrive(self, data: bytes, address: Address, target: Address) -> None:
        router = self._routers.get(target[0])
        if router is None:
            socket = self._open.get(target)
        else:
            inside = router.nat.inbound(address, target[1], self.clock.now)
            socket = None if inside is None else router.sockets.get(inside)
        if socket is not None:
            socket.deliver(data, address)

    def register(self, socket: FakeSocket) -> None:
        """Make a socket known where it can be reached directly."""
        self._table(socket)[socket.address] = socket

    def unregister(self, socket: FakeSocket) -> None:
        """Forget a socket."""
        self._table(socket).pop(socket.address, None)

    def _table(self, socket: FakeSocket) -> dict[Address, FakeSocket]:
        router = socket.host.router
        return self._open if router is None else router.sockets


class Router:
    """A router and the sockets of the hosts behind it."""

    def __init__(self, nat: Nat, number: int) -> None:
        self.nat = nat
        self.number = number
        self.hosts = 0
        self.sockets: dict[Address, FakeSocket] = {}


class Host:
    """A machine with one address."""

    def __init__(self, net: FakeNet, address: str, router: Router | None) -> None:
        self.net = net
        self.address = address
        self.router = router
        self._ports = 0

    def open(self, received: Received, *, port: int = 0) -> FakeSocket:
        """Bind a socket, to the next free port if none is named."""
        if not port:
            port = FIRST_PORT + self._ports
            self._ports += 1
        socket = FakeSocket(self, (self.address, port), received)
        self.net.register(socket)
        return socket


class FakeSocket:
    """A UDP socket of a host."""

    def __init__(self, host: Host, address: Address, received: Received) -> None:
        self.host = host
        self.address = address
        self._received = received
        self._closed = False

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram; what a closed socket sends is dropped."""
        if not self._closed:
            self.host.net.carry(data, self, address)

    def deliver(self, data: bytes, address: Address) -> None:
        """Hand over a datagram that has arrived."""
        if not self._closed:
            self._received(data, address)

    def close(self) -> None:
        """Receive nothing more. Closing twice is harmless."""
        self._closed = True
        self.host.net.unregister(self)
