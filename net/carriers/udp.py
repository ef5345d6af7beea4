"""One UDP port for several protocols: owns the sockets, tells protocols apart by the first byte.

Each wake-up drains many datagrams (asyncio's own endpoint takes one per turn of its loop)
and hands each protocol its share in one call. A port is one socket for each family, so an
IPv4 and an IPv6 address may be bound together. What cannot be sent at once waits in a short
queue; what does not fit there is lost, as datagrams may be.

    first byte   protocol
    10           DHT
    11 .. 3f     free (no bit 40, so never QUIC)
    40 .. 7f     QUIC, short header
    c0 .. ff     QUIC, long header

A protocol that gets many datagrams of one sender at once takes them as bursts
(`attach_bursts`), the others one by one (`attach`). A sender that we know can be given a *lane*
(`prefer`): a second socket on the port, connected to it, with a buffer that nobody else fills. So
a flood from elsewhere costs others' datagrams, and not his (Linux).

Invariant: a first byte has one handler at most. Must not know what is inside.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence

from net.addresses import Address, family, format_address
from net.carriers.segments import Burst, SegmentingSocket, bursts
from net.errors import ListenError

Handler = Callable[[Sequence[tuple[bytes, Address]]], None]
"""Takes the datagrams of one wake-up with the addresses that they came from."""
BurstHandler = Callable[[Sequence[Burst]], None]
"""Takes them as they came: those of one sender together."""

MAX_DRAIN = 64
"""Reads in one wake-up before other work gets a turn."""
MAX_DRAIN_SIZE = 1 << 20
"""Bytes read in one wake-up, which matters where a read brings many datagrams."""

MAX_WAITING = 256
"""Datagrams that wait for room in the socket's buffer; more are dropped."""

MAX_LANES = 128
"""Senders with a socket of their own: a process may have 1,024 files open, as a rule."""

BUFFER_SIZE = 1 << 20
"""Wished-for socket buffers: 50 ms of a fast path; the system may give less."""


