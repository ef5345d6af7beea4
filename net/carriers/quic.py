"""QUIC as a carrier, over a UDP port that other protocols share.

    port = QuicPort(udp, accepted)            # accepted(carrier) for each that comes
    carrier = await port.connect(address)

The shell around `net.carriers.quic_endpoint`: it moves datagrams, wakes the endpoint when
it asks for it and gives each carrier's events to its receiver. The path below may change
its ports and addresses; the carrier does not notice: where a peer's datagrams come from, ours
go, and when our own address changes (a laptop wakes elsewhere), each peer hears from us. Its
`binding` is the hash of the server's certificate: see `net.carriers.certificate`.

Invariant: what a carrier holds is bounded: unsent bytes by HIGH_WATER and one `write`,
unread ones by QUIC's window (`quic_connection.WINDOW`).
Must not know Noise, or how addresses are found.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Sequence

from net.addresses import Address, canonical, format_address
from net.carriers.base import HIGH_WATER, LOW_WATER, Receiver
from net.carriers.certificate import make_certificate
from net.carriers.hashing import certificate_binding
from net.carriers.medium import Medium
from net.carriers.quic_endpoint import QuicEndpoint
from net.carriers.quic_link import LinkData, LinkEnded, LinkEvent, LinkLost, LinkOpened, QuicLink
from net.carriers.quic_packet import QUIC_BYTES
from net.carriers.segments import Burst
from net.carriers.udp import UdpSocket, source_host
from net.errors import ClosedError, ConnectError

CONNECT_TIMEOUT = 5.0

WATCH_EVERY = 2.0
"""Seconds between two looks at the address that we reach each peer from: 20 us a peer."""


class QuicCarrier:
    """One QUIC connection."""

    def __init__(self, port: QuicPort, link: QuicLink) -> None:
        self.binding = b""
        self.medium = Medium.QUIC
        self._port = port
        self._link = link
        self._receiver: Receiver | None = None
        self._full = False
        self._lost: tuple[Exception | None] | None = None

    @property
    def description(self) -> str:
        """Which way the bytes go, for people."""
        return f"{self.medium} {format_address(self._link.path.address)}"

    @property
    def address(self) -> Address:
        """Where the other end is known to be; it may move."""
        return self._link.path.proven_address

    # What the carrier's user calls.

    def start(self, receiver: Receiver) -> None:
        """Begin to deliver."""
        self._receiver = receiver
        if self._lost is not None:
            asyncio.get_running_loop().call_soon(receiver.carrier_lost, self._lost[0])
        else:
            self.resume_reading()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._link.send(data)
        self._port.touch(self._link)
        if not self._full and self._receiver is not None and self._link.unsent > HIGH_WATER:
            self._full = True
            self._receiver.pause_writing()

    def write_end(self) -> None:
        """Send the end of this direction."""
        self._link.send_end()
        self._port.touch(self._link)

    def pause_reading(self) -> None:
        """Deliver no more until `resume_reading`."""
        self._link.hold()

    def resume_reading(self) -> None:
        """Deliver again."""
        self._link.release()
        self._port.touch_soon(self._link)

    def close(self) -> None:
        """Send what was written, then end."""
        self._link.close()
        self._port.touch_soon(self._link)

    def abort(self) -> None:
        """End at once."""
        self._link.abort()
        self._port.touch_soon(self._link)

    # What the port calls.

    def take(self, event: LinkEvent) -> None:
        """Pass on what has happened."""
        if isinstance(event, LinkLost):
            self._lost = (event.error,)
        receiver = self._receiver
        if receiver is None:
            return
        match event:
            case LinkData(data):
                receiver.data_received(data)
            case LinkEnded():
                receiver.carrier_ended()
            case LinkLost(error):
                receiver.carrier_lost(error)

    def sent(self) -> None:
        """Let the receiver write again where there is room; not called from inside its write."""
        if self._full and self._receiver is not None and self._link.unsent < LOW_WATER:
            self._full = False
            if self._lost is None:
                self._receiver.resume_writing()


class QuicPort:
    """QUIC on a UDP port that it shares and does not own.

    `accepted` is given the carriers that others open; without it nobody can.
    """

    def __init__(
        self, udp: UdpSocket, accepted: Callable[[QuicCarrier], None] | None = None
    ) -> None:
        self._udp = udp
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        certificate = make_certificate()
        self._binding = certificate.binding
        self._endpoint = QuicEndpoint(
            certificate,
            secret=secrets.token_bytes(32),
            random=secrets.token_bytes,
            accepting=accepted is not None,
        )
        self._carriers: dict[QuicLink, QuicCarrier] = {}
        self._connecting: dict[QuicLink, asyncio.Future[QuicCarrier]] = {}
        self._lanes: dict[QuicLink, Address] = {}
        self._sources: dict[QuicLink, str | None] = {}
        self._watch = self._loop.call_later(WATCH_EVERY, self._look_around)
        self._timer: asyncio.TimerHandle | None = None
        self._pumping = self._pump_due = self._waiting = self._closed = False
        udp.attach_bursts(QUIC_BYTES, self._received)

    @property
    def counters(self) -> Counter[str]:
        """What was refused, and why."""
        return self._endpoint.counters

    async def connect(
        self,
        address: Address,
        *,
        timeout: float = CONNECT_TIMEOUT,  # noqa: ASYNC109 - the error says what was tried
    ) -> QuicCarrier:
        """Connect to a numeric address; raises `ConnectError`. Cancel it to give up."""
        if self._closed:
            raise ClosedError("the QUIC port is closed")
        where = f"{Medium.QUIC} {format_address(address)}"
        link = self._endpoint.connect(canonical(address), self._loop.time())
        opened: asyncio.Future[QuicCarrier] = self._loop.create_future()
        self._connecting[link] = opened
        self.touch(link)
        try:
            async with asyncio.timeout(timeout):
                return await opened
        except TimeoutError as error:
            link.abort()
            self.touch(link)
            reason = f"no answer in {timeout:g} s"
            raise ConnectError(f"cannot connect to {where}: {reason}", [where]) from error
        except OSError as error:
            raise ConnectError(f"cannot connect to {where}: {error}", [where]) from error
        except asyncio.CancelledError:
            link.abort()
            self.touch(link)
            raise
        finally:
            self._connecting.pop(link, None)

    def close(self) -> None:
        """Abort every connection and leave the port. Closing twice is harmless."""
        if self._closed:
            return
        for link in self._endpoint.links:
            link.abort()
            self._endpoint.touch(link)
        self._pump()
        self._closed = True  # a carrier that closes us from inside the pump is sent for by it
        for link in list(self._lanes):
            self._leave_lane(link)
        self._udp.detach(QUIC_BYTES)
        self._watch.cancel()
        if self._timer is not None:
            self._timer.cancel()

    # What carriers call.

    def touch(self, link: QuicLink) -> None:
        """Send what a link has to send; what it has to tell waits for the next turn."""
        self._endpoint.touch(link)
        if not self._pumping and not self._closed and self._udp.has_room():
            if datagrams := self._endpoint.datagrams_of(link, self._loop.time()):
                self._udp.send_many(datagrams, link.path.address)
            self._set_alarm()
        self._pump_soon()

    def touch_soon(self, link: QuicLink) -> None:
        """Send and tell in the next turn of the loop."""
        self._endpoint.touch(link)
        self._pump_soon()

    # Moving things.

    def _received(self, bursts: Sequence[Burst]) -> None:
        # A link-local address with a scope is none that qh3 or a peer could name.
        usable = [burst for burst in bursts if "%" not in burst.address[0]]
        self._endpoint.receive(usable, self._loop.time())
        self._pump()

    def _wake(self) -> None:
        self._timer = None
        self._endpoint.handle_timeout(self._loop.time())
        self._pump()

    def _look_around(self) -> None:
        """Tell peers whom we reach from another address than before, or again, where we are."""
        self._watch = self._loop.call_later(WATCH_EVERY, self._look_around)
        for link in self._carriers:
            before = self._sources[link]
            source = self._sources[link] = self._source(link)
            if source != before and source is not None:
                self._leave_lane(link)  # which is tied to the old address
                self._take_lane(link)
                link.nudge(self._loop.time())
                self.touch_soon(link)

    def _source(self, link: QuicLink) -> str | None:
        """Return from which address we reach a peer: as before where nothing can be asked."""
        try:
            return source_host(link.path.address)
        except OSError:
            return self._sources.get(link)

    def _pump(self) -> None:
        """Tell what has happened, send what is to be sent, and set the alarm."""
        self._pump_due = False
        if self._closed or self._pumping:
            return
        self._pumping = True
        try:
            while (told := self._endpoint.next_event()) is not None:
                self._tell(*told)
            self._send()
        finally:
            self._pumping = False
        if self._endpoint.has_events or (self._endpoint.dirty and not self._waiting):
            self._pump_soon()
        self._set_alarm()

    def _send(self) -> None:
        links = self._endpoint.dirty
        if self._is_blocked():
            return
        for address, datagrams in self._endpoint.datagrams_to_send(self._loop.time()):
            self._udp.send_many(datagrams, address)
            if self._is_blocked():
                break
        for link in links:
            if (carrier := self._carriers.get(link)) is not None:
                if link.path.proven and self._lanes.get(link) != link.path.address:
                    self._leave_lane(link)
                    self._take_lane(link)
                carrier.sent()

    def _is_blocked(self) -> bool:
        """Tell whether the socket is full; the pump goes on when it is not any more."""
        if self._udp.has_room():
            return False
        if not self._waiting:
            self._waiting = True
            self._udp.when_room(self._has_room)
        return True

    def _has_room(self) -> None:
        self._waiting = False
        self._pump()

    def _pump_soon(self) -> None:
        if not self._pump_due and not self._pumping:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _set_alarm(self) -> None:
        due = self._endpoint.next_timeout()
        if self._closed or due is None:
            return
        if self._timer is None or due < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due, self._wake)

    def _tell(self, link: QuicLink, event: LinkEvent) -> None:
        if isinstance(event, LinkOpened):
            self._opened(link)
            return
        carrier = self._carriers.get(link)
        if carrier is not None:
            carrier.take(event)
        if isinstance(event, LinkLost):
            if self._carriers.pop(link, None) is not None:
                self._leave_lane(link)
                del self._sources[link]
            waiter = self._connecting.get(link)
            if waiter is not None and not waiter.done():
                waiter.set_exception(event.error or ConnectionAbortedError("given up"))

    def _take_lane(self, link: QuicLink) -> None:
        """Keep the datagrams of a peer that is let in apart from those of strangers."""
        if not self._closed:
            self._lanes[link] = link.path.address
            self._udp.prefer(link.path.address)

    def _leave_lane(self, link: QuicLink) -> None:
        address = self._lanes.pop(link, None)
        if address is not None:
            self._udp.forget(address)

    def _opened(self, link: QuicLink) -> None:
        carrier = self._carriers[link] = QuicCarrier(self, link)
        self._sources[link] = self._source(link)
        self._take_lane(link)
        if not link.client:
            carrier.binding = self._binding
            assert self._accepted is not None, "nobody is let in without it"
            self._accepted(carrier)
            return
        shown = link.connection.get_peercert()
        assert shown is not None, "the handshake is done"
        carrier.binding = certificate_binding(shown.public_bytes())
        waiter = self._connecting.get(link)
        if waiter is not None and not waiter.done():
            waiter.set_result(carrier)
