"""The handshake of a secure stream, at both ends, with its deadline and its door.

    stream = await open_stream(carrier, key_pair, remote_key)      # we know whom we want
    stream = await accept_stream(carrier, key_pair, allow=policy)  # somebody comes to us

Invariant: a stream is returned whose peer has proven its key and was allowed in, or the
carrier is closed. Must not know which carrier it is, or what the stream is for.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from feedlog.keys import KeyPair
from net.carriers.base import Carrier
from net.errors import DeadlineError, RefusedError
from net.noise import NoiseSession, PeerIdentified
from net.secure.stream import SecureStream

HANDSHAKE_DEADLINE = 10.0
"""Seconds for a whole handshake: four round trips of a bad satellite link."""

Allow = Callable[[bytes, str], bool | Awaitable[bool]]
"""Decides about a peer by its public key and the protocol that it asks for."""


async def open_stream(
    carrier: Carrier,
    key_pair: KeyPair,
    remote_key: bytes | None,
    *,
    protocol: str = "",
    extra: bytes = b"",
    allow: Allow | None = None,
    timeout: float = HANDSHAKE_DEADLINE,  # noqa: ASYNC109 - it closes the carrier too
) -> SecureStream:
    """Make a secure stream to the peer with that key (or to whoever answers, for None).

    `allow` decides about an answering peer whose key we did not name. Raises
    `HandshakeError`, `RefusedError` or `DeadlineError`, and the carrier is closed.
    """
    try:
        session = NoiseSession(
            key_pair,
            initiator=True,
            remote_key=remote_key,
            protocol=protocol,
            extra=extra,
            binding=carrier.binding,
        )
    except BaseException:
        carrier.abort()
        raise
    return await _establish(SecureStream(carrier, session), allow, b"", timeout)


async def accept_stream(
    carrier: Carrier,
    key_pair: KeyPair,
    *,
    allow: Allow | None = None,
    extra: bytes = b"",
    timeout: float = HANDSHAKE_DEADLINE,  # noqa: ASYNC109 - it closes the carrier too
) -> SecureStream:
    """Make a secure stream with the peer that has connected.

    `allow` is asked when the peer has proven its key and before it gets an answer.
    Raises `HandshakeError`, `RefusedError` or `DeadlineError`, and the carrier is closed.
    """
    session = NoiseSession(key_pair, initiator=False, extra=extra, binding=carrier.binding)
    return await _establish(SecureStream(carrier, session), allow, extra, timeout)


async def _establish(
    stream: SecureStream, allow: Allow | None, extra: bytes, seconds: float
) -> SecureStream:
    try:
        async with asyncio.timeout(seconds):
            peer = await stream.handshake.begin()
            if peer is not None:
                await _decide(allow, peer)
                await stream.handshake.accept(extra)
    except TimeoutError as error:
        stream.abort()
        raise DeadlineError(
            f"handshake with {stream.description} not finished in {seconds:g} s"
        ) from error
    except BaseException:
        stream.abort()
        raise
    return stream


async def _decide(allow: Allow | None, peer: PeerIdentified) -> None:
    if allow is None:
        return
    allowed = allow(peer.public_key, peer.protocol)
    if inspect.isawaitable(allowed):
        allowed = await allowed
    if not allowed:
        raise RefusedError(f"peer {peer.public_key.hex()[:16]} is not allowed")
