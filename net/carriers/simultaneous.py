"""TCP between two hosts that connect to each other at once, through routers that let nobody in.

    opening = SimultaneousOpen.reserve("0.0.0.0")    # tell the peer `opening.port`
    carrier = await opening.connect(address)         # while the peer connects to us
    opening.close()

Each side's SYN tells its own router to expect answers from the other, so the one that is sent
later passes, and meets a socket that has sent one: TCP's simultaneous open (RFC 9293, section
3.5; RFC 5382 has routers let it pass, REQ-2, and not answer a SYN that is too early, REQ-4).
Both sides have connected then; which of them speaks first is not TCP's to say.

A router that answers all the same refuses the first attempt. So it is repeated, after a pause
drawn at random from the time that the refusal took, which is one round trip: two SYNs pass
when they are on their way at the same time, and soon they are.

Invariant: at most `MAX_ATTEMPTS` connections are tried, in `WINDOW` seconds, to one address.
Must not know how the two have agreed, or what the connection is for.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import partial
from random import SystemRandom
from typing import Self

from net.addresses import Address, format_address
from net.carriers.medium import Medium
from net.carriers.tcp import TcpCarrier, bound_socket
from net.errors import ConnectError, ListenError

WINDOW = 5.0
"""Seconds in which the two meet: SYNs that got lost are repeated after one, and after three."""

MAX_ATTEMPTS = 16
"""Two routers of that sort, 40 ms apart, let the two meet after 1 to 7 attempts, 10 ms apart
after 4 to 12, for then the pauses are longer than what is under way."""
MIN_PAUSE = 0.05
"""What pauses are drawn from where a refusal takes less: the other side may begin later than we."""


class SimultaneousOpen:
    """A port that is ours, and one connection that may begin there."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.address: Address = sock.getsockname()[:2]
        """Ours, as it is on this side of the router."""

    @property
    def port(self) -> int:
        """Where the peer is to connect to, if our router keeps port numbers."""
        return self.address[1]

    @classmethod
    def reserve(cls, host: str) -> Self:
        """Take any free port on a host; raises `ListenError`."""
        try:
            return cls(bound_socket((host, 0)))
        except OSError as error:
            raise ListenError(f"no tcp port on {host}: {error.strerror}") from error

    def close(self) -> None:
        """Give the port back; a connection that was made goes on."""
        self._socket.close()

    async def connect(self, address: Address) -> TcpCarrier:
        """Connect to a peer that connects to us; raises `ConnectError`. Used once."""
        refusal: OSError | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WINDOW):
                for _ in range(MAX_ATTEMPTS):
                    try:
                        return await self._attempt(address)
                    except OSError as error:
                        refusal = error
        where = f"{Medium.PUNCHED_TCP} {format_address(address)}"
        why = refusal.strerror if refusal is not None else "no answer in time"
        raise ConnectError(f"cannot connect to {where}: {why}", [where]) from refusal

    async def _attempt(self, address: Address) -> TcpCarrier:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            await loop.sock_connect(self._socket, address)
        except OSError:
            self._socket.close()
            await asyncio.sleep(SystemRandom().uniform(0.0, max(MIN_PAUSE, loop.time() - begun)))
            self._socket = bound_socket(self.address)
            raise
        # The transport has a descriptor of its own, so that `close` is always right.
        made = partial(TcpCarrier, medium=Medium.PUNCHED_TCP)
        _, carrier = await loop.create_connection(made, sock=self._socket.dup())
        return carrier
