"""Reaching a peer by several ways: the first that ends in a stream with the right key wins.

A way is an address with a carrier to try on it (or anything else that makes a carrier: a
punched path, a relay). They start one after another, `stagger` seconds apart, or at once
when an earlier one has failed (RFC 8305 does so with addresses). That a port answers says
nothing: it may be another machine's with the same private address. So the race is over
when a handshake has proven the peer's key; the others are then cancelled and closed.

How each way has ended is told in `attempts`, also of a race that is cancelled.

Invariant: at most one stream comes out, and of the losers nothing stays open.
Must not know how addresses are found, or what the stream is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from net.addresses import Address, format_address
from net.carriers.base import Carrier
from net.carriers.medium import Medium
from net.carriers.quic import QuicPort
from net.carriers.tcp import connect_tcp
from net.errors import ConnectError, NetError
from net.secure.stream import SecureStream

STAGGER = 0.15
"""Seconds between two starts: a TCP connection and its handshake over 75 ms. A peer whose TCP
port is blocked is found by QUIC that much later, and one behind a router again later."""
ATTEMPT_TIMEOUT = 5.0
"""Seconds for one way, handshake included."""
QUIC_TIMEOUT = 2.0
"""Seconds in which a QUIC port answers if it is there: three flights. Less than for a way
as a whole, for nothing says that it is not, as a refused TCP connection does."""
MAX_WAYS = 16
"""Ways that are tried; what a peer announces is no reason to try more."""

Secure = Callable[[Carrier], Awaitable[SecureStream]]
"""Makes a secure stream of a carrier, with the peer that is wanted and no other."""


@dataclass(frozen=True, slots=True)
class Way:
    """What to do to get a carrier, what it would travel over, and a name for people."""

    medium: Medium
    name: str
    connect: Callable[[], Awaitable[Carrier]]
    timeout: float = ATTEMPT_TIMEOUT
    """Seconds for it, handshake included."""
    behind: tuple[str, float] = ("", 0.0)
    """The name of a way that is better, and the seconds for which it waits while that runs."""


class Attempt(NamedTuple):
    """A way that has been tried, and the error that it ended with."""

    medium: Medium
    name: str
    error: Exception

    def __str__(self) -> str:
        return f"{self.name}: {_why(self.error)}"


def ways_to(addresses: Iterable[Address], quic: QuicPort | None = None) -> list[Way]:
    """Return how a node may be reached that listens on these, for TCP and UDP alike.

    TCP comes first: it has the system's congestion control and a third of QUIC's cost.
    """
    ways: list[Way] = []
    for address in addresses:
        where = format_address(address)
        ways.append(Way(Medium.TCP, f"{Medium.TCP} {where}", _by_tcp(address)))
        if quic is not None:
            ways.append(Way(Medium.QUIC, f"{Medium.QUIC} {where}", _by_quic(quic, address)))
    return ways[:MAX_WAYS]


def _by_tcp(address: Address) -> Callable[[], Awaitable[Carrier]]:
    return lambda: connect_tcp(*address)


def _by_quic(quic: QuicPort, address: Address) -> Callable[[], Awaitable[Carrier]]:
    return lambda: quic.connect(address, timeout=QUIC_TIMEOUT)


async def dial(
    ways: Sequence[Way],
    secure: Secure,
    *,
    stagger: float = STAGGER,
    attempts: list[Attempt] | None = None,
) -> SecureStream:
    """Try ways until one yields a stream; raises `ConnectError` that says how each ended."""
    race = Race(secure, [] if attempts is None else attempts)
    try:
        for way in ways:
            while (wait := race.holds_up(way)) > 0:
                if (stream := await race.wait(wait)) is not None:
                    return stream
            race.start(way)
            if (stream := await race.wait(stagger)) is not None:
                return stream
        while race.running:
            if (stream := await race.wait(None)) is not None:
                return stream
    finally:
        await race.close()
    raise ConnectError("no way leads to the peer", [str(attempt) for attempt in race.attempts])


class Race:
    """Attempts that run, and how those ended that do not any more."""

    def __init__(self, secure: Secure, attempts: list[Attempt]) -> None:
        self.running: dict[asyncio.Task[SecureStream], Way] = {}
        self.attempts = attempts
        self._secure = secure
        self._loop = asyncio.get_running_loop()
        self._begun: dict[str, float] = {}

    def start(self, way: Way) -> None:
        """Begin an attempt."""
        self._begun[way.name] = self._loop.time()
        self.running[asyncio.ensure_future(self._attempt(way))] = way

    def holds_up(self, way: Way) -> float:
        """Return for how many seconds a way must wait for a better one that runs."""
        better, seconds = way.behind
        if all(running.name != better for running in self.running.values()):
            return 0.0
        return self._begun[better] + seconds - self._loop.time()

    async def _attempt(self, way: Way) -> SecureStream:
        async with asyncio.timeout(way.timeout):
            return await self._secure(await way.connect())

    async def wait(self, seconds: float | None) -> SecureStream | None:
        """Wait until an attempt ends, or some seconds; return the stream if one succeeded."""
        done, _ = await asyncio.wait(
            self.running, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in sorted(done, key=list(self.running).index):
            way = self.running[task]
            try:
                stream = task.result()
            except (NetError, OSError) as error:
                self.attempts.append(Attempt(way.medium, way.name, error))
                del self.running[task]
            else:
                del self.running[task]
                return stream
        return None

    async def close(self) -> None:
        """Cancel what still runs, and close what has won too late."""
        for task, way in self.running.items():
            if task.cancel():
                self.attempts.append(Attempt(way.medium, way.name, TimeoutError()))
        for outcome in await asyncio.gather(*self.running, return_exceptions=True):
            if isinstance(outcome, SecureStream):
                outcome.abort()


def _why(error: Exception) -> str:
    """Say in a few words how an attempt ended; the name of the way stands before it."""
    cause = error.__cause__ if isinstance(error, ConnectError) and error.__cause__ else error
    if isinstance(cause, TimeoutError) and not isinstance(cause, NetError):
        return "no answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return cause.summary if isinstance(cause, ConnectError) else str(cause)
