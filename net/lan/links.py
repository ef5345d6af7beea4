"""Multicast on every interface of this machine: one socket a family, joined to all of them.

Interfaces come and go (a cable, a wireless network, a laptop that wakes up): `refresh` joins on
those that are new. What an interface does not take is dropped there and goes out of the others.
The sockets are bound to the group and not to a host, so nothing arrives that was sent to us
alone; several processes share the port.

Knows sockets. Must not know what is in a datagram, or the event loop.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from net.addresses import Address, family, reach
from net.errors import ListenError

PORT = 49738

HOPS = 1
"""Routers do not pass it on."""

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound

LOOPBACK = {"lo", "lo0"}
"""What systems call the interface to oneself. It takes no source address from the others."""

MAX_DATAGRAM = 1500


class MulticastSocket:
    """A socket for one group, on all interfaces or on that of one IPv4 host."""

    def __init__(self, host: str, group: bytes) -> None:
        self._v6 = family((host, PORT)) == 6
        if self._v6 and host not in EVERYWHERE:
            raise ValueError(f"IPv6 is for all interfaces, [::], and not for {host} alone")
        self.host = host
        self._group = group
        self._joined: dict[int, str] = {}
        self.counters: Counter[str] = Counter()
        version = socket.AF_INET6 if self._v6 else socket.AF_INET
        name = socket.inet_ntop(version, group)
        try:
            with contextlib.ExitStack() as stack:
                self.socket = stack.enter_context(socket.socket(version, socket.SOCK_DGRAM))
                self._set_up(name)
                self.refresh()
                stack.pop_all()
        except OSError as error:
            raise ListenError(f"no multicast to {name}: {error.strerror}") from error
        self._address = name, PORT

    def _set_up(self, group: str) -> None:
        sock = self.socket
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform != "linux":  # there the former is enough, also for two users' processes
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if self._v6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOPS)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOPS)
        sock.bind((group, PORT))

    @property
    def interfaces(self) -> list[str]:
        """The names of the interfaces that are joined."""
        return list(self._joined.values())

    def is_stranded(self) -> bool:
        """Tell whether the host is on another interface than the one that was joined for it.

        A cable that is pulled out and in, a wireless network that is turned off and on: the system
        forgets the group with the interface. Such a socket is of no use; open another.
        """
        if self.host in EVERYWHERE:
            return False
        try:
            self._join(0)
        except OSError:
            return False  # it is joined there already, or no interface has the host now
        return True

    def refresh(self) -> bool:
        """Join on the interfaces that have come since; tell whether there were any.

        Raises `OSError` for one host that no interface has.
        """
        if self.host not in EVERYWHERE:
            if self._joined:
                return False
            self._join(0)
            self._joined[0] = self.host
            return True
        try:
            present = dict(socket.if_nameindex())
        except OSError:
            return False  # this process has no file left to ask the system with
        for index in [i for i, name in self._joined.items() if present.get(i) != name]:
            del self._joined[index]  # the system has left the group with the interface
        fresh = {i: name for i, name in present.items() if i not in self._joined}
        for index in list(fresh):
            try:
                self._join(index)
            except OSError:
                del fresh[index]  # one that knows no multicast, or not this family
        self._joined.update(fresh)
        return bool(fresh)

    def send(self, datagrams: Sequence[bytes]) -> None:
        """Send to the group on every interface; what cannot be sent is counted."""
        level = socket.IPPROTO_IPV6 if self._v6 else socket.IPPROTO_IP
        option = socket.IPV6_MULTICAST_IF if self._v6 else socket.IP_MULTICAST_IF
        for index in self._joined:
            try:
                self.socket.setsockopt(level, option, self._interface(index))
                for data in datagrams:
                    self.socket.sendto(data, self._address)
            except OSError:
                self.counters["unsendable"] += 1  # down, without an address, or full

    def receive(self, most: int) -> Iterator[tuple[bytes, Address]]:
        """Yield up to `most` datagrams that have come."""
        for _ in range(most):
            try:
                data, address = self.socket.recvfrom(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.counters["receive error"] += 1
                continue
            if reach(address[0]) >= 0:
                yield data, address[:2]

    def close(self) -> None:
        """Leave the group."""
        self.socket.close()

    def _join(self, index: int) -> None:
        if self._v6:
            option, wanted = socket.IPV6_JOIN_GROUP, self._group + self._interface(index)
            self.socket.setsockopt(socket.IPPROTO_IPV6, option, wanted)
        else:
            wanted = self._interface(index)
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, wanted)

    def _interface(self, index: int) -> bytes:
        """Return how the system wants an interface named: struct ip_mreqn, or IPv6's number."""
        number = index.to_bytes(4, sys.byteorder)
        if self._v6:
            return number
        name = self._joined.get(index)
        host = "127.0.0.1" if name in LOOPBACK else self.host
        return self._group + socket.inet_aton(host) + number


def open_sockets(
    hosts: Sequence[str], groups: tuple[bytes, bytes]
) -> tuple[list[MulticastSocket], list[str]]:
    """Open a socket for each host, "0.0.0.0" and "::" for example; also return what failed."""
    sockets: list[MulticastSocket] = []
    failures: list[str] = []
    with contextlib.ExitStack() as stack:
        for host in hosts:
            try:
                sock = MulticastSocket(host, groups[family((host, PORT)) == 6])
            except ListenError as error:
                failures.append(str(error))
                continue
            stack.callback(sock.close)
            sockets.append(sock)
        stack.pop_all()
    return sockets, failures
