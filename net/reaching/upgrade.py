"""From a relay to a direct way, and from QUIC to TCP, while the stream runs.

    upgrades = Upgrades(direct, beside)
    upgrades.watch(stream, peer, topic)     # we have opened it: look for a better way
    upgrades.add(stream)                    # somebody has: let them move it
    await upgrades.accept(onto)             # a stream of the protocol `net.secure.moving.PROTOCOL`

A relay gives a stream at once, and so does QUIC through a hole; a direct way may take a punch
of seconds, or become possible when one of the two moves to another network, and TCP beside
QUIC takes a connection to agree on it. So the better way is looked for behind a stream that
already serves, with growing pauses, by the side that has opened the stream.

Invariant: at most `MAX_SEARCHES` direct ways are looked for at a time, and none for a
stream that is over or runs over TCP. Must not know how a way is found.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator

from net.carriers.medium import Medium
from net.discovery import PeerAddress
from net.errors import NetError
from net.secure.moving import PROTOCOL, Moves
from net.secure.stream import SecureStream

PAUSES = (1.0, 4.0, 15.0, 60.0, 300.0)
"""Seconds before each attempt; the last again and again, for networks change. Many streams are
over before the first."""

MAX_SEARCHES = 4
"""Each may punch, and tries every address."""

Direct = Callable[[PeerAddress, bytes], Awaitable[SecureStream]]
"""Opens a stream of `net.secure.moving.PROTOCOL` to a peer found under a topic, by no relay."""

Beside = Callable[[SecureStream], Awaitable[SecureStream]]
"""Opens such a stream over TCP to where a stream by QUIC leads."""

log = logging.getLogger(__name__)


class Upgrades:
    """The streams of one node for which there may be a better way."""

    def __init__(
        self, direct: Direct, beside: Beside, *, pauses: tuple[float, ...] = PAUSES
    ) -> None:
        self._direct = direct
        self._beside = beside
        self._pauses = pauses
        self._moves = Moves()
        self._searching = asyncio.Semaphore(MAX_SEARCHES)
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, stream: SecureStream) -> None:
        """Let the peer move a stream that has come, if there may be a better way for it."""
        if may_improve(stream):
            self._moves.add(stream)

    def watch(self, stream: SecureStream, peer: PeerAddress, topic: bytes) -> None:
        """Look for a better way for a stream that we have opened."""
        if may_improve(stream):
            self._moves.add(stream)
            task = asyncio.get_running_loop().create_task(self._upgrade(stream, peer, topic))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def expects(self, public_key: bytes) -> bool:
        """Tell whether the owner of that key has a reason to open a stream to move onto."""
        return self._moves.expects(public_key)

    async def accept(self, onto: SecureStream) -> None:
        """Let a peer move one of our streams onto this one; raises `NetError`."""
        await self._moves.accept(onto)

    async def close(self) -> None:
        """Look no more; streams go on where they are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _upgrade(self, stream: SecureStream, peer: PeerAddress, topic: bytes) -> None:
        over = asyncio.ensure_future(stream.wait_closed())
        pauses = self._growing_pauses()
        try:
            while may_improve(stream):
                await asyncio.wait({over}, timeout=next(pauses))
                if over.done() or stream.is_closing() or not may_improve(stream):
                    return  # it is over, or the other end has moved it meanwhile
                if await self._improve(stream, peer, topic):
                    pauses = self._growing_pauses()
        finally:
            over.cancel()

    def _growing_pauses(self) -> Iterator[float]:
        return itertools.chain(self._pauses, itertools.repeat(self._pauses[-1]))

    async def _improve(self, stream: SecureStream, peer: PeerAddress, topic: bytes) -> bool:
        """Try once to get the stream to a better way; tells whether it is there."""
        before = stream.description
        try:
            if stream.medium is Medium.RELAY:
                async with self._searching:
                    onto = await self._direct(peer, topic)
            else:
                onto = await self._beside(stream)
            await self._moves.move(stream, onto)
        except NetError as error:
            log.debug("= no better way to %s: %s", peer.public_key.hex()[:8], error)
            return False
        log.info("= a stream moved from %s to %s", before, stream.description)
        return True


def may_improve(stream: SecureStream) -> bool:
    """Tell whether there may be a better way for a stream that is not just a way itself."""
    return stream.protocol != PROTOCOL and (stream.medium.is_quic or stream.medium is Medium.RELAY)
