"""Where the other end of a connection is: follows it to a new port or address, with care.

A laptop wakes up behind another network, a router gives a flow another port: the next
datagram comes from somewhere else. qh3 2.1.0 follows three times and never back to where
the peer has been, so it is told of one address only, and the rest is done here:

- only a datagram that decrypts, and has not been seen, moves the path;
- a new address gets three times what it has sent until a ping has come back from the peer
  (who else could answer?), so that nobody has us flood a third party;
- no proof in PROOF_TIMEOUT, and the old address counts again;
- datagrams that were overtaken by the move do not move it back.

Invariant: to an unproven address go at most AMPLIFICATION times the bytes that came from it.
Sans-I/O. Must not know QUIC.
"""

from __future__ import annotations

from net.addresses import Address

AMPLIFICATION = 3
PROOF_TIMEOUT = 3.0
OVERTAKEN = 1.0
"""Seconds in which datagrams of the address before are taken for late ones."""


class Path:
    """The address that one connection sends to."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.token = 0
        """Names the ping that proves the address: one more with each move."""
        self._before: Address | None = None
        self._left: Address | None = None
        self._moved = float("-inf")
        self._allowance = 0

    @property
    def proven(self) -> bool:
        """Whether the other end is known to receive at the address."""
        return self._before is None

    @property
    def proven_address(self) -> Address:
        """Where the other end is known to receive: not yet the new one while it moves."""
        return self._before or self.address

    @property
    def deadline(self) -> float:
        """When the proof of the last move is due."""
        return self._moved + PROOF_TIMEOUT

    def heard(self, address: Address, size: int, now: float) -> bool:
        """Note fresh, authentic bytes from an address; tell whether a ping must prove it."""
        if address == self.address:
            self._allowance += AMPLIFICATION * size
            return False
        if address == self._left and now < self._moved + OVERTAKEN:
            return False
        if self.proven:
            self._before = self.address
        self._left, self.address, self._moved = self.address, address, now
        self._allowance = AMPLIFICATION * size
        self.token += 1
        return True

    def take(self, address: Address) -> None:
        """Send to an address without proof: for a handshake, which proves it."""
        self.address = address

    def may_send(self, size: int) -> bool:
        """Tell whether a datagram may go, and count it."""
        if self.proven:
            return True
        if size > self._allowance:
            return False
        self._allowance -= size
        return True

    def prove(self, token: int) -> None:
        """Note that the ping with this token has been answered."""
        if token == self.token:
            self._before = None

    def expire(self, now: float) -> None:
        """Go back where no proof has come."""
        if self._before is not None and now >= self.deadline:
            self._left, self.address, self._before = self.address, self._before, None
