"""What moves a core: the UDP port, the event loop's clock, and a queue for each operation.

    with driver.follow(core.lookup(topic, driver.now())) as events: ...

Invariant: whatever the core wants to send is sent before anybody waits, its alarm is set for when
it wants to be woken, and an operation that nobody follows any more is cancelled. Must not know
what operations are for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager

from net.addresses import Address
from net.carriers.udp import UdpSocket
from net.dht.core import DhtCore
from net.dht.datagrams import DHT_TAG
from net.dht.events import Event, Finished
from net.dht.messenger import Introduction
from net.errors import ClosedError

FIRST_BYTES = range(DHT_TAG, DHT_TAG + 1)
"""What our datagrams begin with, on a port that is shared with other protocols."""

OnIntroduction = Callable[[bytes], Awaitable[bytes | None]]
"""Answers a message that somebody has had passed on to us; None is silence."""


class Driver:
    """Moves one core, from `start` until it is closed."""

    def __init__(
        self, core: DhtCore, udp: UdpSocket, on_introduction: OnIntroduction | None
    ) -> None:
        self._core = core
        self._udp = udp
        self._on_introduction = on_introduction
        self._loop = asyncio.get_running_loop()
        self._queues: dict[int, asyncio.Queue[Event | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._started = self._closed = False

    @property
    def running(self) -> bool:
        """Whether it was started, and not closed."""
        return self._started and not self._closed

    def start(self) -> None:
        """Listen. Raises `RuntimeError` when it was started before."""
        if self._started:
            raise RuntimeError("the DHT node was started before")
        self._started = True
        self._udp.attach(FIRST_BYTES, self._received)
        self.pump()

    async def close(self) -> None:
        """Stop; whoever follows an operation gets a `ClosedError`. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        if self._started:
            self._udp.detach(FIRST_BYTES)
        if self._timer is not None:
            self._timer.cancel()
        for queue in self._queues.values():
            queue.put_nowait(None)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def now(self) -> float:
        """Return the moment, with the core's clock set; raises `ClosedError` unless it runs."""
        if not self.running:
            raise ClosedError("the DHT node is not running")
        now = self._loop.time()
        self._core.set_clock(now, time.time())
        return now

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Do something besides, until it is over or this is closed."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self, number: int) -> Finished:
        """Wait until an operation is over."""
        with self.follow(number) as events:
            while not isinstance(event := await events.next(), Finished):
                pass
            return event

    @contextmanager
    def follow(self, number: int) -> Iterator[Following]:
        """Follow an operation that has just begun; it is cancelled when this ends before it."""
        queue = self._queues[number] = asyncio.Queue()  # its events are bounded in number
        self.pump()
        try:
            yield Following(self, self._core, number, queue)
        finally:
            del self._queues[number]
            if not self._closed:
                self._core.cancel(number, self._loop.time())
                self.pump()

    def pump(self) -> None:
        """Send what is to be sent, hand out events, and set the alarm."""
        for data, address in self._core.datagrams_to_send():
            self._udp.send(data, address)
        while (event := self._core.next_event()) is not None:
            if isinstance(event, Introduction):
                self.spawn(self._answer(event))
                continue
            queue = self._queues.get(event.operation)
            if queue is not None:
                queue.put_nowait(event)
        due = self._core.next_timeout()
        if self._timer is not None:
            if self._timer.when() == due:
                return  # as after most datagrams: an answer to others changes nothing
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._wake)

    def _received(self, datagrams: Sequence[tuple[bytes, Address]]) -> None:
        now = self._loop.time()
        for data, address in datagrams:
            self._core.receive_datagram(data, address, now)
        self.pump()

    def _wake(self) -> None:
        self._timer = None
        now = self._loop.time()
        self._core.set_clock(now, time.time())
        self._core.handle_timeout(now)
        self.pump()

    async def _answer(self, introduction: Introduction) -> None:
        """Ask what to say to a message; a handler that fails is silent and reported as usual."""
        assert self._on_introduction is not None, "without it the core takes no messages"
        answer = None
        try:
            answer = await self._on_introduction(introduction.message)
        finally:
            if not self._closed:
                self._core.answer(introduction.number, answer)
                self.pump()


class Following:
    """The events of one operation, in order."""

    def __init__(
        self, driver: Driver, core: DhtCore, number: int, queue: asyncio.Queue[Event | None]
    ) -> None:
        self._driver = driver
        self._core = core
        self._number = number
        self._queue = queue

    async def next(self) -> Event:
        """Return the next event; raises `ClosedError` when there will be none."""
        event = await self._queue.get()
        if event is None:
            raise ClosedError("the DHT node was closed")
        return event

    async def more(self) -> Event:
        """Return what a lookup has found, or have it look for more."""
        if self._queue.empty():
            self._core.go_on(self._number, self._driver.now())
            self._driver.pump()
        return await self.next()
