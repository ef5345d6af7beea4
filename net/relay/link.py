"""A client's stream to a relay: it keeps a reservation, and asks the DHT through it.

    link = RelayLink(stream)
    limits = await link.reserve()
    async for item in link.request(kind, data): ...

It pings, so that a router's mapping lives and a dead relay is noticed, and measures the
round trip by that.

Invariant: a relay that lies, floods or goes silent ends its link and nothing else; at
most `MAX_ITEMS` answers to a request are kept for a slow reader.
Must not know how the stream came about, or what requests mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

from net.errors import ClosedError, DeadlineError, NetError, PeerError, ProtocolError, RefusedError
from net.relay.messages import (
    Decline,
    Done,
    Incoming,
    Item,
    Limits,
    Message,
    MessageReader,
    Ping,
    Pong,
    Refused,
    Request,
    Reserve,
    Reserved,
    encode_message,
)
from net.secure.stream import SecureStream

KEEP_ALIVE = 20.0
"""Seconds between pings: below the 30 that routers give UDP mappings in practice."""
SILENCE = 50.0
"""Seconds without a word after which the relay is given up: two pings unanswered."""
ANSWER = 10.0
"""Seconds for the answer to a reservation or a ping, and between the items of a request."""

MAX_ITEMS = 64
"""Answers of one request that nobody has taken; what comes beyond them is dropped."""

Answer = TypeVar("Answer")
OnIncoming = Callable[[Incoming], None]


class RelayLink:
    """One stream to a relay. `on_incoming`, where set, is told who wants a circuit to us."""

    def __init__(self, stream: SecureStream) -> None:
        self.stream = stream
        self.on_incoming: OnIncoming | None = None
        self.round_trip: float | None = None
        """Seconds to the relay and back, the least measured; None before the first."""
        self.error: NetError | None = None
        self._loop = asyncio.get_running_loop()
        self._reader = MessageReader()
        self._numbers = 0
        self._full = False
        self._pings: dict[int, tuple[float, asyncio.Future[float]]] = {}
        self._requests: dict[int, asyncio.Queue[Item | Done]] = {}
        self._reserved: asyncio.Future[Limits] | None = None
        self._heard = self._loop.time()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._timer = self._loop.call_later(KEEP_ALIVE, self._keep_alive)
        stream.attach(self)

    async def reserve(self) -> Limits:
        """Wait at the relay for circuits; returns what they may carry. Raises `NetError`."""
        self._reserved = self._loop.create_future()
        self._send(Reserve())
        return await self._answer(self._reserved, "the reservation")

    async def ping(self) -> float:
        """Measure the round trip in seconds; raises `NetError`."""
        return await self._answer(self._ping(), "a ping")

    async def request(self, kind: int, data: bytes) -> AsyncGenerator[bytes, None]:
        """Yield what the relay answers; raises `RefusedError` where it says why it does not."""
        number = self._next()
        queue = self._requests[number] = asyncio.Queue(MAX_ITEMS)
        try:
            self._send(Request(number, kind, data))
            while True:
                answer = await self._answer(asyncio.ensure_future(queue.get()), "a request")
                if isinstance(answer, Item):
                    yield answer.data
                elif answer.reason:
                    raise RefusedError(f"the relay refused: {answer.reason}")
                else:
                    return
        finally:
            self._requests.pop(number, None)

    async def told(self, kind: int, data: bytes) -> int:
        """Have the relay tell others something; returns how many know it."""
        number = self._next()
        queue = self._requests[number] = asyncio.Queue(MAX_ITEMS)
        try:
            self._send(Request(number, kind, data))
            answer = await self._answer(asyncio.ensure_future(queue.get()), "a request")
        finally:
            del self._requests[number]
        if isinstance(answer, Item):
            raise ProtocolError("the relay answered with an item what has none")
        if answer.reason:
            raise RefusedError(f"the relay refused: {answer.reason}")
        return answer.count

    def decline(self, incoming: Incoming) -> None:
        """Let the relay tell somebody that we do not want to."""
        if self.error is None:
            self._reply(Decline(incoming.token))

    def close(self) -> None:
        """Give up the reservation."""
        self._end(ClosedError("the link to the relay is closed"))
        self.stream.close(linger=False)

    async def wait_closed(self) -> None:
        """Wait until the link is gone, for whatever reason; `error` says which."""
        await asyncio.shield(self._gone)

    # What the stream calls.

    def data_received(self, data: bytes) -> None:
        """Take messages of the relay."""
        self._heard = self._loop.time()
        if self.error is not None:
            return
        try:
            for message in self._reader.receive(data):
                self._take(message)
        except PeerError as error:
            self._fail(error)

    def stream_ended(self) -> None:
        """Learn that the relay has ended the stream."""
        self._fail(ClosedError("the relay has closed the stream"))

    def stream_lost(self, error: NetError | None) -> None:
        """Learn that the stream is gone."""
        self._end(error or ClosedError("the stream to the relay is closed"))
        if not self._gone.done():
            self._gone.set_result(None)

    def pause_writing(self) -> None:
        """Learn that the relay does not keep up."""
        self._full = True

    def resume_writing(self) -> None:
        """Learn that it has caught up."""
        self._full = False

    # Messages.

    def _take(self, message: Message) -> None:
        if self.error is not None:
            return  # it has refused: the rest is for nobody
        match message:
            case Ping(number):
                self._reply(Pong(number))
            case Pong(number) if number in self._pings:
                sent, waiter = self._pings.pop(number)
                taken = self._heard - sent
                self.round_trip = min(taken, self.round_trip or taken)
                if not waiter.done():
                    waiter.set_result(taken)
            case Reserved(limits) if self._reserved is not None:
                if not self._reserved.done():
                    self._reserved.set_result(limits)
            case Incoming() if self.on_incoming is not None:
                self.on_incoming(message)
            case Refused(_, reason):
                self._fail(RefusedError(f"the relay refused: {reason}"))
            case Item(number) | Done(number):
                queue = self._requests.get(number)
                if queue is not None and not queue.full():
                    queue.put_nowait(message)
                elif queue is not None and isinstance(message, Done):
                    queue.get_nowait()
                    queue.put_nowait(message)
            case Pong():
                pass
            case _:
                raise ProtocolError(f"{type(message).__name__} is not for a client to get here")

    def _next(self) -> int:
        self._numbers = (self._numbers + 1) % 2**32
        return self._numbers

    def _send(self, message: Message) -> None:
        if self.error is not None:
            raise self.error
        self.stream.write(encode_message(message))

    def _reply(self, message: Message) -> None:
        """Send what the relay's messages cause; one that reads none gets no more of them.

        Our own are few, and the deadline of each says whether the relay reads them.
        """
        if not self._full:
            self._send(message)

    def _ping(self) -> asyncio.Future[float]:
        number, waiter = self._next(), self._loop.create_future()
        self._pings[number] = (self._loop.time(), waiter)
        self._send(Ping(number))
        self.stream.flush()
        return waiter

    async def _answer(self, waiter: asyncio.Future[Answer], what: str) -> Answer:
        """Wait for an answer, the end of the link or the deadline."""
        both: set[asyncio.Future[Any]] = {waiter, self._gone}
        try:
            await asyncio.wait(both, timeout=ANSWER, return_when=asyncio.FIRST_COMPLETED)
            if waiter.done():
                return waiter.result()
        finally:
            waiter.cancel()
        if self.error is not None:
            raise self.error
        raise DeadlineError(f"the relay has not answered {what} in {ANSWER:g} s")

    def _keep_alive(self) -> None:
        if self._loop.time() - self._heard > SILENCE:
            self._fail(DeadlineError(f"the relay has been silent for {SILENCE:g} s"))
            return
        self._timer = self._loop.call_later(KEEP_ALIVE, self._keep_alive)
        if not self.stream.is_closing():
            self._ping()

    def _fail(self, error: NetError) -> None:
        self._end(error)
        self.stream.abort()

    def _end(self, error: NetError) -> None:
        if self.error is None:
            self.error = error
            self._timer.cancel()
            if not self._gone.done():
                self._gone.set_result(None)
