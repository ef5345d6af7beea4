"""The relay itself: streams that asked for `feedlog/relay/1`, served from `RelayCore`.

    service = RelayService(limits=RelayLimits(), allow=allow, questions=questions)
    service.serve(stream)          # of the protocol PROTOCOL; returns at once
    service.close()

The shell around the core: it gives messages to it, takes its actions, and makes a
`Circuit` of two streams when it says so. Questions for the DHT go to `Questions`.

Invariant: a client's bytes cause a refusal or the end of its stream, and nothing else;
before a circuit stands, a stream holds at most `MAX_EARLY` bytes and one message.
Must not know how streams come about.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

from net.errors import NetError, PeerError
from net.relay.circuit import Circuit, Leg
from net.relay.core import Ask, Drop, Join, RelayCore, Send
from net.relay.limits import RelayLimits
from net.relay.messages import (
    Code,
    Connect,
    Done,
    Item,
    Limits,
    Message,
    MessageReader,
    Refused,
    Request,
    Reserve,
    encode_message,
)
from net.secure.stream import SecureStream

TICK = 1.0
"""Seconds between two looks at what has taken too long."""

QUESTION = 10.0
"""Seconds of one question to the DHT; a client that does not read the answers has no more."""

MAX_EARLY = 64 << 10
"""Bytes that a client may send for a circuit before it stands: a handshake and a bit."""

AllowRelay = Callable[[bytes, str], bool | Awaitable[bool]]
"""Decides by a client's public key whether it may `reserve` or `connect`."""

log = logging.getLogger(__name__)


class Questions(Protocol):
    """Who asks the DHT for clients that cannot."""

    def ask(self, public_key: bytes, request: Request) -> AsyncGenerator[Item | Done]:
        """Yield what to answer; the last is a Done. Raises nothing on account of the client."""


