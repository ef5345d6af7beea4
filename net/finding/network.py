"""The ways in which one node finds others, as one: the DHT, the local network, and more.

All are asked at once. Nodes of the DHT that answered are kept in a file, so that a restart
finds the network without the nodes that it was told of. Or somebody else's `Discovery` is
used, and nothing of this.

Invariant: what cannot be reached now is no error: it is said (`trouble`) and tried again.
Must not know what is announced or looked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from feedlog import KeyPair
from net.addresses import family, format_address, reach
from net.carriers.ports import Ports
from net.dht.driver import OnIntroduction
from net.dht.node import DhtNode
from net.discovery import Discovery, Introducer
from net.errors import ListenError, NetError
from net.finding.combined import CombinedDiscovery
from net.finding.contacts import KeptContacts
from net.lan.discovery import LanDiscovery
from net.punch.classify import NatClass, NatReport

log = logging.getLogger(__name__)


class Network:
    """What one node belongs to: a DHT node, a LAN where `lan` says so, and `more`; or `given`."""

    def __init__(
        self,
        key_pair: KeyPair,
        ports: Ports,
        *,
        bootstrap: Sequence[str] = (),
        ephemeral: bool = False,
        contacts: Path | None = None,
        lan: bool | None = None,
        network_key: bytes | None = None,
        on_introduction: OnIntroduction | None = None,
        more: Sequence[Discovery] = (),
        given: Discovery | None = None,
    ) -> None:
        self.trouble = ""
        """Why the network could not be joined when the node started."""
        self._level = logging.INFO if ephemeral else logging.WARNING
        """How loud to say so: whoever runs an errand looks at `trouble` himself."""
        self._ports = ports
        self._dht: DhtNode | None = None
        self._lan: LanDiscovery | None = None
        self._kept = KeptContacts(contacts) if contacts is not None and given is None else None
        self._keeping: asyncio.Task[None] | None = None
        if given is None:
            self._dht = DhtNode(
                key_pair,
                ports.udp,
                bootstrap=bootstrap,
                known=self._kept.load() if self._kept else (),
                ephemeral=ephemeral,
                network_key=network_key,
                on_introduction=on_introduction,
            )
            if hosts := lan_hosts(ports.hosts, lan):
                self._lan = LanDiscovery(key_pair, hosts, secret=network_key or b"")
        self.discovery: Discovery = given or CombinedDiscovery(
            [part for part in (self._dht, self._lan, *more) if part is not None]
        )

    async def start(self) -> None:
        """Join."""
        if self._lan is not None:
            try:
                await self._lan.start()
            except ListenError as error:
                log.info("no local discovery: %s", error)
        if self._dht is not None:
            try:
                await self._dht.start()
            except NetError as error:
                self.trouble = str(error)
                log.log(self._level, "%s", error)
            if self._kept is not None:
                keeping = self._kept.run(lambda: self._contacts)
                self._keeping = asyncio.get_running_loop().create_task(keeping)

    def moved(self) -> None:
        """Learn that this machine has other addresses: what was out of reach may be there."""
        if self._dht is not None:
            self._dht.look()

    async def close(self) -> None:
        """Leave."""
        if self._keeping is not None and self._kept is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._kept.save(self._contacts)  # a task that had no turn yet has not
        await self.discovery.close()

    @property
    def dht(self) -> DhtNode | None:
        """The DHT node."""
        return self._dht

    @property
    def values(self) -> DhtNode:
        """Who keeps the small values of owners of keys; raises `RuntimeError` if nobody does."""
        if self._dht is None:
            raise RuntimeError("the DHT keeps values, and a node with another `discovery` has none")
        return self._dht

    @property
    def has_contacts(self) -> bool:
        """Whether there are nodes of the DHT that answer."""
        return bool(self._contacts)

    @property
    def is_cut_off(self) -> bool:
        """Whether there should be such nodes, and are none: no network, or one without UDP."""
        return self._dht is not None and bool(self._dht.bootstrap) and not self._contacts

    @property
    def introducer(self) -> Introducer | None:
        """Who passes messages on to those who cannot be reached otherwise."""
        return self._dht

    @property
    def nat(self) -> NatReport:
        """What kind of router stands between us and the others, as far as they can tell."""
        return self._dht.nat if self._dht is not None else NatReport(NatClass.UNKNOWN, None)

    @property
    def hosts(self) -> list[str]:
        """The hosts at which we can be announced, likeliest first."""
        return self._dht.hosts() if self._dht is not None else self._ports.hosts

    @property
    def address(self) -> str:
        """The "host:port" that another node on this machine or network can bootstrap from."""
        return self._dht.address if self._dht is not None else self._ports.address

    @property
    def asked(self) -> str:
        """Whom a search asks, for people."""
        asked = f"after asking {len(self._contacts)} nodes" if self._dht is not None else ""
        return f"{asked} ({self.trouble})" if self.trouble else asked

    @property
    def _contacts(self) -> list[str]:
        return self._dht.contacts if self._dht is not None else []


def lan_hosts(bound: Sequence[str], wanted: bool | None) -> list[str]:
    """Return the hosts to find local peers from: none of them where that is not wanted.

    By default it is, but on the loopback network: that is where programs are tested, which
    must not find each other. Raises `ValueError` where it is wanted and cannot be.
    """
    usable = [host for host in bound if family((host, 0)) == 4 or host == "::"]
    if wanted is None:
        return [host for host in usable if reach(host) != 0]
    if wanted and not usable:
        hosts = ", ".join(format_address((host, 0)).removesuffix(":0") for host in bound)
        raise ValueError(f"local discovery needs an IPv4 host, or every host, not {hosts}")
    return usable if wanted else []
