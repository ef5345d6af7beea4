"""Reaching a peer wherever it is: a ladder of ways, tried one after another until one holds.

1. the addresses that it announces, by TCP and QUIC, the likeliest first;
2. a hole through both routers, if the first address has not answered at once; before it,
   if the peer waits at relays, or names no address that we could reach;
3. the relays at which the peer waits, when the hole takes long or there can be none. Then
   the first two are tried again behind the stream that runs, and it moves there.

Behind a stream by QUIC, through a hole or not, TCP is tried in the same way.

Invariant: the stream is with the owner of the key that was asked for.
Must not know how peers are found, or what a stream is for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from feedlog import KeyPair
from net.addresses import Address, reach
from net.carriers.base import Carrier
from net.carriers.medium import Medium
from net.carriers.ports import Ports
from net.discovery import Introducer, PeerAddress
from net.errors import ClosedError, ConnectError, DeadlineError, NotFound, PunchError
from net.punch.classify import NatReport
from net.punch.puncher import PUNCH_TIME, Reason
from net.reaching.crossing import PROTOCOL as CROSSES
from net.reaching.crossing import Crossings
from net.reaching.dial import Attempt, Way, dial, ways_to
from net.reaching.rendezvous import Rendezvous
from net.reaching.upgrade import Upgrades
from net.secure.moving import PROTOCOL as MOVES
from net.secure.opening import open_stream
from net.secure.stream import SecureStream

PUNCH_TIMEOUT = PUNCH_TIME + 8.0
"""Seconds for a punched way: introduction, punch, QUIC and the handshake."""

PUNCHED = "punching"
"""The name of that way in reports."""


class Surroundings(Protocol):
    """What a ladder depends on; a `Network` has it."""

    @property
    def introducer(self) -> Introducer | None:
        """Who passes messages on to those who cannot be reached otherwise."""

    @property
    def nat(self) -> NatReport:
        """What kind of router we are behind."""


class Reach:
    """The ladder of one node. Where nobody introduces it has its first rung only."""

    def __init__(
        self,
        key_pair: KeyPair,
        ports: Ports,
        rendezvous: Rendezvous,
        network: Surroundings,
        relayed: Callable[[PeerAddress, str], list[Way]],
    ) -> None:
        self._key_pair = key_pair
        self._ports = ports
        self._rendezvous = rendezvous
        self._network = network
        self._relayed = relayed
        self.crossings = Crossings(ports.udp.addresses)
        """What makes TCP beside QUIC, at both ends."""
        self.upgrades = Upgrades(self._direct, self._beside)
        """The streams for which there may be a better way, ours and those of others."""

    async def connect(
        self,
        peer: PeerAddress,
        topic: bytes,
        protocol: str,
        attempts: list[Attempt] | None = None,
    ) -> SecureStream:
        """Open a stream to a peer that was found under a topic; raises `ConnectError`.

        `attempts` is given what was tried as it goes, for a caller who may lose patience.
        """
        secure = partial(
            open_stream,
            key_pair=self._key_pair,
            remote_key=peer.public_key,
            protocol=protocol,
        )
        tried: list[Attempt] = [] if attempts is None else attempts
        begun = len(tried)
        try:
            stream = await dial(self.ladder(peer, topic), secure, attempts=tried)
        except ConnectError as error:
            why = explain(tried[begun:])
            name = peer.public_key.hex()[:16]
            raise ConnectError(f"cannot reach {name}: {why}", error.tried) from error
        self.upgrades.watch(stream, peer, topic)
        return stream

    async def _direct(self, peer: PeerAddress, topic: bytes) -> SecureStream:
        """Reach a peer by any way but a relay, so that a stream can move there."""
        return await self.connect(replace(peer, relays=()), topic, MOVES)

    async def _beside(self, stream: SecureStream) -> SecureStream:
        """Reach the peer of a stream by QUIC over TCP, too, so that it can move there."""
        opened = partial(open_stream, key_pair=self._key_pair, remote_key=stream.remote_key)
        async with self.crossings.turn(stream.remote_key):
            if stream.is_closing() or not stream.medium.is_quic:
                raise ClosedError("the stream has ended or moved before its turn came")
            assert stream.address is not None, "QUIC has one"
            agreeing = await self._ports.quic.connect(stream.address)
            tcp = await self.crossings.cross(await opened(agreeing, protocol=CROSSES))
        return await opened(tcp, protocol=MOVES)

    def ladder(self, peer: PeerAddress, topic: bytes) -> list[Way]:
        """Return the ways to a peer, in the order in which they are to be tried."""
        addresses = [address for address in peer.addresses if self._ports.reaches(address)]
        ours = self._network.nat.public
        direct = ways_to(likeliest_first(addresses, ours), self._ports.quic)
        relayed = self._relayed(peer, PUNCHED)
        if self._network.introducer is None:
            return [*direct, *relayed]
        punched = self._punched(self._network.introducer, topic, peer.public_key)
        neighbours = any(ours is not None and host == ours[0] for host, _ in addresses)
        hidden = bool(peer.relays) and not neighbours
        first = 2 if not hidden and any(_may_answer(address, ours) for address in addresses) else 0
        return [*direct[:first], punched, *direct[first:], *relayed]

    def _punched(self, introducer: Introducer, topic: bytes, public_key: bytes) -> Way:
        async def connect() -> Carrier:
            return await self._rendezvous.connect(introducer, topic, public_key)

        return Way(Medium.PUNCHED_QUIC, PUNCHED, connect, PUNCH_TIMEOUT)


def likeliest_first(addresses: Sequence[Address], ours: Address | None) -> list[Address]:
    """Return addresses in the order in which they should be tried, as we are seen at `ours`.

    A peer behind our own router is met on its LAN, any other one at its public address.
    """
    if ours is None or reach(ours[0]) < 2 or any(host == ours[0] for host, _ in addresses):
        return list(addresses)
    return sorted(addresses, key=lambda address: -reach(address[0]))


def _may_answer(address: Address, ours: Address | None) -> bool:
    """Tell whether it is worth while to wait a moment for an answer from an address."""
    return ours is None or reach(ours[0]) < 2 or reach(address[0]) == 2


def explain(attempts: Sequence[Attempt]) -> str:
    """Return why a peer was not reached, in the words of docs/guide/connect.md."""
    errors = [attempt.error for attempt in attempts if attempt.medium is Medium.PUNCHED_QUIC]
    error = errors[-1] if errors else None
    if isinstance(error, PunchError) and error.reason == Reason.BOTH_RANDOM.name:
        relays = any(attempt.medium is Medium.RELAY for attempt in attempts)
        return "both NATs random and no relay" + (" works" if relays else "")
    if isinstance(error, NotFound | DeadlineError):
        return "peer silent"
    if isinstance(error, PunchError):
        return error.summary
    return "no way leads there"