class UdpSocket:
    """A bound UDP port. `open` makes one, `attach` adds a protocol, `send` serves all of them."""

    def __init__(self, sockets: Sequence[socket.socket], *, offload: bool = True) -> None:
        self._sockets = {
            4 if s.family == socket.AF_INET else 6: SegmentingSocket(s, offload=offload)
            for s in sockets
        }
        self._waiting: dict[int, deque[tuple[bytes, Address]]] = {f: deque() for f in self._sockets}
        self._handlers: dict[int, BurstHandler] = {}
        self._room_wanted: list[Callable[[], None]] = []
        self._lanes: dict[Address, SegmentingSocket] = {}
        self._preferred: Counter[Address] = Counter()
        self.counters: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        for sock in self._sockets.values():
            self._loop.add_reader(sock.socket.fileno(), self._readable, sock)

    @classmethod
    async def open(cls, *hosts: str, port: int = 0, offload: bool = True) -> UdpSocket:
        """Bind a port on one host of each family, "127.0.0.1" and "::1" for example.

        Port 0 takes any free one; `offload=False` makes a system call for each datagram.
        Raises `ListenError`.
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
        return cls(sockets, offload=offload)

    @property
    def addresses(self) -> list[Address]:
        """The bound addresses, one for each family."""
        return [sock.socket.getsockname()[:2] for sock in self._sockets.values()]

    @property
    def families(self) -> frozenset[int]:
        """The IP versions that can be sent to."""
        return frozenset(self._sockets)

    def attach(self, first_bytes: Collection[int], handler: Handler) -> None:
        """Give a protocol the datagrams that start with one of these bytes, one by one."""

        def split(share: Sequence[Burst]) -> None:
            handler([(data, burst.address) for burst in share for data in burst.datagrams()])

        self.attach_bursts(first_bytes, split)

    def attach_bursts(self, first_bytes: Collection[int], handler: BurstHandler) -> None:
        """Give a protocol the datagrams that start with one of these bytes, as they came."""
        taken = [byte for byte in first_bytes if byte in self._handlers]
        if taken:
            raise ValueError(f"first byte {taken[0]:#04x} already has a handler")
        self._handlers.update(dict.fromkeys(first_bytes, handler))

    def detach(self, first_bytes: Collection[int]) -> None:
        """Take a protocol's bytes away again; its datagrams are dropped from now on."""
        for byte in first_bytes:
            self._handlers.pop(byte, None)

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram, now or when the socket has room; it may get lost."""
        self.send_many((data,), address)

    def send_many(self, datagrams: Sequence[bytes], address: Address) -> None:
        """Send datagrams to one address, with as few system calls as the system allows."""
        version = family(address)
        sock = self._sockets.get(version)
        if sock is None:
            self.counters["no socket of the family"] += len(datagrams)
            return
        if self._waiting[version]:
            self._wait(version, datagrams, address)
            return
        for burst in bursts(datagrams):
            sent = 0
            while sent < len(burst):
                try:
                    sent += sock.send(burst[sent:] if sent else burst, address)
                except (BlockingIOError, InterruptedError):
                    self._wait(version, burst[sent:], address)
                    break
                except OSError:
                    self.counters["unsendable"] += 1  # no route, or refused by a firewall
                    sent += 1

    def prefer(self, address: Address) -> None:
        """Keep room for what comes from an address, until `forget` is called as often."""
        self._preferred[address] += 1
        main = self._sockets.get(family(address))
        if main is None or self._preferred[address] > 1 or len(self._lanes) >= MAX_LANES:
            return
        lane = main.lane(address)
        if lane is not None:
            self._lanes[address] = lane
            self._loop.add_reader(lane.socket.fileno(), self._readable, lane)

    def forget(self, address: Address) -> None:
        """Treat an address as any other again."""
        self._preferred[address] -= 1
        if self._preferred[address] <= 0:
            del self._preferred[address]
            if (lane := self._lanes.pop(address, None)) is not None:
                self._close(lane)

    def has_room(self) -> bool:
        """Tell whether what is sent now need not wait."""
        return not any(self._waiting.values())

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call once when nothing waits to be sent any more."""
        self._room_wanted.append(callback)

    def close(self) -> None:
        """Close the port. Closing twice is harmless."""
        for sock in (*self._sockets.values(), *self._lanes.values()):
            self._close(sock)
        self._sockets = {}
        self._lanes = {}
        self._handlers = {}
        self._room_wanted = []

    def _close(self, sock: SegmentingSocket) -> None:
        self._loop.remove_reader(sock.socket.fileno())
        self._loop.remove_writer(sock.socket.fileno())
        sock.socket.close()

    def _wait(self, version: int, datagrams: Sequence[bytes], address: Address) -> None:
        waiting = self._waiting[version]
        if not waiting:
            sock = self._sockets[version].socket
            self._loop.add_writer(sock.fileno(), self._writable, version)
        room = MAX_WAITING - len(waiting)
        if len(datagrams) > room:
            self.counters["send queue full"] += len(datagrams) - room
        waiting.extend((data, address) for data in datagrams[:room])

    def _writable(self, version: int) -> None:
        sock, waiting = self._sockets[version].socket, self._waiting[version]
        while waiting:
            try:
                sock.sendto(*waiting[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.counters["unsendable"] += 1
            waiting.popleft()
        self._loop.remove_writer(sock.fileno())
        if not self.has_room():
            return
        wanted, self._room_wanted = self._room_wanted, []
        for callback in wanted:
            callback()

    def _readable(self, sock: SegmentingSocket) -> None:
        shares: dict[BurstHandler, list[Burst]] = {}
        taken = 0
        for _ in range(MAX_DRAIN):
            try:
                burst = sock.receive()
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self.counters["receive error"] += 1  # an ICMP message about something sent before
                continue
            self._share_out(burst, shares)
            taken += len(burst.data)
            if taken >= MAX_DRAIN_SIZE:
                break
        for handler, share in shares.items():
            handler(share)

    def _share_out(self, burst: Burst, shares: dict[BurstHandler, list[Burst]]) -> None:
        """Give a burst to the handler of its first bytes, or each datagram to its own."""
        data, size, address = burst
        if len(data) <= size:
            handlers = {self._handlers.get(data[0]) if data else None}
        else:
            handlers = {self._handlers.get(byte) for byte in set(data[::size])}
        if len(handlers) > 1:
            for datagram in burst.datagrams():
                self._share_out(Burst(datagram, len(datagram), address), shares)
            return
        handler = handlers.pop()
        if handler is None:
            self.counters["no protocol"] += max(1, -(-len(data) // max(size, 1)))
        else:
            shares.setdefault(handler, []).append(burst)


def source_host(target: Address) -> str | None:
    """Return the local address from which a target would be reached, None without a route.

    Connecting a UDP socket sends nothing; it asks the system for its route. Raises `OSError`
    where this process has no file left to ask with, which says nothing about the route.
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
