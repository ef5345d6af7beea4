"""How strangers come in: each carrier that others open has a handshake, when there is a place.

The shell around `Admission`: it begins the handshakes that have a place, ends those that
have lost it, and hands over who has come in.

    reception = Reception(key_pair, allow=..., receive=...)
    reception.arrived(carrier)      # what ports are given to call

Invariant: a carrier that arrives ends as a stream that was received, or is closed.
Must not know what a stream is for.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable

from feedlog import KeyPair
from net.carriers.base import Carrier
from net.errors import NetError
from net.reaching.admission import Admission, Admitted, Guest
from net.secure.opening import accept_stream
from net.secure.stream import SecureStream

TICK = 0.25
"""Seconds at least between two looks at who comes too slowly in."""

log = logging.getLogger(__name__)


class Reception:
    """The door of a node and who stands in it.

    `allow(key, protocol)` decides when a peer has proven its key and before it is answered;
    `receive(stream)` has the stream until it returns.
    """

    def __init__(
        self,
        key_pair: KeyPair,
        *,
        allow: Callable[[bytes, str], bool | Awaitable[bool]],
        receive: Callable[[SecureStream], Awaitable[None]],
    ) -> None:
        self._key_pair = key_pair
        self._allow = allow
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self.admission = Admission(files=resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._carriers: dict[Guest, Carrier] = {}
        """Those whose handshake is not done."""
        self._tasks: dict[Guest, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def counters(self) -> dict[str, int]:
        """Who was turned away, and why."""
        return dict(self.admission.counters)

    def arrived(self, carrier: Carrier) -> None:
        """Take a carrier that somebody has opened."""
        guest = None
        if not self._closed:
            guest = self.admission.arrive(carrier.address, self._loop.time())
        if guest is None:
            carrier.abort()
            return
        self._carriers[guest] = carrier
        self._advance()

    def ban(self, key: bytes) -> None:
        """Have nothing to do with a key for a time."""
        self.admission.ban(key, self._loop.time())

    def is_banned(self, key: bytes) -> bool:
        """Tell whether we have nothing to do with a key now."""
        return self.admission.is_banned(key, self._loop.time())

    async def close(self) -> None:
        """Let nobody in any more, and end what those do who are in."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for carrier in list(self._carriers.values()):
            carrier.abort()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _advance(self) -> None:
        """Begin the handshakes that have a place, and end those that have lost it."""
        while not self._closed and (event := self.admission.next_event()) is not None:
            carrier = self._carriers[event.guest]
            if isinstance(event, Admitted):
                self._begin(event.guest, carrier)
            else:
                del self._carriers[event.guest]
                carrier.abort()
                if (doomed := self._tasks.get(event.guest)) is not None:
                    doomed.cancel()
        due = self.admission.next_timeout()
        if due is not None and self._timer is None and not self._closed:
            self._timer = self._loop.call_at(max(due, self._loop.time() + TICK), self._tick)

    def _begin(self, guest: Guest, carrier: Carrier) -> None:
        task = self._tasks[guest] = self._loop.create_task(self._welcome(guest, carrier))
        task.add_done_callback(lambda _: self._tasks.pop(guest, None))

    def _tick(self) -> None:
        self._timer = None
        self.admission.handle_timeout(self._loop.time())
        self._advance()

    async def _welcome(self, guest: Guest, carrier: Carrier) -> None:
        """Be a guest's host until it leaves."""
        try:
            stream = await accept_stream(carrier, self._key_pair, allow=self._allow)
            self._carriers.pop(guest, None)
            self.admission.established(guest, self._loop.time())
            self._advance()
            await self._receive(stream)
            await stream.wait_closed()
        except NetError as error:
            log.debug("< no stream by %s: %s", carrier.description, error)
        finally:
            self._carriers.pop(guest, None)
            self.admission.left(guest, self._loop.time())
            self._advance()
