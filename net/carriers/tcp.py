"""TCP: the carrier of first choice wherever it connects.

Bytes are read into one buffer that is used again for every read, and decrypted out of
it, so the kernel's copy is the only one before the plaintext.
Must not know Noise. The border to the operating system: `OSError` becomes
`ConnectError` here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from net.addresses import Address, canonical, family
from net.carriers.base import HIGH_WATER, LOW_WATER, Receiver
from net.carriers.medium import Medium
from net.errors import ConnectError

IDLE = 10
PROBE_EVERY = 3
PROBES = 3
"""Seconds of silence after which the system asks whether the other end is there, seconds between
questions, and how many go unanswered until the connection is lost: 19 s in all. An end whose
address was taken away says nothing, and TCP alone would wait for it for hours."""

READ_BUFFER = 512 << 10
"""Bytes read at once; eight records. Allocated per connection when it first reads much."""
SMALL_READ_BUFFER = 16 << 10
"""What an idle connection holds: a thousand of them make 16 MB."""


class TcpCarrier(asyncio.BufferedProtocol):
    """One TCP connection."""

    def __init__(
        self,
        accepted: Callable[[TcpCarrier], None] | None = None,
        *,
        medium: Medium = Medium.TCP,
    ) -> None:
        self.binding = b""
        self.medium = medium
        self.description = str(medium)
        self.address: Address | None = None
        self._accepted = accepted
        self._receiver: Receiver | None = None
        self._buffer = bytearray(SMALL_READ_BUFFER)
        self._view = memoryview(self._buffer)
        self._transport: asyncio.Transport | None = None
        self._ended = False
        self._lost: tuple[Exception | None] | None = None

    # What the carrier's user calls.

    def start(self, receiver: Receiver) -> None:
        """Begin to deliver."""
        self._receiver = receiver
        if self._lost is not None:
            asyncio.get_running_loop().call_soon(receiver.carrier_lost, self._lost[0])
        elif self._transport is not None:
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def write_end(self) -> None:
        """Send the end of this direction."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def pause_reading(self) -> None:
        """Deliver no more until `resume_reading`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Send what was written, then end."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End at once."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connected socket."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.pause_reading()
        transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _keep_alive(connection)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            # Bytes handed to the kernel cannot be overtaken by urgent ones: keep them few.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, HIGH_WATER)
        peer = transport.get_extra_info("peername")
        self.description = f"{self.medium} {format_address(peer)}"
        if peer and "%" not in peer[0]:  # a link-local address says nothing without its link
            self.address = canonical(peer[:2])
        if self._accepted is not None:
            self._accepted(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Give asyncio the place to read into."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Deliver what was read."""
        assert self._receiver is not None, "bytes before start"
        self._receiver.data_received(self._view[:nbytes])
        if nbytes == len(self._buffer) < READ_BUFFER:
            self._buffer = bytearray(READ_BUFFER)
            self._view = memoryview(self._buffer)

    def eof_received(self) -> bool:
        """Pass on that the other end writes no more; our direction stays open."""
        if self._receiver is not None:
            self._receiver.carrier_ended()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that the connection is gone."""
        self._lost = (exc,)
        if self._receiver is not None:
            self._receiver.carrier_lost(exc)

    def pause_writing(self) -> None:
        """Pass on that unsent bytes pile up."""
        if self._receiver is not None:
            self._receiver.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that they have gone."""
        if self._receiver is not None:
            self._receiver.resume_writing()


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", IDLE),
        ("TCP_KEEPINTVL", PROBE_EVERY),
        ("TCP_KEEPCNT", PROBES),
    ):
        if hasattr(socket, name):  # else the system has its own idea of it
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def format_address(address: tuple[object, ...] | None) -> str:
    """Write a socket address for people: `192.0.2.1:80`, `[2001:db8::1]:80`."""
    if not address:
        return "unknown"
    host, port = str(address[0]), address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bound_socket(address: Address) -> socket.socket:
    """Return a socket of one family that is bound to an address of ours; raises `OSError`."""
    v6 = family(address) == 6
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET)
    try:
        sock.setblocking(False)
        # Connections of a moment ago, which the system remembers, keep nobody from the port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if v6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


async def connect_tcp(host: str, port: int) -> TcpCarrier:
    """Connect; raises `ConnectError`. Cancel it to give up."""
    loop = asyncio.get_running_loop()
    try:
        _, carrier = await loop.create_connection(TcpCarrier, host, port)
    except OSError as error:
        where = f"{Medium.TCP} {format_address((host, port))}"
        raise ConnectError(f"cannot connect to {where}: {error}", [where]) from error
    return carrier
