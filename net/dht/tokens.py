"""Address tokens: proof that a writer receives at the address that it writes from.

A node gives a token with each lookup answer and wants it back with an announcement.
It is a keyed hash of the address and the epoch, so that the node keeps no state for
an asker; the token of the epoch before is accepted too.

Invariant: a token is good for at least one epoch and at most two.
Specified in docs/spec/dht.md, section 5.
"""

from __future__ import annotations

from hmac import compare_digest

from net.addresses import Address, pack_address
from net.dht.hashing import address_token, introduction_ticket

EPOCH = 300.0
"""Seconds; a crawl takes seconds, so even its first token is good when it announces."""


class Tokens:
    """Gives and checks the tokens of one node. `secret` is 32 random bytes."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def give(self, address: Address, now: float) -> bytes:
        """Return the token of an address."""
        return address_token(self._secret, int(now // EPOCH), pack_address(address))

    def check(self, token: bytes, address: Address, now: float) -> bool:
        """Tell whether the token was given to this address lately."""
        packed, epoch = pack_address(address), int(now // EPOCH)
        return any(
            compare_digest(token, address_token(self._secret, max(0, e), packed))
            for e in (epoch, epoch - 1)
        )


class Tickets:
    """Gives tickets to holders of our announcements, and checks them when they come back.

    A ticket does not age: it is good as long as the node runs.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def give(self, holder: Address) -> bytes:
        """Return the ticket of the node at an address."""
        return introduction_ticket(self._secret, pack_address(holder))

    def check(self, ticket: bytes, holder: Address) -> bool:
        """Tell whether the ticket was given to this address."""
        return compare_digest(ticket, self.give(holder))
