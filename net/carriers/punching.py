"""The shell around `Puncher`: the shared UDP port, extra sockets, the event loop's clock.

    puncher = Puncher(keys, mine, theirs, initiator=..., rng=..., secret=..., now=loop.time())
    punch = port.start(keys, puncher)
    way = await punch.punched()            # PunchError when there is none
    way.udp, way.address                   # a QUIC carrier can run here
    punch.close()

The many sockets of blind probing are opened when the puncher first sends from them and closed,
but for the one that was agreed on, when it has found a way. A punch goes on after that: it keeps
the way alive until it is closed.

Invariant: at most `MAX_PUNCHES` look for a way at a time, and at most `MAX_KEPT` keep one alive;
the next fails with `BUSY`. At most `MAX_BLIND` look with many sockets, the next makes do with the
shared port: strangers cannot make us open files without end.
Must not know how offers are exchanged, or what runs on the way. Specified in docs/spec/punch.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from feedlog.errors import DecodeError
from net.addresses import Address
from net.carriers.udp import UdpSocket
from net.errors import ClosedError, ListenError, PunchError
from net.punch.birthday import Path
from net.punch.hashing import PunchKeys
from net.punch.messages import PUNCH_TAG, session_of
from net.punch.puncher import Failed, Puncher

MAX_PUNCHES = 64
"""Punches that look for a way at a time."""
MAX_KEPT = 2048
"""Punches that keep a way alive: as many as a node has connections."""
MAX_BLIND = 2
"""Punches at a time that have sockets of their own to look with: 256 files each."""

BUSY = "BUSY"
"""The reason of a `PunchError` when too many punches run already."""

_TAGS = range(PUNCH_TAG, PUNCH_TAG + 1)


@dataclass(frozen=True, slots=True)
class Way:
    """Where the peer is reached: from this socket, at this address."""

    udp: UdpSocket
    address: Address
    local: int
    """Which socket of the punch it is: 0 is the shared port."""


class Punch:
    """One running punch."""

    def __init__(
        self, main: UdpSocket, puncher: Puncher, may_open: Callable[[], bool],
        closed: Callable[[Punch], None]
    ) -> None:  # fmt: skip
        self.puncher = puncher
        self._loop = asyncio.get_running_loop()
        self._may_open = may_open
        self._on_closed = closed
        self._sockets: dict[int, UdpSocket] = {0: main}
        self._timer: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._result: asyncio.Future[None] = self._loop.create_future()
        self._failure: PunchError | None = None
        self._closed = False

    @property
    def has_own_sockets(self) -> bool:
        """Whether it looks with sockets besides the shared one."""
        return len(self._sockets) + len(self._opening) > 2

    @property
    def is_settled(self) -> bool:
        """Whether a way has been found, or it is known that there is none."""
        return self._result.done()

    async def punched(self) -> Way:
        """Wait for the way; raises `PunchError`, or `ClosedError` when it is closed before."""
        await asyncio.shield(self._result)
        return self.way

    @property
    def way(self) -> Way:
        """The way as it is now; raises `PunchError` when it was lost, `ClosedError` when closed."""
        if self._failure is not None:
            raise self._failure
        path = self.puncher.path
        if path is None or self._closed:
            raise ClosedError("the punch is closed")
        return Way(self._sockets[path.socket], path.address, path.socket)

    def close(self) -> None:
        """Stop, and close the sockets that were opened for it. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self.puncher.close()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._opening:
            task.cancel()
        self._shut({0})
        if not self._result.done():
            self._result.set_result(None)
        self._on_closed(self)

    def received(self, data: bytes, address: Address, socket: int) -> None:
        """Take a datagram of this punch."""
        self.puncher.receive_datagram(data, address, self._loop.time(), socket)
        self.pump()

    def pump(self) -> None:
        """Send what is to be sent, tell of events, set the alarm."""
        if self._closed:
            return
        for data, address, number in self.puncher.datagrams_to_send(self._loop.time()):
            socket = self._sockets.get(number)
            if socket is not None:
                socket.send(data, address)
            elif self._may_open():
                task = self._loop.create_task(self._open(number, data, address))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
        while (event := self.puncher.next_event()) is not None:
            if isinstance(event, Failed):
                self._failed(event)
            else:
                self._found(event.path)
        if self._timer is not None:
            self._timer.cancel()
        when = self.puncher.next_timeout()
        if when is not None:
            self._timer = self._loop.call_at(when, self._wake)

    def _wake(self) -> None:
        self.puncher.handle_timeout(self._loop.time())
        self.pump()

    def _found(self, path: Path) -> None:
        self._shut({0, path.socket})
        if not self._result.done():
            self._result.set_result(None)

    def _failed(self, event: Failed) -> None:
        reason = event.reason
        self._failure = PunchError(f"no hole: {reason.value}", reason.name, self.puncher.tried)
        self._shut({0})
        self._on_closed(self)
        if not self._result.done():
            self._result.set_result(None)

    async def _open(self, number: int, data: bytes, address: Address) -> None:
        host = "::" if ":" in address[0] else "0.0.0.0"  # noqa: S104 - a hole lets in one peer
        with contextlib.suppress(ListenError):  # out of files: fewer sockets make a longer search
            socket = await UdpSocket.open(host)
            if self._closed or number in self._sockets or self.puncher.path is not None:
                socket.close()
                return
            self._sockets[number] = socket

            def received(datagrams: Sequence[tuple[bytes, Address]]) -> None:
                for got, source in datagrams:
                    self.received(got, source, number)

            socket.attach(_TAGS, received)
            socket.send(data, address)

    def _shut(self, kept: set[int]) -> None:
        for number in [number for number in self._sockets if number not in kept]:
            self._sockets.pop(number).close()


class PunchPort:
    """All punches on one shared UDP port; tells their datagrams apart by session."""

    def __init__(self, udp: UdpSocket) -> None:
        self._udp = udp
        self._punches: dict[bytes, Punch] = {}
        udp.attach(_TAGS, self._received)

    def start(self, keys: PunchKeys, puncher: Puncher) -> Punch:
        """Begin a punch; raises `PunchError` when too many run."""
        looking = sum(not punch.is_settled for punch in self._punches.values())
        kept = len(self._punches) - looking
        if looking >= MAX_PUNCHES or kept >= MAX_KEPT or keys.session in self._punches:
            limits = f"limits {MAX_PUNCHES} and {MAX_KEPT}"
            raise PunchError(f"{looking} punches run and {kept} ways are kept, {limits}", BUSY)

        def may_open() -> bool:
            others = [p for p in self._punches.values() if p is not punch and p.has_own_sockets]
            return len(others) < MAX_BLIND

        def closed(_: Punch) -> None:
            self._punches.pop(keys.session, None)

        punch = self._punches[keys.session] = Punch(self._udp, puncher, may_open, closed)
        punch.pump()
        return punch

    def close(self) -> None:
        """End all punches and give the shared port's byte back."""
        self._udp.detach(_TAGS)
        for punch in list(self._punches.values()):
            punch.close()

    def _received(self, datagrams: Sequence[tuple[bytes, Address]]) -> None:
        for data, address in datagrams:
            try:
                punch = self._punches.get(session_of(data))
            except DecodeError:
                self._udp.counters["punch malformed"] += 1
                continue
            if punch is not None:
                punch.received(data, address, 0)
