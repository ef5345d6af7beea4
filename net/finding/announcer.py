"""What a node tells the world: its topics, at the addresses that it has at the moment.

Addresses change: a laptop wakes up in another network, a relay comes or goes. Whoever notices
says so (`look`), and every topic is announced anew that was announced elsewhere, for an
announcement replaces the one before it.

Invariant: what is announced is what `where` said at the last look, or later.
Must not know what a topic means, or who looks at addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from net.addresses import Address, RelayAddress
from net.discovery import Discovery, check_topic
from net.errors import NetError

WITHDRAWAL = 0.5
"""Seconds that closing spends on taking announcements back; they expire anyway."""

Where = tuple[Sequence[Address], Sequence[RelayAddress]]
"""The addresses at which we listen, and the relays on which we wait."""

log = logging.getLogger(__name__)


class Announcer:
    """The announcements of a node; `where` says where it is now."""

    def __init__(self, discovery: Discovery, where: Callable[[], Where]) -> None:
        self._discovery = discovery
        self._where = where
        self._topics: dict[bytes, Where] = {}
        """With what was announced last."""
        self._looking = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def topics(self) -> set[bytes]:
        """What is announced."""
        return set(self._topics)

    async def announce(self, topic: bytes) -> int:
        """Announce a topic until it is withdrawn; returns how many others know it now.

        With 0 it is tried again. Raises `NetError` when all refused, and `ValueError` for what
        is no topic.
        """
        check_topic(topic)
        addresses, relays = self._topics[topic] = self._where()
        return await self._discovery.announce(topic, addresses, relays)

    async def withdraw(self, topic: bytes) -> None:
        """Announce a topic no more."""
        if self._topics.pop(topic, None) is not None:
            await self._discovery.unannounce(topic)

    def look(self) -> None:
        """See whether it is news where we are now."""
        self._looking.set()

    def start(self) -> None:
        """Begin to announce anew what has changed."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while await self._looking.wait():
            self._looking.clear()
            where = self._where()
            for topic in [topic for topic, said in self._topics.items() if _differ(said, where)]:
                if topic not in self._topics:
                    continue  # withdrawn while those before it were announced
                try:
                    await self.announce(topic)
                except NetError as error:
                    log.info("an announcement at new addresses failed: %s", error)

    async def close(self) -> None:
        """Withdraw everything, as far as that goes quickly."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        topics = list(self._topics)
        self._topics.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WITHDRAWAL):
                withdrawals = (self._discovery.unannounce(topic) for topic in topics)
                await asyncio.gather(*withdrawals, return_exceptions=True)


def _differ(said: Where, where: Where) -> bool:
    """Tell whether it is news; the order alone, which follows the routing table, is none."""
    return any(set(before) != set(now) for before, now in zip(said, where, strict=True))
