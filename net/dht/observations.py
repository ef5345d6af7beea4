"""How others see us: the source address of our datagrams, as each response reports it.

Behind a router that is the address that the router gives us. One node may lie or be on our
own side of the router; so the latest reports of several count. They decide whether we offer
ourselves as a contact: behind a router we answer those that we have asked, and are silent to
whom they name us.

Invariant: one report a reporter, the latest `MAX_REPORTERS`, and only from nodes that we asked.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable

from net.addresses import Address
from net.punch.classify import classify

MAX_REPORTERS = 32
"""More would only make an old address linger after a change of networks."""


class Observations:
    """Reports of one node's own address; `own` tells whether an address is of this machine.

    Without `own` the node offers itself to all, wherever they see it.
    """

    def __init__(self, own: Callable[[Address], bool] | None = None) -> None:
        self.hidden = False
        """Whether nobody is to take us for a contact."""
        self._own = own
        self._reports: OrderedDict[Address, Address] = OrderedDict()

    def hide_until_seen(self) -> None:
        """Offer ourselves to nobody as long as nobody has said how we are seen."""
        self.hidden = self.hidden or (self._own is not None and not self._reports)

    def add(self, reporter: Address, observed: Address) -> None:
        """Take the report of a node."""
        new = self._reports.get(reporter) != observed
        self._reports[reporter] = observed
        self._reports.move_to_end(reporter)
        while len(self._reports) > MAX_REPORTERS:
            self._reports.popitem(last=False)
        if new and self._own is not None:
            seen = classify(self._reports, ()).public
            self.hidden = seen is not None and not self._own(seen)

    @property
    def reports(self) -> dict[Address, Address]:
        """Our address as each reporter sees it: what a router is classified by."""
        return dict(self._reports)

    @property
    def address(self) -> Address | None:
        """What most reporters say, the earlier one of two that are said as often."""
        counts = Counter(self._reports.values())
        return counts.most_common(1)[0][0] if counts else None
