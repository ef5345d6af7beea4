"""What a node is made of while it runs, and what it takes several of these parts to decide.

Who may come and who is responsible for them; where others find us; whether we need relays.

Invariant: who is banned is let in by no way. Must not know how the parts came about.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

from net.carriers.ports import Ports
from net.finding.announcer import Announcer, Where
from net.finding.network import Network
from net.punch.classify import NatClass
from net.punch.messages import MAX_LOCAL, Offer
from net.reaching.crossing import PROTOCOL as CROSSING
from net.reaching.reach import Reach
from net.reaching.reception import Reception
from net.reaching.relaying import Relaying
from net.reaching.rendezvous import Rendezvous
from net.reaching.streams import PROTOCOL as STREAMS
from net.reaching.streams import Streams
from net.reaching.whereabouts import Whereabouts
from net.relay.messages import PROTOCOL as RELAYS
from net.secure.moving import PROTOCOL as MOVING
from net.secure.stream import SecureStream
from net.sharing.connection import PROTOCOL as CHANNELS
from net.sharing.feeds import Feeds


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a node that runs."""

    ports: Ports
    reception: Reception
    rendezvous: Rendezvous
    relaying: Relaying
    network: Network
    announcer: Announcer
    reach: Reach
    feeds: Feeds
    streams: Streams
    whereabouts: Whereabouts

    # Where we are.

    def where(self) -> Where:
        """Return the addresses and relays at which we can be announced."""
        addresses = [(host, self.ports.number) for host in self.network.hosts]
        return addresses, self.relaying.places

    def moved(self) -> None:
        """Learn that this machine has other addresses."""
        self.relaying.look()
        self.feeds.moved()
        self.network.moved()

    def offer(self) -> Offer:
        """Return how we can be reached through a router."""
        nat = self.network.nat
        addresses, _ = self.where()
        local = [address for address in addresses if nat.public is None or address != nat.public]
        return Offer(nat.kind, nat.public, tuple(local[:MAX_LOCAL]))

    def wants_relays(self) -> bool:
        """Tell whether others cannot reach us directly, and shall, or we cannot find them."""
        network = self.network
        if network.is_cut_off:
            return True
        serving = bool(self.announcer.topics)
        return serving and network.has_contacts and network.nat.kind is not NatClass.OPEN

    # Those who come.

    async def admits(self, key: bytes) -> bool:
        """Decide about a peer that wants a hole punched, whatever for."""
        if self.reception.is_banned(key):
            return False
        return await self.streams.admits(key) or await self.feeds.admits(key)

    def allows(self, key: bytes, protocol: str) -> bool | Awaitable[bool]:
        """Decide about a peer that has proven its key, before it is answered."""
        if self.reception.is_banned(key):
            return False
        if protocol == STREAMS:
            return self.streams.allows(key)
        if protocol == RELAYS:
            return self.relaying.service is not None
        if protocol in {MOVING, CROSSING}:
            return self.reach.upgrades.expects(key)
        return protocol == CHANNELS

    async def receive(self, stream: SecureStream) -> None:
        """Have a stream that was let in dealt with, until it is over or somebody else's."""
        if stream.protocol == MOVING:
            await self.reach.upgrades.accept(stream)
        elif stream.protocol == CROSSING:
            self.reception.arrived(await self.reach.crossings.cross(stream))
        else:
            self.reach.upgrades.add(stream)
            await self._serve(stream)

    async def _serve(self, stream: SecureStream) -> None:
        """Deal with a stream that is there for its own sake."""
        if stream.protocol == CHANNELS:
            self.feeds.connected(stream)
        elif stream.protocol == RELAYS:
            service = self.relaying.service
            assert service is not None, "else nobody is allowed in for that"
            service.serve(stream)
            try:
                await stream.wait_closed()
            finally:
                stream.abort()
        else:
            await self.streams.receive(stream)
