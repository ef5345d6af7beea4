"""How the parts of a node come about: which of them are made, and who calls whom.

    parts = await Assembly(...).build()

Parts that need each other are joined by calls: what a part asks of the others it asks of
`running()`, which is there once all are made, and while the node runs.

Invariant: what `build` opens is open when it returns, and closed when it raises.
Must not know what a node does with its parts, or in which order they start and close.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from feedlog import KeyPair
from net.addresses import parse_address
from net.carriers.ports import Ports
from net.discovery import Discovery
from net.errors import ClosedError
from net.finding.announcer import Announcer
from net.finding.network import Network
from net.parts import Parts
from net.reaching.reach import Reach
from net.reaching.reception import Reception
from net.reaching.relaying import Relaying
from net.reaching.rendezvous import Rendezvous
from net.reaching.streams import Streams
from net.reaching.whereabouts import Whereabouts
from net.relay.discovery import RelayDiscovery
from net.relay.limits import RelayLimits
from net.relay.questions import RelayQuestions
from net.relay.service import AllowRelay, RelayService
from net.sharing.feeds import Feeds


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a node was told, and the parts that it has from the beginning."""

    key_pair: KeyPair
    hosts: tuple[str, ...]
    port: int
    bootstrap: tuple[str, ...]
    network: partial[Network]
    """Makes the network, but for what is known only when the node listens."""
    more: tuple[Discovery, ...]
    relay_limits: RelayLimits | None
    """None for a node that is no relay."""
    relay_allow: AllowRelay | None
    feeds: Feeds
    streams: Streams
    running: Callable[[], Parts]
    """Returns the parts while the node runs; raises `ClosedError` before and after."""

    async def build(self) -> Parts:
        """Listen, and make all parts; raises `ListenError`, and `ValueError` for what cannot be."""
        reception = Reception(
            self.key_pair,
            allow=lambda key, protocol: self.running().allows(key, protocol),
            receive=lambda stream: self.running().receive(stream),
        )
        ports = await Ports.open(self.hosts, self.port, reception.arrived)
        try:
            return self._build(ports, reception)
        except BaseException:
            ports.close()
            raise

    def _build(self, ports: Ports, reception: Reception) -> Parts:
        rendezvous = Rendezvous(
            self.key_pair,
            ports.punching,
            ports.quic,
            offer=lambda: self.running().offer(),
            allow=self._admits,
            accepted=reception.arrived,
        )
        ports.quic_arrived = rendezvous.arrived
        relaying = Relaying(
            self.key_pair,
            ports,
            [parse_address(name) for name in self.bootstrap],
            arrived=reception.arrived,
            allow=lambda key: not reception.is_banned(key),
            changed=self._places_changed,
        )
        asking = RelayDiscovery(self.key_pair, lambda: relaying.links if network.is_cut_off else [])
        network = self.network(ports, on_introduction=rendezvous.asked, more=[*self.more, asking])
        if self.relay_limits is not None:
            questions = RelayQuestions(network.dht) if network.dht is not None else None
            relaying.service = RelayService(
                self.relay_limits, allow=self.relay_allow, questions=questions
            )
        announcer = Announcer(network.discovery, lambda: self.running().where())
        return Parts(
            ports,
            reception,
            rendezvous,
            relaying,
            network,
            announcer,
            Reach(self.key_pair, ports, rendezvous, network, relaying.ways),
            self.feeds,
            self.streams,
            Whereabouts(
                lambda: network.hosts,
                changed=announcer.look,
                moved=lambda: self.running().moved(),
            ),
        )

    async def _admits(self, key: bytes) -> bool:
        """Decide about a peer that wants a hole punched: one that comes late gets none."""
        try:
            parts = self.running()
        except ClosedError:
            return False
        return await parts.admits(key)

    def _places_changed(self) -> None:
        """Have it announced where we wait for others; relays that we leave are no news."""
        try:
            parts = self.running()
        except ClosedError:
            return
        parts.announcer.look()
