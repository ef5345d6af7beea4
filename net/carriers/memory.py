"""Two carriers that are each other's other end, inside one process.

For tests, ours and other people's: no sockets, no threads, and every byte takes the
event loop, so a receiver is never called from inside its own `write`.
"""

from __future__ import annotations

import asyncio
from collections import deque

from net.carriers.base import HIGH_WATER, LOW_WATER, Receiver
from net.carriers.medium import Medium

CHUNK = 256 << 10
"""Bytes delivered in one turn of the event loop."""


def memory_pair(chunk: int = CHUNK) -> tuple[MemoryCarrier, MemoryCarrier]:
    """Return two connected carriers that deliver at most `chunk` bytes at a time."""
    left, right = MemoryCarrier("left", chunk), MemoryCarrier("right", chunk)
    left.connect(right)
    right.connect(left)
    return left, right


class MemoryCarrier:
    """One end of an in-memory pair."""

    def __init__(self, name: str, chunk: int) -> None:
        self.medium = Medium.MEMORY
        self.description = f"{self.medium} {name}"
        self.address: None = None
        self.binding = b""
        self._chunk = chunk
        self._loop = asyncio.get_running_loop()
        self._peer: MemoryCarrier | None = None
        self._receiver: Receiver | None = None
        self._inbox: deque[bytes] = deque()
        self._inbox_size = 0
        self._end_sent = False
        self._end_due = False
        self._paused = False
        self._full = False
        self._scheduled = False
        self._lost = False

    def connect(self, peer: MemoryCarrier) -> None:
        """Make `peer` the other end."""
        self._peer = peer

    def start(self, receiver: Receiver) -> None:
        """Begin to deliver."""
        self._receiver = receiver
        self._schedule()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if data and not self._end_sent and self._peer is not None and not self._lost:
            self._peer.push(bytes(data))

    def write_end(self) -> None:
        """Send the end of this direction."""
        if not self._end_sent and self._peer is not None:
            self._end_sent = True
            self._peer.push_end()

    def pause_reading(self) -> None:
        """Deliver no more until `resume_reading`."""
        self._paused = True

    def resume_reading(self) -> None:
        """Deliver again."""
        self._paused = False
        self._schedule()

    def close(self) -> None:
        """End this direction and be lost; the other end still gets what was written."""
        self.write_end()
        self._loop.call_soon(self.lose, None)

    def abort(self) -> None:
        """End both directions at once; what is on its way is dropped."""
        peer = self._peer
        self._loop.call_soon(self.lose, None)
        if peer is not None:
            self._loop.call_soon(peer.lose, ConnectionResetError("the other end aborted"))

    def push(self, data: bytes) -> None:
        """Take bytes that the other end has written."""
        if self._lost:
            return
        self._inbox.append(data)
        self._inbox_size += len(data)
        self._throttle()
        self._schedule()

    def push_end(self) -> None:
        """Take the end that the other end has written."""
        self._end_due = True
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and not self._paused and self._receiver is not None:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        if self._paused or self._lost or self._receiver is None:
            return
        if self._inbox:
            data = self._inbox.popleft()
            if len(data) > self._chunk:
                self._inbox.appendleft(data[self._chunk :])
                data = data[: self._chunk]
            self._inbox_size -= len(data)
            self._throttle()
            self._receiver.data_received(data)
            self._schedule()
        elif self._end_due:
            self._end_due = False
            self._receiver.carrier_ended()

    def _throttle(self) -> None:
        """Tell the other end whether to write more."""
        if self._peer is None:
            return
        if not self._full and self._inbox_size > HIGH_WATER:
            self._full = True
            self._peer.other_end_full(True)
        elif self._full and self._inbox_size < LOW_WATER:
            self._full = False
            self._peer.other_end_full(False)

    def other_end_full(self, full: bool) -> None:
        """Pass on that what we write piles up, or no longer does."""
        if self._receiver is not None and not self._lost:
            if full:
                self._receiver.pause_writing()
            else:
                self._receiver.resume_writing()

    def lose(self, error: Exception | None) -> None:
        """End this end, on account of the other one."""
        if not self._lost:
            self._lost = True
            self._inbox.clear()
            if self._receiver is not None:
                self._receiver.carrier_lost(error)
