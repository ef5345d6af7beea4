from __future__ import annotations

import asyncio

import pytest

from net.carriers import Carrier
from net.errors import DeadlineError, HandshakeError, RefusedError
from net.secure.opening import accept_stream, open_stream
from tests.reference.receivers import Recording
from tests.reference.wire import ALICE, BOB, EVE

CarrierPair = tuple[Carrier, Carrier]


async def test_without_a_key_both_still_know_whom_they_talk_to(carriers: CarrierPair) -> None:
    asked: list[bytes] = []

    def allow(key: bytes, protocol: str) -> bool:
        asked.append(key)
        return protocol in {"", "test"}

    ours, theirs = await asyncio.gather(
        open_stream(carriers[0], ALICE, None, protocol="test", allow=allow, extra=b"1"),
        accept_stream(carriers[1], BOB, allow=allow, extra=b"2"),
    )
    assert (ours.remote_key, theirs.remote_key) == (BOB.public_key, ALICE.public_key)
    assert asked == [BOB.public_key, ALICE.public_key]
    assert (ours.extra, theirs.extra) == (b"2", b"1")


async def test_a_policy_may_take_its_time_and_refuse(carriers: CarrierPair) -> None:
    async def allow(key: bytes, protocol: str) -> bool:
        await asyncio.sleep(0)
        return (key, protocol) != (ALICE.public_key, "test")

    opening, accepting = await asyncio.gather(
        open_stream(carriers[0], ALICE, BOB.public_key, protocol="test"),
        accept_stream(carriers[1], BOB, allow=allow),
        return_exceptions=True,
    )
    assert isinstance(accepting, RefusedError)
    assert isinstance(opening, HandshakeError)


async def test_somebody_else_cannot_answer_for_the_key(carriers: CarrierPair) -> None:
    opening, accepting = await asyncio.gather(
        open_stream(carriers[0], ALICE, BOB.public_key),
        accept_stream(carriers[1], EVE),
        return_exceptions=True,
    )
    assert isinstance(opening, HandshakeError)
    assert isinstance(accepting, HandshakeError)


async def test_a_key_that_nobody_can_have_closes_the_carrier(carriers: CarrierPair) -> None:
    seen = Recording()
    carriers[1].start(seen)
    with pytest.raises(HandshakeError, match="not a public key"):
        await open_stream(carriers[0], ALICE, bytes(32))
    while not seen.calls:
        await seen.wait()


async def test_a_silent_peer_is_given_up(carriers: CarrierPair) -> None:
    silent = Recording()
    carriers[1].start(silent)
    with pytest.raises(DeadlineError, match="not finished in 0 s"):
        await open_stream(carriers[0], ALICE, BOB.public_key, timeout=0)
    await silent.wait()


async def test_a_cancelled_handshake_closes_its_carrier(carriers: CarrierPair) -> None:
    silent = Recording()
    carriers[1].start(silent)
    opening = asyncio.ensure_future(open_stream(carriers[0], ALICE, BOB.public_key))
    await silent.size(10)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    while not silent.calls:
        await silent.wait()
