"""How others see us: the source address of our datagrams, as each response reports it.

Behind a router that is the address that the router gives us. One node may lie or be on our
own side of the router; so the latest reports of several count.

Invariant: one report a reporter, the latest `MAX_REPORTERS`, and only from nodes that we asked.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

from net.addresses import Address

MAX_REPORTERS = 32
"""More would only make an old address linger after a change of networks."""


class Observations:
    """Reports of one node's own address."""

    def __init__(self) -> None:
        self._reports: OrderedDict[Address, Address] = OrderedDict()

    def add(self, reporter: Address, observed: Address) -> bool:
        """Take the report of a node; tells whether it says something new."""
        new = self._reports.get(reporter) != observed
        self._reports[reporter] = observed
        self._reports.move_to_end(reporter)
        while len(self._reports) > MAX_REPORTERS:
            self._reports.popitem(last=False)
        return new

    @property
    def reports(self) -> dict[Address, Address]:
        """Our address as each reporter sees it: what a router is classified by."""
        return dict(self._reports)

    @property
    def address(self) -> Address | None:
        """What most reporters say, the earlier one of two that are said as often."""
        counts = Counter(self._reports.values())
        return counts.most_common(1)[0][0] if counts else None
