"""What routers do to addresses, by kind: the mappings and filters of RFC 4787.

    kind        a new port for each      lets in
    open        (no translation)         everyone
    full cone   inside address           everyone
    cone        inside address           whom the inside has sent to, address and port
    symmetric   inside and far address   whom the inside has sent to, address and port
    trap        as cone, until somebody outside knocks first: then another port for him
    blocked     lets no UDP pass in either direction

`trap` is a Linux router that accepts packets for itself: the stray packet makes an entry in
its connection table, and the inside's own flow to that address must make do with another port.

Invariant: a mapping that carried nothing for `timeout` seconds is gone.
Must not know delays or losses: those are the network's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random

from net.addresses import Address

FIRST_PORT = 1024
"""Below it no router maps an unprivileged port."""


class NatKind(Enum):
    """How a router treats UDP."""

    OPEN = "open"
    FULL_CONE = "full cone"
    CONE = "cone"
    SYMMETRIC = "symmetric"
    TRAP = "trap"
    BLOCKED = "blocked"


@dataclass(slots=True)
class _Mapping:
    inside: Address
    port: int
    far: Address | None
    used: float
    sent_to: set[Address]


class Nat:
    """The translation table of one router with one public host."""

    def __init__(self, kind: NatKind, host: str, rng: Random, *, timeout: float = 120.0) -> None:
        self.kind = kind
        self.host = host
        self.timeout = timeout
        self._rng = rng
        self._by_port: dict[int, _Mapping] = {}
        self._by_inside: dict[tuple[Address, Address | None], _Mapping] = {}
        self._knocked: set[tuple[int, Address]] = set()

    def outbound(self, inside: Address, far: Address, now: float) -> Address | None:
        """Return the source that a datagram to `far` leaves with; None when it is dropped."""
        if self.kind is NatKind.BLOCKED:
            return None
        own = far if self._apart(inside, far) else None
        mapping = self._by_inside.get((inside, own))
        if mapping is None or now - mapping.used > self.timeout:
            mapping = self._map(inside, own, now)
        mapping.used = now
        mapping.sent_to.add(far)
        return self.host, mapping.port

    def inbound(self, far: Address, port: int, now: float) -> Address | None:
        """Return the inside address that a datagram goes to; None when it is dropped."""
        mapping = self._by_port.get(port)
        if mapping is not None and now - mapping.used > self.timeout:
            mapping = None
        if mapping is not None and (
            self.kind is NatKind.FULL_CONE
            or (far in mapping.sent_to and mapping.far in (None, far))
        ):
            mapping.used = now
            return mapping.inside
        if self.kind is NatKind.TRAP:
            self._knocked.add((port, far))
        return None

    def forget(self) -> None:
        """Lose every mapping, as a router does that starts anew."""
        self._by_port.clear()
        self._by_inside.clear()
        self._knocked.clear()

    def _apart(self, inside: Address, far: Address) -> bool:
        """Tell whether the flow to `far` has a port of its own."""
        if self.kind is NatKind.SYMMETRIC or (inside, far) in self._by_inside:
            return True
        shared = self._by_inside.get((inside, None))
        port = inside[1] if shared is None else shared.port
        return (port, far) in self._knocked and (shared is None or far not in shared.sent_to)

    def _map(self, inside: Address, far: Address | None, now: float) -> _Mapping:
        old = self._by_inside.pop((inside, far), None)
        if old is not None:
            self._by_port.pop(old.port, None)
        port = inside[1] if far is None else 0
        while port == 0 or port in self._by_port:
            port = self._rng.randrange(FIRST_PORT, 1 << 16)
        mapping = _Mapping(inside, port, far, now, set())
        self._by_port[port] = self._by_inside[inside, far] = mapping
        return mapping
