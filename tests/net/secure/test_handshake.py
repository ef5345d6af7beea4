"""The handshake of a stream, and what those who wait for it are told."""

from __future__ import annotations

import asyncio

import pytest

from net.carriers.memory import MemoryCarrier, memory_pair
from net.errors import HandshakeError
from net.noise import NoiseSession
from net.secure.handshake import Handshake
from net.secure.stream import SecureStream
from tests.reference.relays import until
from tests.reference.wire import ALICE, BOB

Carriers = tuple[MemoryCarrier, MemoryCarrier]


@pytest.fixture
async def carriers() -> Carriers:
    return memory_pair()


def handshakes(carriers: Carriers, *, known: bool = True) -> tuple[Handshake, Handshake]:
    """Return those of two streams; Alice knows Bob's key, or does not."""
    key = BOB.public_key if known else None
    ours = NoiseSession(ALICE, initiator=True, remote_key=key, protocol="test")
    theirs = NoiseSession(BOB, initiator=False)
    return (
        SecureStream(carriers[0], ours).handshake,
        SecureStream(carriers[1], theirs).handshake,
    )


async def test_one_asks_and_the_other_decides(carriers: Carriers) -> None:
    ours, theirs = handshakes(carriers)
    opening = asyncio.ensure_future(ours.begin())
    peer = await theirs.begin()
    assert peer is not None
    assert (peer.public_key, peer.protocol) == (ALICE.public_key, "test")
    assert not opening.done()
    await asyncio.gather(theirs.accept(b"welcome"), opening)
    assert opening.result() is None


async def test_without_a_key_both_decide(carriers: Carriers) -> None:
    ours, theirs = handshakes(carriers, known=False)
    begun = asyncio.gather(ours.begin(), theirs.begin())
    await until(ours._identified.done)
    await ours.accept(b"")
    await until(theirs._identified.done)
    peers = await begun
    assert [peer and peer.public_key for peer in peers] == [BOB.public_key, ALICE.public_key]
    await theirs.accept(b"")


async def test_who_waits_is_told_that_it_comes_to_nothing(carriers: Carriers) -> None:
    ours, _ = handshakes(carriers)
    beginning = asyncio.ensure_future(ours.begin())
    await asyncio.sleep(0)
    carriers[1].abort()
    with pytest.raises(HandshakeError, match="lost in the handshake"):
        await beginning


async def test_who_has_gone_while_it_was_decided_is_not_accepted(carriers: Carriers) -> None:
    ours, theirs = handshakes(carriers)
    opening = asyncio.ensure_future(ours.begin())
    assert await theirs.begin() is not None
    carriers[0].abort()
    await until(theirs._established.done)
    with pytest.raises(HandshakeError, match="lost in the handshake"):
        await theirs.accept(b"")
    with pytest.raises(HandshakeError):
        await opening


async def test_what_is_established_stays_so(carriers: Carriers) -> None:
    ours, theirs = handshakes(carriers)
    opening = asyncio.ensure_future(ours.begin())
    await theirs.begin()
    await asyncio.gather(theirs.accept(b""), opening)
    ours.fail(HandshakeError("too late"))
    assert ours._established.exception() is None
    for carrier in carriers:
        carrier.abort()
