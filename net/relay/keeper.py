"""Keeps places at the nearest relays, and finds others when a relay goes away.

    keeper = RelayKeeper(client, find, on_circuit, changed=announce_anew)
    keeper.start()
    keeper.relays          # where we wait now: what an announcement names

`find()` yields relays; those that answer are measured, and we wait at the nearest.

Invariant: at most `WANTED` reservations stand, each at another relay's key; `changed` is
called after every change of `relays`.
Must not know how relays are found or reached, or whether we need them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from random import SystemRandom

from net.addresses import RelayAddress, format_address
from net.errors import NetError
from net.relay.choice import RelayChoice
from net.relay.client import Allow, OnCircuit, RelayClient, Reservation
from net.relay.link import RelayLink

WANTED = 2
"""Relays at which we wait: one may vanish before anybody notices. What a record holds."""

RETRY = 15.0
"""Seconds to the next search while places are missing; it doubles with each in vain."""
MAX_RETRY = 300.0
"""A network with one relay is asked for a second that often."""
SEARCH = 5.0
"""Seconds that a search may take."""
MEASURE = 5.0
"""Seconds in which a relay must have answered to be considered."""

Find = Callable[[], AsyncGenerator[RelayAddress, None]]

log = logging.getLogger(__name__)


class RelayKeeper:
    """The reservations of one node."""

    def __init__(
        self,
        client: RelayClient,
        find: Find,
        on_circuit: OnCircuit,
        *,
        allow: Allow | None = None,
        changed: Callable[[], None] = lambda: None,
        wanted: int = WANTED,
    ) -> None:
        self._client = client
        self._find = find
        self._on_circuit = on_circuit
        self._allow = allow
        self._changed = changed
        self._wanted = wanted
        self._loop = asyncio.get_running_loop()
        self._choice = RelayChoice(SystemRandom())
        self._reservations: list[Reservation] = []
        self._task: asyncio.Task[None] | None = None
        self._watches: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()

    @property
    def relays(self) -> tuple[RelayAddress, ...]:
        """Where we wait, the first to be found first."""
        return tuple(reservation.relay for reservation in self._reservations)

    @property
    def links(self) -> list[RelayLink]:
        """The streams to those relays, by which they can be asked."""
        return [reservation.link for reservation in self._reservations]

    def start(self) -> None:
        """Begin to look for relays. Starting twice is harmless."""
        if self._task is None:
            self._task = self._loop.create_task(self._run())

    def wake(self) -> None:
        """Look for relays now, if places are missing."""
        self._wake.set()

    async def settled(self) -> None:
        """Wait until the first search is over, whatever it has found."""
        await self._settled.wait()

    async def close(self) -> None:
        """Give up all places; circuits that stand go on. Closing twice is harmless."""
        tasks = [*self._watches, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        reservations, self._reservations = self._reservations, []
        for reservation in reservations:
            reservation.close()

    async def _run(self) -> None:
        pause = RETRY
        while True:
            if len(self._reservations) < self._wanted:
                await self._search()
                await self._fill()
            self._settled.set()
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                pause = min(MAX_RETRY, 2 * pause)
            else:
                pause = RETRY
                self._wake.clear()

    async def _search(self) -> None:
        try:
            async with asyncio.timeout(SEARCH), contextlib.aclosing(self._find()) as found:
                async for relay in found:
                    self._choice.found(relay)
        except (NetError, TimeoutError) as error:
            log.debug("= search for relays: %s", error or "not finished")

    async def _fill(self) -> None:
        """Measure the likeliest relays, and wait at the nearest of them."""
        now = self._loop.time()
        relays = self._choice.to_try(now, but=self.relays)
        links = await asyncio.gather(*(self._measure(relay) for relay in relays))
        answered = [(relay, link) for relay, link in zip(relays, links, strict=True) if link]
        answered.sort(key=lambda each: each[1].round_trip or 0.0)
        for relay, link in answered:
            taken = {reservation.relay.public_key for reservation in self._reservations}
            if link.stream.remote_key in taken:
                link.close()
                self._choice.failed(relay, self._loop.time())  # another address of one we have
                continue
            if len(self._reservations) >= self._wanted:
                link.close()
                continue
            try:
                reservation = await self._client.reserve_by(
                    link, relay, self._on_circuit, allow=self._allow
                )
            except NetError as error:
                log.debug("= no place at relay %s: %s", format_address(relay.address), error)
                self._choice.failed(relay, self._loop.time())
            else:
                self._keep(relay, reservation)

    async def _measure(self, relay: RelayAddress) -> RelayLink | None:
        link: RelayLink | None = None
        try:
            async with asyncio.timeout(MEASURE):
                link = await self._client.link(relay)
                self._choice.measured(relay, await link.ping())
        except (NetError, TimeoutError) as error:
            log.debug("= relay %s: %s", format_address(relay.address), error or "no answer")
            self._choice.failed(relay, self._loop.time())
        else:
            return link
        if link is not None:
            link.close()
        return None

    def _keep(self, relay: RelayAddress, reservation: Reservation) -> None:
        self._reservations.append(reservation)
        watch = self._loop.create_task(self._watch(relay, reservation))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        self._changed()

    async def _watch(self, relay: RelayAddress, reservation: Reservation) -> None:
        await reservation.wait_closed()
        log.info("> relay %s has left: %s", format_address(relay.address), reservation.error)
        self._reservations.remove(reservation)
        self._choice.failed(relay, self._loop.time())
        self._changed()
        self.wake()
