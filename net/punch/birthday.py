"""Blind probing: how a router that gives each destination another port is met all the same.

The side behind it sends from many sockets to the peer's one address, so that its router has as
many ports open for that address; the other side sends to ports at random. With 256 open ports of
64,512, each probe hits with 1 in 252: half of all tries meet within 175 probes, all but 3 in
10,000 within 2048 (docs/spec/punch.md, section 6).

Invariant: at most `MAX_PROBES` probes, `RATE` a second, no port twice.
Must not know what a probe contains.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from random import Random
from typing import NamedTuple

from net.addresses import Address
from net.punch.classify import NatClass

SOCKETS = 256
"""Sockets of the side with many: few enough for a process's limit of 1024 files."""

MAX_PROBES = 2048
RATE = 250.0
"""Probes a second: 10 kB/s, and no more new entries in a router's table than a browser makes."""
STEP = 0.02
"""Seconds between two small bursts."""
AT_ONCE = int(RATE * STEP)

HEAD_START = 0.4
"""Seconds that the addresses in the offer alone are tried: a router that lets everyone in, or
none at all, is met by then."""

FIRST_PORT = 1024


class Tactic(Enum):
    """What one side does beyond probing the addresses in the offer."""

    DIRECT = "known addresses"
    SPRAY = "random ports"
    MANY = "many sockets"


class Path(NamedTuple):
    """A way to the peer: its address, and the socket of ours that it is reached from."""

    address: Address
    socket: int = 0
    """0 is the shared port; the others are opened when first sent from."""


def tactic(mine: NatClass, theirs: NatClass) -> Tactic:
    """Return what the side `mine` does against the side `theirs`."""
    if mine is theirs is NatClass.RANDOM:
        return Tactic.DIRECT
    if theirs is NatClass.RANDOM:
        return Tactic.SPRAY
    return Tactic.MANY if mine is NatClass.RANDOM else Tactic.DIRECT


class Birthday:
    """The blind probes of one side of one punch."""

    def __init__(self, kind: Tactic, target: Address, rng: Random, now: float) -> None:
        self.sent = 0
        self._next = now + HEAD_START
        self._ways = _spray(target[0], rng) if kind is Tactic.SPRAY else _many(target)

    def take(self, now: float) -> list[Path]:
        """Return the paths to probe by `now`."""
        if self._next > now or self.sent >= MAX_PROBES:
            return []
        self._next = now + STEP  # what was slept through is not made up for
        self.sent += AT_ONCE
        return [next(self._ways) for _ in range(AT_ONCE)]

    def next_timeout(self) -> float | None:
        """Return when `take` has more."""
        return self._next if self.sent < MAX_PROBES else None


def _spray(host: str, rng: Random) -> Iterator[Path]:
    ports = rng.sample(range(FIRST_PORT, 1 << 16), MAX_PROBES + AT_ONCE)
    return (Path((host, port)) for port in ports)


def _many(target: Address) -> Iterator[Path]:
    while True:
        yield from (Path(target, 1 + number) for number in range(SOCKETS))
