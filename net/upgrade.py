"""From a relay to a direct way, while the stream runs.

    upgrades = Upgrades(direct)
    upgrades.watch(stream, peer, topic)     # we have opened it: look for a direct way
    upgrades.add(stream)                    # somebody has: let them move it
    await upgrades.accept(onto)             # a stream of the protocol `net.moving.PROTOCOL`

A relay gives a stream at once; a direct way may take a punch of seconds, or become possible
when one of the two moves to another network. So it is looked for behind a stream that
already serves, with growing pauses, by the side that has opened the stream.

Invariant: at most `MAX_SEARCHES` direct ways are looked for at a time, and none for a
stream that is over. Must not know how a direct way is found.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable

from net.discovery import PeerAddress
from net.errors import NetError
from net.moving import Moves
from net.stream import SecureStream

PAUSES = (1.0, 4.0, 15.0, 60.0, 300.0)
"""Seconds before each attempt; the last again and again, for networks change."""

MAX_SEARCHES = 4
"""Each may punch, and tries every address."""

Direct = Callable[[PeerAddress, bytes], Awaitable[SecureStream]]
"""Opens a stream of `net.moving.PROTOCOL` to a peer that was found under a topic, by no relay."""

log = logging.getLogger(__name__)


class Upgrades:
    """The relayed streams of one node."""

    def __init__(self, direct: Direct, *, pauses: tuple[float, ...] = PAUSES) -> None:
        self._direct = direct
        self._pauses = pauses
        self._moves = Moves()
        self._searching = asyncio.Semaphore(MAX_SEARCHES)
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, stream: SecureStream) -> None:
        """Let the peer move a stream that came over a relay; others have no reason to."""
        if is_relayed(stream):
            self._moves.add(stream)

    def watch(self, stream: SecureStream, peer: PeerAddress, topic: bytes) -> None:
        """Look for a direct way for a stream that we have opened over a relay."""
        if is_relayed(stream):
            self._moves.add(stream)
            task = asyncio.get_running_loop().create_task(self._upgrade(stream, peer, topic))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def expects(self, public_key: bytes) -> bool:
        """Tell whether the owner of that key has a reason to open a direct stream to move onto."""
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
        try:
            for pause in itertools.chain(self._pauses, itertools.repeat(self._pauses[-1])):
                await asyncio.wait({over}, timeout=pause)
                if over.done() or stream.is_closing() or await self._moved(stream, peer, topic):
                    return
        finally:
            over.cancel()

    async def _moved(self, stream: SecureStream, peer: PeerAddress, topic: bytes) -> bool:
        """Try once; tells whether the stream is on another line."""
        before = stream.description
        try:
            async with self._searching:
                onto = await self._direct(peer, topic)
            await self._moves.move(stream, onto)
        except NetError as error:
            log.debug("= no direct way to %s: %s", peer.public_key.hex()[:8], error)
            return not is_relayed(stream)
        log.info("= a stream moved from %s to %s", before, stream.description)
        return True


def is_relayed(stream: SecureStream) -> bool:
    """Tell whether a stream runs over a relay now."""
    return stream.description.startswith("relay ")
