"""Addresses that were silent or lied lately: crawls ask them last.

Invariant: no more than `MAX_SUSPECTS` are remembered, those that were suspected last, and each
only for `SUSPICION` seconds or until it sends something.
"""

from __future__ import annotations

from collections import OrderedDict

from net.addresses import Address

MAX_SUSPECTS = 1024
"""A network that loses a third of its nodes shows a crawl some twenty dead ones."""

SUSPICION = 120.0
"""Seconds; who comes back does so by asking us something, which ends it at once."""


class Suspects:
    """The addresses that one node suspects."""

    def __init__(self) -> None:
        self._until: OrderedDict[Address, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def add(self, address: Address, now: float) -> None:
        """Suspect an address from now on."""
        self._until[address] = now + SUSPICION
        self._until.move_to_end(address)
        while len(self._until) > MAX_SUSPECTS:
            self._until.popitem(last=False)

    def clear(self, address: Address) -> None:
        """Suspect an address no more: it has sent something."""
        self._until.pop(address, None)

    def at(self, now: float) -> frozenset[Address]:
        """Return who is suspected."""
        return frozenset(address for address, until in self._until.items() if until > now)
