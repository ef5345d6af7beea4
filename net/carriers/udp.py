"""One UDP port for several protocols: owns the sockets, tells protocols apart by the first byte.

Each wake-up drains many datagrams (asyncio's own endpoint takes one per turn of its loop)
and hands each protocol its share in one call. A port is one socket for each family, so an
IPv4 and an IPv6 address may be bound together. What cannot be sent at once waits in a short
queue; what does not fit there is lost, as datagrams may be.

Invariant: a range of first bytes has one handler at most. Must not know what is inside.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter, deque
from collections.abc import Callable, Sequence

from net.addresses import Address, family, format_address
from net.errors import ListenError

Handler = Callable[[Sequence[tuple[bytes, Address]]], None]
"""Takes the datagrams of one wake-up with the addresses that they came from."""

MAX_DRAIN = 64
"""Datagrams taken in one wake-up before other work gets a turn."""

MAX_DATAGRAM = 65_535
MAX_WAITING = 256
"""Datagrams that wait for room in the socket's buffer; more are dropped."""

BUFFER_SIZE = 1 << 20
"""Wished-for socket buffers: 50 ms of a fast path; the system may give less."""


class UdpSocket:
    """A bound UDP port. `open` makes one, `attach` adds a protocol, `send` serves all of them."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = {4 if s.family == socket.AF_INET else 6: s for s in sockets}
        self._waiting: dict[int, deque[tuple[bytes, Address]]] = {f: deque() for f in self._sockets}
        self._handlers: dict[int, Handler] = {}
        self.counters: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        for version, sock in self._sockets.items():
            self._loop.add_reader(sock.fileno(), self._readable, version)

    @classmethod
    async def open(cls, *hosts: str, port: int = 0) -> UdpSocket:
        """Bind a port on one host of each family, "127.0.0.1" and "::1" for example.

        Port 0 takes any free one. Raises `ListenError`.
        """
        sockets: list[socket.socket] = []
        try:
            for host in hosts:
                v6 = family((host, port)) == 6
                sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
                sockets.append(sock)
                sock.setblocking(False)
                if v6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                    sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_SIZE)
                sock.bind((host, port))
                port = sock.getsockname()[1]
        except OSError as error:
            for sock in sockets:
                sock.close()
            what = (
                "is in use"
                if error.errno == errno.EADDRINUSE
                else f"cannot be bound: {error.strerror}"
            )
            raise ListenError(
                f"UDP {format_address((hosts[len(sockets) - 1], port))} {what}"
            ) from error
        return cls(sockets)

    @property
    def addresses(self) -> list[Address]:
        """The bound addresses, one for each family."""
        return [sock.getsockname()[:2] for sock in self._sockets.values()]

    @property
    def families(self) -> frozenset[int]:
        """The IP versions that can be sent to."""
        return frozenset(self._sockets)

    def attach(self, first_bytes: range, handler: Handler) -> None:
        """Give a protocol the datagrams that start with one of these bytes."""
        taken = [byte for byte in first_bytes if byte in self._handlers]
        if taken:
            raise ValueError(f"first byte {taken[0]:#04x} already has a handler")
        self._handlers.update(dict.fromkeys(first_bytes, handler))

    def detach(self, first_bytes: range) -> None:
        """Take a protocol's bytes away again; its datagrams are dropped from now on."""
        for byte in first_bytes:
            self._handlers.pop(byte, None)

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram, now or when the socket has room; it may get lost."""
        version = family(address)
        sock = self._sockets.get(version)
        if sock is None:
            self.counters["no socket of the family"] += 1
            return
        waiting = self._waiting[version]
        if waiting:
            self._wait(version, data, address)
            return
        try:
            sock.sendto(data, address)
        except (BlockingIOError, InterruptedError):
            self._wait(version, data, address)
        except OSError:
            self.counters["unsendable"] += 1  # no route, or refused by a firewall

    def close(self) -> None:
        """Close the port. Closing twice is harmless."""
        for sock in self._sockets.values():
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())
            sock.close()
        self._sockets = {}
        self._handlers = {}

    def _wait(self, version: int, data: bytes, address: Address) -> None:
        waiting = self._waiting[version]
        if len(waiting) >= MAX_WAITING:
            self.counters["send queue full"] += 1
            return
        if not waiting:
            self._loop.add_writer(self._sockets[version].fileno(), self._writable, version)
        waiting.append((data, address))

    def _writable(self, version: int) -> None:
        sock, waiting = self._sockets[version], self._waiting[version]
        while waiting:
            try:
                sock.sendto(*waiting[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.counters["unsendable"] += 1
            waiting.popleft()
        self._loop.remove_writer(sock.fileno())

    def _readable(self, version: int) -> None:
        sock = self._sockets[version]
        shares: dict[Handler, list[tuple[bytes, Address]]] = {}
        for _ in range(MAX_DRAIN):
            try:
                data, address = sock.recvfrom(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self.counters["receive error"] += 1  # an ICMP message about something sent before
                continue
            handler = self._handlers.get(data[0]) if data else None
            if handler is None:
                self.counters["no protocol"] += 1
            else:
                shares.setdefault(handler, []).append((data, address[:2]))
        for handler, share in shares.items():
            handler(share)


def source_host(target: Address) -> str | None:
    """Return the local address from which a target would be reached, None without a route.

    Connecting a UDP socket sends nothing; it asks the system for its route.
    """
    version = family(target)
    with socket.socket(
        socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM
    ) as sock:
        try:
            sock.connect(target)
        except OSError:
            return None
        host: str = sock.getsockname()[0]
        return None if "%" in host else host  # link-local: of no use to others
