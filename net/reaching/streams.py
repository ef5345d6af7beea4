"""Plain streams: a node listens under its public key, and others connect by it.

    server = await streams.listen(handler, allow=policy)
    stream = await streams.connect(public_key, timeout=20.0)

Invariant: a stream that came is closed when its handler has returned.
Must not know how peers are found or reached, nor feeds.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, Protocol

from net.dht.hashing import peer_topic
from net.discovery import Discovery, PeerAddress
from net.errors import ConnectError, DeadlineError, NetError, NotFound
from net.finding.announcer import Announcer
from net.reaching.dial import Attempt
from net.secure.stream import SecureStream

PROTOCOL = "feedlog/stream/1"
"""What an initiator asks for in the handshake of a plain stream."""

StreamHandler = Callable[[SecureStream], Coroutine[Any, Any, None]]
AllowStream = Callable[[bytes], bool | Awaitable[bool]]

log = logging.getLogger(__name__)


class Reach(Protocol):
    """Opens a stream to a peer that was found under a topic; `attempts` says how that goes."""

    async def __call__(
        self, peer: PeerAddress, topic: bytes, protocol: str, attempts: list[Attempt]
    ) -> SecureStream:
        """Return the stream; raises `ConnectError`."""


class Server:
    """What `Node.listen` returns: close it to accept no more streams."""

    def __init__(self, streams: Streams, handler: StreamHandler, allow: AllowStream | None) -> None:
        self.handler = handler
        self.allow = allow
        self._streams = streams

    @property
    def public_key(self) -> bytes:
        """What others connect to."""
        return self._streams.public_key

    async def close(self) -> None:
        """Accept no more streams; those that exist go on."""
        await self._streams.stop(self)


class Streams:
    """The plain streams of a node."""

    def __init__(self, public_key: bytes) -> None:
        self.public_key = public_key
        self._server: Server | None = None
        self._streams: set[SecureStream] = set()
        self._closed = False

    def start(self, discovery: Discovery, announcer: Announcer, reach: Reach) -> None:
        """One may listen and connect from now on."""
        self._discovery, self._announcer, self._reach = discovery, announcer, reach

    def close(self) -> None:
        """End all streams that others have opened."""
        self._closed = True
        for stream in list(self._streams):
            stream.abort()

    # Those who come.

    async def listen(self, handler: StreamHandler, allow: AllowStream | None) -> Server:
        """Accept streams, and announce that we do."""
        if self._server is not None:
            raise RuntimeError("the node is listening already")
        self._server = server = Server(self, handler, allow)
        await self._announcer.announce(peer_topic(self.public_key))
        return server

    async def stop(self, server: Server) -> None:
        """Accept no more."""
        if self._server is server:
            self._server = None
            if not self._closed:
                await self._announcer.withdraw(peer_topic(self.public_key))

    def allows(self, key: bytes) -> bool | Awaitable[bool]:
        """Decide about a peer: nobody may come where nobody listens."""
        if self._server is None:
            return False
        return self._server.allow(key) if self._server.allow else True

    async def admits(self, key: bytes) -> bool:
        """Say what `allows` does, which may take its time."""
        allowed = self.allows(key)
        return bool(await allowed if inspect.isawaitable(allowed) else allowed)

    async def receive(self, stream: SecureStream) -> None:
        """Give a stream to the handler."""
        if self._server is None:
            stream.close()
            return
        self._streams.add(stream)
        try:
            await self._server.handler(stream)
        except NetError as error:
            log.debug("= stream %r ended: %s", stream, error)
        finally:
            self._streams.discard(stream)
            stream.close()

    # Those whom we reach.

    async def find(self, public_key: bytes) -> AsyncGenerator[PeerAddress]:
        """Yield where the owner of a key listens, and newer addresses as they turn up."""
        _check_key(public_key)
        async with contextlib.aclosing(self._discovery.lookup(peer_topic(public_key))) as peers:
            async for peer in peers:
                if peer.public_key == public_key:
                    yield peer

    async def connect(self, public_key: bytes, seconds: float, trouble: str) -> SecureStream:
        """Open a stream to the owner of a key; `trouble` is what errors say besides."""
        _check_key(public_key)
        name = public_key.hex()[:16]
        attempts: list[Attempt] = []
        try:
            async with asyncio.timeout(seconds):
                return await self._connect(public_key, attempts, trouble)
        except TimeoutError as error:
            tried = "; ".join(told(attempts)) or trouble or "a search"
            raise DeadlineError(f"no stream to {name} in {seconds:g} s (tried: {tried})") from error

    async def _connect(
        self, public_key: bytes, attempts: list[Attempt], trouble: str
    ) -> SecureStream:
        topic = peer_topic(public_key)
        failure: ConnectError | None = None
        async with contextlib.aclosing(self.find(public_key)) as peers:
            async for peer in peers:
                try:
                    return await self._reach(peer, topic, PROTOCOL, attempts)
                except ConnectError as error:
                    failure = error
        if failure is not None:
            raise ConnectError(failure.summary, told(attempts))
        name = public_key.hex()[:16]
        raise NotFound(f"no announcement of {name}", [trouble or "the DHT"])


def _check_key(public_key: bytes) -> None:
    if len(public_key) != 32:
        raise ValueError(f"a public key has 32 bytes, not {len(public_key)}")


def told(attempts: list[Attempt]) -> list[str]:
    """Return what was tried, each thing once."""
    return list(dict.fromkeys(map(str, attempts)))