class RelayService:
    """Relays for others, within limits."""

    def __init__(
        self,
        limits: RelayLimits | None = None,
        *,
        allow: AllowRelay | None = None,
        questions: Questions | None = None,
    ) -> None:
        self.core = RelayCore(limits or RelayLimits(), os.urandom)
        self._allow = allow
        self._questions = questions
        self._loop = asyncio.get_running_loop()
        self._clients: dict[int, ClientStream] = {}
        self._circuits: set[Circuit] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._timer: asyncio.TimerHandle | None = None
        self._carried = 0
        """Bytes of circuits that are over."""

    @property
    def reservations(self) -> int:
        """How many peers wait here."""
        return self.core.reservations

    @property
    def circuits(self) -> int:
        """How many circuits stand."""
        return len(self._circuits)

    @property
    def passed_on(self) -> int:
        """How many bytes all circuits have carried, in both directions."""
        return self._carried + sum(circuit.carried for circuit in self._circuits)

    def serve(self, stream: SecureStream) -> None:
        """Serve a client until its stream ends."""
        self._numbers += 1
        number = self._numbers
        if not self.core.opened(number, stream.remote_key, self._loop.time()):
            stream.abort()
            return
        client = self._clients[number] = ClientStream(self, number, stream)
        if self._timer is None:
            self._timer = self._loop.call_later(TICK, self._tick)
        stream.attach(client)

    def close(self) -> None:
        """End all streams."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        for circuit in list(self._circuits):
            circuit.end("the relay stops")
        for client in list(self._clients.values()):
            client.stream.abort()

    # What client streams call.

    def received(self, client: ClientStream, message: Message) -> None:
        """Take a message of a client."""
        purpose = {Reserve: "reserve", Connect: "connect"}.get(type(message))
        if self._allow is None or purpose is None:
            self.decided(client, message)
            return
        allowed = self._allow(client.stream.remote_key, purpose)
        if inspect.isawaitable(allowed):
            client.deciding = True
            self._run(self._decide(client, message, allowed, purpose))
        elif allowed:
            self.decided(client, message)
        else:
            client.refuse(Code.NOT_ALLOWED, f"not allowed to {purpose} here")

    async def _decide(
        self, client: ClientStream, message: Message, allowed: Awaitable[bool], purpose: str
    ) -> None:
        if not await allowed:
            client.refuse(Code.NOT_ALLOWED, f"not allowed to {purpose} here")
        elif client.number in self._clients:
            client.deciding = False
            try:
                self.decided(client, message)
                client.read_on()
            except PeerError as error:
                client.refuse(Code.BAD_REQUEST, str(error))

    def decided(self, client: ClientStream, message: Message) -> None:
        """Do what an allowed client asks; raises `PeerError`."""
        try:
            self.core.receive(client.number, message, self._loop.time())
        finally:
            self._act()

    def left(self, number: int) -> None:
        """Learn that a stream is gone, or belongs to a circuit that looks after it."""
        self._clients.pop(number, None)
        self.core.lost(number)
        self._act()

    # What the core says.

    def _act(self) -> None:
        while (action := self.core.next_action()) is not None:
            match action:
                case Send(number, message, last):
                    if (client := self._clients.get(number)) is not None:
                        client.send(message, last=last)
                case Join(asking, accepting, limits):
                    self._join(asking, accepting, limits)
                case Drop(number):
                    if (client := self._clients.get(number)) is not None:
                        client.stream.abort()
                case Ask(number, request):
                    if (client := self._clients.get(number)) is not None:
                        self._run(self._ask(client, request))

    def _join(self, asking: int, accepting: int, limits: Limits) -> None:
        left, right = self._clients[asking], self._clients[accepting]

        def over(reason: str) -> None:
            self._circuits.discard(circuit)
            self._carried += circuit.carried
            self.core.lost(asking)
            self.core.lost(accepting)
            log.debug("= circuit over: %s", reason or "its ends have ended it")

        circuit = Circuit(left.stream, right.stream, limits, over)
        self._circuits.add(circuit)
        for client, leg in zip((left, right), circuit.legs, strict=True):
            client.leg = leg
        for client in (left, right):
            client.begin_circuit()

    async def _ask(self, client: ClientStream, request: Request) -> None:
        try:
            if self._questions is None:
                reason = "this relay does not ask the DHT for others"
                client.send(Done(request.number, code=Code.NOT_ALLOWED, reason=reason))
                return
            asking = self._questions.ask(client.stream.remote_key, request)
            async with asyncio.timeout(QUESTION), contextlib.aclosing(asking) as answers:
                async for answer in answers:
                    client.send(answer)
                    await client.stream.drain()
        except TimeoutError:
            reason = f"not done in {QUESTION:g} s"
            client.send(Done(request.number, code=Code.FAILED, reason=reason))
        except NetError as error:
            log.debug("= client of the relay has left: %s", error)
        finally:
            self.core.answered(client.number, request.number)

    def _run(self, coroutine: Awaitable[None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tick(self) -> None:
        self.core.handle_timeout(self._loop.time())
        self._act()
        again = self._clients or self._circuits
        self._timer = self._loop.call_later(TICK, self._tick) if again else None


class ClientStream:
    """The consumer of one client's stream: messages at first, and a leg's bytes later."""

    def __init__(self, service: RelayService, number: int, stream: SecureStream) -> None:
        self.number = number
        self.stream = stream
        self.leg: Leg | None = None
        self.deciding = False
        """Whether `allow` is still thinking about this client."""
        self._service = service
        self._reader = MessageReader()
        self._early = bytearray()
        self._silent = False
        self._full = False

    def send(self, message: Message, *, last: bool = False) -> None:
        """Send a message, and nothing behind it if it is the last."""
        if self._full and not last:
            self.stream.abort()  # a client that does not even read our short messages
        elif not self.stream.is_closing():
            self.stream.write(encode_message(message))
            if last:
                self._silent = True
                self.stream.close()

    def refuse(self, code: Code, reason: str) -> None:
        """Say why the client is not served, and end."""
        self.send(Refused(code, reason[:160]), last=True)
        self._service.left(self.number)

    def begin_circuit(self) -> None:
        """Give what the client has sent already to the other end."""
        assert self.leg is not None, "set by the caller"
        if self._full:
            self.stream.resume_reading()
            self.leg.pause_writing()
        early, self._early = bytes(self._early), bytearray()
        if early:
            self.leg.data_received(early)

    def read_on(self) -> None:
        """Take what came while `allow` was thinking."""
        held, self._early = bytes(self._early), bytearray()
        if held:
            self.data_received(held)

    def data_received(self, data: bytes) -> None:
        """Take bytes: messages, until one says that the rest belongs to a circuit."""
        if self.leg is not None:
            self.leg.data_received(data)
        elif not self._silent:
            try:
                self._take(data)
            except PeerError as error:
                self.refuse(Code.BAD_REQUEST, str(error))

    def _take(self, data: bytes) -> None:
        if self.deciding or self._service.core.waits(self.number):
            self._keep(data)
            return
        for message in self._reader.receive(data):
            self._service.received(self, message)
            if self.leg is not None:
                self.leg.data_received(self._reader.rest())
                return
            if self._silent:
                return
            if self.deciding or self._service.core.waits(self.number):
                self._keep(self._reader.rest())
                return

    def _keep(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > MAX_EARLY:
            self.refuse(Code.BAD_REQUEST, f"more than {MAX_EARLY} bytes before the circuit stands")

    def stream_ended(self) -> None:
        """Learn that the client writes no more."""
        if self.leg is not None:
            self.leg.stream_ended()
        elif not self._silent:
            self.stream.close()

    def stream_lost(self, error: NetError | None) -> None:
        """Learn that the client is gone."""
        if self.leg is not None:
            self.leg.stream_lost(error)
        self._service.left(self.number)

    def pause_writing(self) -> None:
        """Learn that the client does not keep up."""
        self._full = True
        if self.leg is not None:
            self.leg.pause_writing()
        else:
            self.stream.pause_reading()

    def resume_writing(self) -> None:
        """Learn that it has caught up."""
        self._full = False
        if self.leg is not None:
            self.leg.resume_writing()
        else:
            self.stream.resume_reading()
