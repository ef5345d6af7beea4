"""What a node listens on: one port number for TCP and UDP, on one host of each family.

QUIC and hole punching share the UDP port with the DHT, so that the address which DHT nodes
see is the one that a peer can reach.

Invariant: all or nothing is open. Must not know who connects, or why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from net.addresses import Address, family, format_address
from net.carriers.base import Carrier
from net.carriers.punching import PunchPort
from net.carriers.quic import QuicPort
from net.carriers.tcp_listener import TcpListener, listen_tcp
from net.carriers.udp import UdpSocket
from net.errors import ListenError

ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - a node is there to be reached
"""Every host of this machine, of both families."""

PORT_ATTEMPTS = 16
"""Numbers that are tried where any will do and TCP has taken what UDP has free."""


class Ports:
    """Open ports; made by `open`."""

    def __init__(
        self, udp: UdpSocket, listener: TcpListener, accepted: Callable[[Carrier], None]
    ) -> None:
        self.udp = udp
        self.listener = listener
        self.quic_arrived = accepted
        """Who is given the carriers that come over QUIC; a rendezvous looks at them first."""
        self.quic = QuicPort(udp, self._quic_arrived)
        self.punching = PunchPort(udp)

    @classmethod
    async def open(
        cls, hosts: Sequence[str], port: int, accepted: Callable[[Carrier], None]
    ) -> Ports:
        """Listen; `accepted` is given what others open. Port 0 takes any; raises `ListenError`.

        A machine without IPv6 does without it where `hosts` is `ANYWHERE`.
        """
        for attempt in range(PORT_ATTEMPTS):
            udp, bound = await _open_udp(hosts, port)
            number = udp.addresses[0][1]
            try:
                listener = await listen_tcp(accepted, bound, number)
            except ListenError:
                udp.close()
                if port or attempt == PORT_ATTEMPTS - 1:
                    raise
            else:
                return cls(udp, listener, accepted)
        raise AssertionError("the last attempt returns or raises")

    @property
    def number(self) -> int:
        """The port number."""
        return self.udp.addresses[0][1]

    @property
    def hosts(self) -> list[str]:
        """The hosts that are bound, "0.0.0.0" and "::" for all of a family."""
        return [host for host, _ in self.udp.addresses]

    @property
    def address(self) -> str:
        """Host and port, for people."""
        return format_address(self.udp.addresses[0])

    def reaches(self, address: Address) -> bool:
        """Tell whether datagrams can be sent to an address of that family."""
        return family(address) in self.udp.families

    def _quic_arrived(self, carrier: Carrier) -> None:
        self.quic_arrived(carrier)

    def stop(self) -> None:
        """Accept no more TCP connections."""
        self.listener.close()

    def close(self) -> None:
        """Close all, with the connections over UDP; those over TCP go on."""
        self.listener.close()
        self.punching.close()
        self.quic.close()
        self.udp.close()


async def _open_udp(hosts: Sequence[str], port: int) -> tuple[UdpSocket, list[str]]:
    try:
        return await UdpSocket.open(*hosts, port=port), list(hosts)
    except ListenError:
        if tuple(hosts) != ANYWHERE:
            raise
    return await UdpSocket.open(ANYWHERE[0], port=port), list(ANYWHERE[:1])
