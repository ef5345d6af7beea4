"""Many datagrams in one system call, where the system can (Linux: UDP GSO and GRO).

A burst is one buffer with datagrams of one other end, each `size` bytes, the last perhaps
shorter. The kernel cuts it up behind us (UDP_SEGMENT) and joins what arrived together
(UDP_GRO); on loopback that is 1.7 GB/s where a call for each datagram gives 0.24. Elsewhere,
and where a path refuses, the same functions make a call for each.

Invariant: what a receiver sees does not depend on whether offloading is there.
Knows sockets. Must not know protocols, or the event loop.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from net.addresses import Address

SOL_UDP = 17
UDP_SEGMENT = 103
UDP_GRO = 104
"""From linux/udp.h; Python's socket module does not name them."""

MAX_DATAGRAM = 65_535
MAX_SEGMENTS = 64
"""Datagrams in one send: UDP_MAX_SEGMENTS of the kernels before 6.8."""
MAX_BURST = 65_000
"""Bytes in one send: an IP packet with its headers, before the kernel cuts it."""

NOT_OFFLOADED = {errno.EIO, errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP}
"""What a kernel answers when the device or path below cannot be given a burst."""


class Burst(NamedTuple):
    """Datagrams of one sender that were received together, `size` bytes each but the last."""

    data: bytes
    size: int
    address: Address

    def datagrams(self) -> list[bytes]:
        """Return them one by one."""
        data, size = self.data, self.size
        if len(data) <= size:
            return [data]
        return [data[start : start + size] for start in range(0, len(data), size)]


def bursts(datagrams: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Cut datagrams, in order, into what one send can carry."""
    start = 0
    while start < len(datagrams):
        size = len(datagrams[start])
        most = max(1, min(MAX_SEGMENTS, MAX_BURST // max(size, 1)))
        chunk = datagrams[start : start + most]
        sizes = list(map(len, chunk))
        if sizes.count(size) != len(sizes):
            other = next(at for at, length in enumerate(sizes) if length != size)
            chunk = chunk[: other + 1 if sizes[other] < size else other]
        yield chunk
        start += len(chunk)


class SegmentingSocket:
    """A bound, non-blocking UDP socket that takes and gives bursts."""

    def __init__(self, sock: socket.socket, *, offload: bool = True) -> None:
        self.socket = sock
        self.sends_bursts = offload and _offers(sock, UDP_SEGMENT, 0)
        self.receives_bursts = offload and _offers(sock, UDP_GRO, 1)

    def send(self, datagrams: Sequence[bytes], address: Address) -> int:
        """Send one burst as `bursts` cuts them; return how many datagrams the socket took.

        Raises `BlockingIOError` where there is no room for the first, and `OSError`.
        """
        if len(datagrams) > 1 and self.sends_bursts:
            size = len(datagrams[0]).to_bytes(2, sys.byteorder)
            try:
                self.socket.sendmsg(datagrams, [(SOL_UDP, UDP_SEGMENT, size)], 0, address)
            except OSError as error:
                if error.errno not in NOT_OFFLOADED:
                    raise
                self.sends_bursts = False
            else:
                return len(datagrams)
        self.socket.sendto(datagrams[0], address)
        return 1

    def receive(self) -> Burst:
        """Take what is next; raises `BlockingIOError` where there is nothing, and `OSError`."""
        if not self.receives_bursts:
            data, address = self.socket.recvfrom(MAX_DATAGRAM)
            return Burst(data, len(data), address[:2])
        data, ancillary, _, address = self.socket.recvmsg(MAX_DATAGRAM, 64)
        size = len(data)
        for level, kind, value in ancillary:
            if level == SOL_UDP and kind == UDP_GRO:
                size = int.from_bytes(value[:4], sys.byteorder)
        return Burst(data, size, address[:2])

    def lane(self, address: Address) -> SegmentingSocket | None:
        """Open a socket on the same port that receives what comes from an address, and only it.

        Linux gives a datagram to the socket that is connected to its sender, if there is one. None
        where the system does not, or has no more sockets.
        """
        if sys.platform != "linux":
            return None
        try:
            made = socket.socket(self.socket.family, socket.SOCK_DGRAM)
        except OSError:
            return None
        try:
            made.setblocking(False)
            # Set on a bound socket, this lets in further ones of the same user and nobody else.
            for sock in (self.socket, made):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if self.socket.family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            size = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
            made.bind(self.socket.getsockname())
            made.connect(address)
        except OSError:
            made.close()
            return None
        return SegmentingSocket(made, offload=self.receives_bursts)


def _offers(sock: socket.socket, option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(SOL_UDP, option, value)
    except OSError:
        return False
    return True
