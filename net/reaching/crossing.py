"""TCP beside QUIC: the two ends of a QUIC connection open a TCP connection at once.

    async with crossings.turn(public_key):       # the end that proposes it, to this peer
        carrier = await crossings.cross(stream)  # both ends, of a stream of PROTOCOL by QUIC

Each end takes a free TCP port and says which; and at which port it is bound for UDP. Who sees
the other at that very UDP port knows that no router between them has changed it. Routers
that keep the ports of UDP keep those of TCP, too, as a rule: so that is where the other is
expected, on the host that has just been spoken with, and connected to while it connects to us.
Where the guess is wrong nothing comes of it but a few lost packets.

Invariant: a peer has us connect to no host but its own, once at a time and REST seconds apart;
at most MAX_CROSSINGS attempts of others run, MAX_SHARE of one owner's, and as many of ours.
Must not know why, or what runs over the connection. Specified in docs/spec/punch.md, section 8.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from feedlog.errors import DecodeError
from net.addresses import Address, family
from net.carriers.base import Carrier
from net.carriers.simultaneous import SimultaneousOpen
from net.errors import ClosedError, ConnectError, DeadlineError, ProtocolError
from net.punch.messages import PORTS_SIZE, Ports, decode_ports, encode_ports
from net.reaching.admission import owner_of
from net.secure.stream import SecureStream

PROTOCOL = "feedlog/cross/1"
"""What an initiator asks for in the handshake of a stream by which the two agree."""

AGREEMENT = 5.0
"""Seconds for the one message of the other end."""

HEAD_START = 0.2
"""Seconds by which the answering end begins earlier, so that its SYN is not under way when the
other one is sent. SYNs that cross make a connection, too, but both systems then measure a part
of the round trip, and BBR believes the least: it sends a tenth of what it could for 10 s."""

MAX_CROSSINGS = 32
"""At a time, of those that we propose and of those that others do, whose number is theirs to
choose; each takes a socket for some seconds. Others can be tried again later."""

MAX_SHARE = 8
"""Of those that others propose, for the hosts of one owner: keys cost nothing to make."""

REST = 1.0
"""Seconds after an attempt in which there is none with the same peer: 16 SYNs a second at most."""


class Crossings:
    """All attempts of a node whose UDP port is bound at some addresses, one of each family."""

    def __init__(self, bound: Sequence[Address]) -> None:
        self._own = {family(address): address for address in bound}
        self._tried: dict[tuple[bytes, bool], bytes] = {}
        """With whom it is being tried, or has been a moment ago, whether we proposed it, and whose
        host it is."""
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._proposing = asyncio.Semaphore(MAX_CROSSINGS)

    @asynccontextmanager
    async def turn(self, public_key: bytes) -> AsyncIterator[None]:
        """Wait until it can be proposed to a peer, also for other streams to it, or to others."""
        turn = self._turns.setdefault(public_key, asyncio.Lock())
        await turn.acquire()
        try:
            async with self._proposing:
                yield
        finally:
            asyncio.get_running_loop().call_later(REST, turn.release)

    async def cross(self, stream: SecureStream) -> Carrier:
        """Connect to the other end of a stream while it connects to us; the stream is used up.

        Raises `NetError`: `ConnectError` where it does not work, or too many try.
        """
        attempt, owner = (stream.remote_key, stream.initiator), owner_of(stream.address)
        try:
            if attempt in self._tried or not (stream.initiator or self._has_room(owner)):
                limits = f"{MAX_SHARE} of its host's or {MAX_CROSSINGS} in all"
                raise ConnectError(f"tcp is being tried with this peer, or {limits}")
            self._tried[attempt] = owner
            try:
                return await self._cross(stream)
            finally:
                asyncio.get_running_loop().call_later(REST, self._tried.pop, attempt)
        finally:
            stream.close()

    def _has_room(self, owner: bytes) -> bool:
        """Tell whether there is a place for a proposal of an owner's peer."""
        asked = [whose for (_, proposed), whose in self._tried.items() if not proposed]
        return len(asked) < MAX_CROSSINGS and asked.count(owner) < MAX_SHARE

    async def _cross(self, stream: SecureStream) -> Carrier:
        there = stream.address
        own = self._own.get(family(there)) if there is not None else None
        if there is None or own is None:
            raise ConnectError(f"no tcp beside {stream.description}")
        opening = SimultaneousOpen.reserve(own[0])
        try:
            stream.write(encode_ports(Ports(own[1], opening.port)))
            theirs = await _ports_of_peer(stream)
            if theirs.udp != there[1]:
                raise ConnectError(f"a router has changed udp port {theirs.udp} to {there[1]}")
            if stream.initiator:
                await asyncio.sleep(HEAD_START)
            return await opening.connect((there[0], theirs.tcp))
        finally:
            opening.close()


async def _ports_of_peer(stream: SecureStream) -> Ports:
    try:
        async with asyncio.timeout(AGREEMENT):
            return decode_ports(await stream.readexactly(PORTS_SIZE))
    except TimeoutError as error:
        raise DeadlineError(f"the peer has not said its ports in {AGREEMENT:g} s") from error
    except asyncio.IncompleteReadError as error:
        raise ClosedError("the peer does not try tcp now") from error
    except DecodeError as error:
        raise ProtocolError(f"ports that cannot be: {error}") from error
