"""What kind of router one is behind, from the addresses that others see.

    OPEN         they see an address of this machine itself
    CONSISTENT   they all see one address: whoever knows it can aim at it
    RANDOM       each sees another port: only the host can be aimed at
    UNKNOWN      too few have answered

Whether the router lets strangers in cannot be told from these reports, and punching does not
need to know: it sends from both sides.

Invariant: one liar among three reporters does not change the result; reporters on one host
are one witness, as some routers keep a port for each far host.
Specified in docs/spec/punch.md, section 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum

from net.addresses import Address, family, reach

MIN_WITNESSES = 2
"""Hosts that must agree before an address is taken for what all others see too."""

MIN_DISAGREEING = 3
"""Reports of which most differ: with two, one of them may simply lie."""


class NatClass(IntEnum):
    """What punching has to know of a router. The numbers are on the wire."""

    UNKNOWN = 0
    OPEN = 1
    CONSISTENT = 2
    RANDOM = 3


@dataclass(frozen=True, slots=True)
class NatReport:
    """What was found, and the address to name to others."""

    kind: NatClass
    public: Address | None
    """As most reporters see us; of a RANDOM one only the host means anything."""


def classify(
    reports: Mapping[Address, Address], own: Collection[Address], *, version: int = 4
) -> NatReport:
    """Return what kind of router stands between us and those who report.

    `reports` maps each reporter to our address as it sees it, `own` are the addresses that
    our socket is bound to. Only reports of one IP version count.
    """
    relevant = {r: seen for r, seen in reports.items() if family(seen) == version and seen[1]}
    if not relevant:
        return NatReport(NatClass.UNKNOWN, None)
    # A neighbour sees what is behind the router: those who see the farthest see what counts.
    farthest = max(reach(seen[0]) for seen in relevant.values())
    relevant = {r: seen for r, seen in relevant.items() if reach(seen[0]) == farthest}
    counts = Counter(relevant.values())
    seen, votes = counts.most_common(1)[0]
    total = len(relevant)
    if 3 * votes >= 2 * total:
        if seen in own:
            return NatReport(NatClass.OPEN, seen)
        witnesses = {reporter[0] for reporter, said in relevant.items() if said == seen}
        enough = len(witnesses) >= MIN_WITNESSES
        return NatReport(NatClass.CONSISTENT if enough else NatClass.UNKNOWN, seen)
    if total < MIN_DISAGREEING:
        return NatReport(NatClass.UNKNOWN, seen)
    hosts = Counter(said[0] for said in relevant.values())
    host = hosts.most_common(1)[0][0]
    port = next(said[1] for said in relevant.values() if said[0] == host)
    return NatReport(NatClass.RANDOM, (host, port))
