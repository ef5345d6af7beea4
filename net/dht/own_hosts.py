"""Which hosts this machine is at: its own, from which packets leave, and the one that others see.

A socket that is bound to every host says nothing of where it is; the routes to the contacts do.

Invariant: where no look is possible, this machine is where it was. Must not know datagrams.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from net.addresses import Address, reach
from net.carriers.udp import UdpSocket, source_host
from net.punch.classify import NatReport, classify

MAX_TARGETS = 16
"""Contacts whose routes are looked at: each look opens a socket."""

BEYOND: tuple[Address, ...] = (("192.0.2.1", 9), ("2001:db8::1", 9))
"""Addresses of no host (RFC 5737, RFC 3849): the route to them is the route to everywhere."""

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
"""What a socket is bound to that listens on all hosts of a family."""

log = logging.getLogger(__name__)


class OwnHosts:
    """The hosts of the machine that has a UDP port; `contacts` returns whom it speaks with."""

    def __init__(self, udp: UdpSocket, contacts: Callable[[], Iterable[Address]]) -> None:
        self._udp = udp
        self._contacts = contacts
        self._routes: list[str] = []
        """The hosts from which packets to the contacts left when it could last be seen."""

    def reaches(self, target: Address) -> bool:
        """Tell whether the port sends to the family of an address."""
        return (6 if ":" in target[0] else 4) in self._udp.families

    def sources(self) -> list[str]:
        """Return this machine's own hosts, from which packets to the contacts leave."""
        bound = [host for host, _ in self._udp.addresses]
        if all(host not in EVERYWHERE for host in bound):
            return bound
        targets = [*list(self._contacts())[:MAX_TARGETS], *BEYOND]
        try:
            routes = [source_host(target) for target in targets if self.reaches(target)]
        except OSError as error:  # no file left to ask with: we are where we were
            log.debug("= no look at the routes of this machine: %s", error)
        else:
            self._routes = [host for host in routes if host is not None]
        return list(self._routes)

    def hosts(self, observed: Address | None) -> list[str]:
        """Return the hosts at which this machine can be announced, likeliest first.

        They are those that packets to the contacts leave from (what a LAN needs), and the
        host that the contacts see (what the rest needs, if the router lets anyone in).
        """
        sources = self.sources()
        if observed is not None:
            sources.append(observed[0])
        # A loopback host is of use only to readers on this machine: last, and first if alone.
        return sorted(dict.fromkeys(sources), key=lambda host: reach(host) == 0) or ["127.0.0.1"]

    def address(self, observed: Address | None) -> Address:
        """Return where another node on this machine or network finds the port."""
        host, port = self._udp.addresses[0]
        return (self.hosts(observed)[0] if host in EVERYWHERE else host), port

    def is_own(self, seen: Address) -> bool:
        """Tell whether an address at which others see us is one of this machine."""
        return seen[0] in self.sources() and seen[1] == self._udp.addresses[0][1]

    def nat(self, reports: Mapping[Address, Address]) -> NatReport:
        """Return what kind of router stands before us as others see us: of IPv4, else of IPv6."""
        port = self._udp.addresses[0][1]
        own = [(host, port) for host in self.sources()]
        found = [classify(reports, own, version=v) for v in sorted(self._udp.families)]
        return next((report for report in found if report.public is not None), found[0])
