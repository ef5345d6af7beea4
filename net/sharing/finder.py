"""Finding peers of one feed, for as long as it is followed.

First those who served it before, then those who announce it; again and again, sooner
while there are none or one does not answer, and at once when one has left or is silent: it
may be elsewhere. But the less often, the more often that happens while others are there, for
somebody may do it on purpose. Peers who turned out to be of use are noted in the store, so a
restart finds them without asking anybody.

Invariant: at most `MAX_PEERS` are sought, and met at a time; searches begin never closer than
`FIRST_RETRY` seconds. Must not know what is said with a peer, or how one connects to it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Annotated, Any

import msgspec

from feedlog.errors import FeedlogError
from net.addresses import pack_address, unpack_address
from net.dht.hashing import feed_topic
from net.discovery import Discovery, PeerAddress
from net.errors import NetError
from net.sharing.remote import Remote
from net.sharing.setbacks import Setback, SetbackKind
from net.sharing.swarm import Swarm

MAX_PEERS = 16
"""Peers that are sought for one feed; those who come to us are not counted."""

FIRST_RETRY = 0.5
LAST_RETRY = 30.0
"""Seconds between two searches while a feed has no peer, or misses one: doubling, with jitter."""
REFRESH = 60.0
"""Seconds between two searches while it has some, and all answer."""

MAX_KNOWN = 8
"""Peers that are remembered for a feed, the latest of use."""
KNOWN = "net/peers"
"""Under which user data of the feed."""

Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_decode = msgspec.msgpack.Decoder(list[tuple[Key, list[bytes]]]).decode
_encode = msgspec.msgpack.Encoder().encode

Meet = Callable[[PeerAddress], Coroutine[Any, Any, None]]
"""Connects to a peer and talks with it about the feed; reports failures itself."""


class Finder:
    """Looks for peers of one feed."""

    def __init__(
        self,
        swarm: Swarm,
        remote: Remote,
        discovery: Discovery,
        *,
        meet: Meet,
        own_key: bytes,
        asked: Callable[[], str],
    ) -> None:
        self._swarm = swarm
        self._remote = remote
        self._discovery = discovery
        self._meet = meet
        self._own_key = own_key
        self._asked = asked
        self._wakeup = asyncio.Event()
        self._delay = FIRST_RETRY
        self._rng = Random()  # noqa: S311 - jitter

    def wake(self) -> None:
        """Look again soon: nobody is left, or others may be within reach now."""
        self._delay = FIRST_RETRY
        self._wakeup.set()

    def miss(self) -> None:
        """Look again, and soon unless it was often lately: a peer has left, or may be elsewhere."""
        self._wakeup.set()

    async def run(self) -> None:
        """Look for peers until cancelled."""
        await self._meet_all(known_peers(self._swarm))
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._wakeup.clear()
            await self._search()
            calm = bool(self._swarm.peers) and not self._swarm.misses_somebody
            pause = REFRESH if calm else self._delay
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause * self._rng.uniform(0.75, 1.25)):
                    await self._wakeup.wait()
                    least = began + FIRST_RETRY - loop.time()
                    await asyncio.sleep(max(least, self._rng.uniform(0, self._delay)))
            calm = calm and not self._wakeup.is_set()
            self._delay = FIRST_RETRY if calm else min(LAST_RETRY, 2 * self._delay)

    async def _search(self) -> None:
        remote = self._remote
        remote.searches += 1
        meetings: set[asyncio.Task[None]] = set()
        found = 0
        try:
            async with asyncio.TaskGroup() as group:
                lookup = self._discovery.lookup(feed_topic(self._swarm.feed.discovery_key))
                async with contextlib.aclosing(lookup) as peers:
                    async for peer in peers:
                        if peer.public_key == self._own_key:
                            continue
                        found += 1
                        while meetings and self._swarm.sought + len(meetings) >= MAX_PEERS:
                            # Those who announced first may not be there, or never have been.
                            first = asyncio.FIRST_COMPLETED
                            _, meetings = await asyncio.wait(meetings, return_when=first)
                        if self._swarm.sought >= MAX_PEERS:
                            break
                        meetings.add(group.create_task(self._meet(peer)))
        except* NetError as errors:
            failed = Setback(SetbackKind.SEARCH_FAILED, reason=str(errors.exceptions[0]))
            remote.attempts.append(failed)
        if not found:
            remote.attempts.append(Setback(SetbackKind.UNANNOUNCED, reason=self._asked()))

    async def _meet_all(self, peers: Sequence[PeerAddress]) -> None:
        await asyncio.gather(*(self._meet(peer) for peer in peers))


def known_peers(swarm: Swarm) -> list[PeerAddress]:
    """Return the peers that are remembered for a feed, the latest first."""
    try:
        stored = swarm.feed.user_data.get(KNOWN)
        if stored is None:
            return []
        return [
            PeerAddress(key, tuple(unpack_address(address) for address in addresses))
            for key, addresses in _decode(stored)
        ]
    except (FeedlogError, msgspec.MsgspecError, UnicodeDecodeError):
        return []  # notes of another version: they will be written anew


def note_peer(swarm: Swarm, peer: PeerAddress) -> None:
    """Note that a peer was of use; costs a transaction if it is news."""
    known = known_peers(swarm)
    if PeerAddress(peer.public_key, peer.addresses) in known:  # relays come and go
        return
    others = [other for other in known if other.public_key != peer.public_key]
    notes = [
        (one.public_key, [pack_address(address) for address in one.addresses])
        for one in [peer, *others][:MAX_KNOWN]
    ]
    with contextlib.suppress(FeedlogError, ValueError):  # a read-only store, or a full disk
        swarm.feed.user_data[KNOWN] = _encode(notes)
