"""Requests under way: which answer belongs to which question.

A response belongs to a call when its message id *and* the address that it comes from
are those of the call. Whoever cannot read our datagrams has 160 random bits to guess.

Invariant: each call ends exactly once, by `match`, or by `expire` at its deadline; a call
that nobody waits for any more ends the same way, so nothing leaks.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from net.addresses import Address
from net.dht.contacts import Contact
from net.dht.messages import Arguments


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was sent."""

    message_id: bytes
    address: Address
    arguments: Arguments
    contact: Contact | None
    """The node that should be there; None for a bootstrap address, whose id is unknown."""
    operation: int
    """The number of the operation that asked; 0 for upkeep of the table."""
    begun: float
    deadline: float


class Calls:
    """The calls that await an answer."""

    def __init__(self) -> None:
        self._calls: dict[bytes, Call] = {}
        self._deadlines: list[tuple[float, bytes]] = []
        """A heap; calls that were answered stay in it until their deadline."""

    def __len__(self) -> int:
        return len(self._calls)

    def begin(self, call: Call) -> None:
        """Note a request that is being sent now."""
        self._calls[call.message_id] = call
        heapq.heappush(self._deadlines, (call.deadline, call.message_id))

    def match(self, message_id: bytes, address: Address) -> Call | None:
        """Return and end the call that a response from `address` answers, if there is one."""
        call = self._calls.get(message_id)
        if call is None or call.address != address:
            return None
        return self._calls.pop(message_id)

    def expire(self, now: float) -> list[Call]:
        """Return and end the calls whose time is over, those that end first."""
        over = []
        while self._deadlines and self._deadlines[0][0] <= now:
            call = self._calls.pop(heapq.heappop(self._deadlines)[1], None)
            if call is not None:
                over.append(call)
        return over

    def next_deadline(self) -> float | None:
        """Return when `expire` will have something to do."""
        while self._deadlines and self._deadlines[0][1] not in self._calls:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None
