"""Clients of a relay that mean harm, and a relay that does."""

from __future__ import annotations

import asyncio

import pytest

from feedlog.keys import KeyPair
from net.errors import NetError, RefusedError
from net.relay import core as core_module
from net.relay.core import ANSWER, DECISION, SILENCE
from net.relay.limits import RelayLimits
from net.relay.link import RelayLink
from net.relay.messages import (
    Accept,
    Code,
    Connect,
    Incoming,
    Ping,
    Refused,
    Request,
    Reserve,
    encode_message,
)
from net.relay.service import MAX_EARLY
from net.secure.opening import accept_stream, open_stream
from net.secure.stream import SecureStream
from tests.reference.relays import ADDRESS, RELAY, RelayBed, streams_between, until
from tests.reference.wire import ALICE, BOB, EVE


def strangers(count: int) -> list[KeyPair]:
    return [KeyPair.from_seed((b"stranger %d" % number).ljust(32)) for number in range(count)]


async def settle(turns: int = 30) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


def pass_time(bed: RelayBed, seconds: float) -> None:
    """Let time pass for the relay's decisions, without waiting for it."""
    for client in bed.service.core._clients.values():
        client.heard -= seconds
    bed.service.core.handle_timeout(asyncio.get_running_loop().time())
    bed.service._act()


async def test_a_flood_of_connects_reaches_the_victim_a_few_at_a_time() -> None:
    bed = RelayBed(RelayLimits(pending_per_peer=3))
    victim = await bed.stream(BOB)
    victim.write(encode_message(Reserve()))
    flood = [await bed.stream(stranger) for stranger in strangers(60)]
    for stream in flood:
        stream.write(encode_message(Connect(BOB.public_key)))
    await settle()
    assert bed.service.core.circuits == 3
    refused = [stream for stream in flood if b"3 others wait" in bytes(await peek(stream))]
    assert len(refused) == 57
    pass_time(bed, ANSWER)
    assert bed.service.core.circuits == 0
    assert bed.service.reservations == 1
    assert victim._reader.size < 400
    bed.close()


async def peek(stream: SecureStream) -> bytes:
    """Return what has come, without waiting."""
    return stream._reader.take(1000) if stream._reader else b""


async def test_connecting_and_leaving_again_and_again_leaves_nothing_behind() -> None:
    bed = RelayBed()
    await bed.client(BOB).reserve(ADDRESS, lambda _: None, allow=lambda _: True)
    for _ in range(100):
        stream = await bed.stream(EVE)
        stream.write(encode_message(Connect(BOB.public_key)))
        stream.flush()
        stream.abort()
        await settle(3)
    await settle()
    pass_time(bed, DECISION)
    await settle()
    assert bed.service.core.circuits == 0
    assert len(bed.service.core._tokens) == 0
    assert bed.service.reservations == 1
    bed.close()


async def test_a_stolen_token_is_of_no_use_to_another_key() -> None:
    bed = RelayBed()
    victim = await bed.stream(BOB)
    victim.write(encode_message(Reserve()))
    asking = await bed.stream(ALICE)
    asking.write(encode_message(Connect(BOB.public_key)))
    await settle()
    (token,) = bed.service.core._tokens
    for thief in (EVE, ALICE):
        stream = await bed.stream(thief)
        stream.write(encode_message(Accept(token)))
        assert b"nobody waits with that token" in await stream.read()
    for guess in range(100):
        stream = await bed.stream(EVE)
        stream.write(encode_message(Accept(guess.to_bytes(16, "big"))))
        assert b"nobody waits with that token" in await stream.read()
    assert bed.service.circuits == 0
    accepting = await bed.stream(BOB)
    accepting.write(encode_message(Accept(token)))
    await settle()
    assert bed.service.circuits == 1
    bed.close()


async def test_nobody_reserves_for_anothers_key() -> None:
    bed = RelayBed()
    await bed.client(EVE).reserve(ADDRESS, lambda _: None)
    with pytest.raises(RefusedError, match="does not wait"):
        await bed.client(ALICE).connect(ADDRESS, BOB.public_key)
    bed.close()


async def test_a_peer_that_never_accepts() -> None:
    bed = RelayBed()
    victim = await bed.stream(BOB)
    victim.write(encode_message(Reserve()))
    connecting = asyncio.ensure_future(bed.client(ALICE).connect(ADDRESS, BOB.public_key))
    await until(lambda: bed.service.core.circuits)
    pass_time(bed, ANSWER)
    with pytest.raises(RefusedError, match="the peer has not accepted in 10 s"):
        await connecting
    bed.close()


@pytest.mark.parametrize("drip", [b"", b"\x01", encode_message(Connect(BOB.public_key))[:-1]])
async def test_a_stream_that_says_nothing_or_half_a_message(drip: bytes) -> None:
    bed = RelayBed()
    stream = await bed.stream(EVE)
    for byte in drip:
        stream.write(bytes([byte]))
        stream.flush()
        await settle(2)
    pass_time(bed, DECISION)
    await stream.wait_closed()
    assert not bed.service.core._clients
    bed.close()


async def test_a_circuit_of_silence_or_single_bytes_ends_with_its_time() -> None:
    bed = RelayBed(RelayLimits(circuit_seconds=1))
    near, far = await bed.circuit()
    ours, theirs = await asyncio.gather(
        open_stream(near, ALICE, BOB.public_key), accept_stream(far, BOB)
    )
    ended = asyncio.ensure_future(theirs.read())
    while not ended.done():
        if not ours.is_closing():
            ours.write(b"x")
            ours.flush()
        await asyncio.sleep(0.02)
    with pytest.raises(NetError, match="the limit"):
        await ended
    assert bed.service.circuits == 0
    bed.close()


async def test_more_than_a_handshake_before_the_circuit_stands() -> None:
    bed = RelayBed()
    victim = await bed.stream(BOB)
    victim.write(encode_message(Reserve()))
    asking = await bed.stream(ALICE)
    asking.write(encode_message(Connect(BOB.public_key)) + bytes(MAX_EARLY + 1))
    assert b"before the circuit stands" in await asking.read()
    assert bed.service.core.circuits == 0
    bed.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff\xff",
        b"\x03\x00\xc1\xc1\xc1",
        encode_message(Incoming(bytes(16), bytes(32))),
        encode_message(Reserve()) * 2,
        encode_message(Reserve()) + encode_message(Connect(bytes(32))),
    ],
)
async def test_nonsense_ends_a_stream_and_nothing_else(nonsense: bytes) -> None:
    bed = RelayBed()
    near, far = await bed.circuit()
    stream = await bed.stream(EVE)
    stream.write(nonsense)
    await stream.read()
    await settle()
    assert not [c for c in bed.service.core._clients.values() if c.public_key == EVE.public_key]
    ours, theirs = await asyncio.gather(
        open_stream(near, ALICE, BOB.public_key), accept_stream(far, BOB)
    )
    ours.write(b"still here")
    assert await theirs.readexactly(10) == b"still here"
    bed.close()


async def test_a_client_that_never_reads_its_pongs_is_bounded() -> None:
    bed = RelayBed()
    stream = await bed.stream(EVE)
    stream.pause_reading()
    stream._reading_paused = True
    flood = encode_message(Ping(1)) * 4000
    for _ in range(400):
        if stream.is_closing() or stream._closed.done():
            break
        if not stream._writing_paused:
            stream.write(flood)
        await asyncio.sleep(0)
    (client,) = bed.service.core._clients.values() or [None]
    theirs = bed.streams[0]
    assert client is None or theirs._writing_paused
    assert theirs._carrier._peer._inbox_size < 4 << 20  # type: ignore[attr-defined]  # a memory carrier's
    bed.close()


async def test_a_relay_that_never_reads_what_it_makes_us_say_is_bounded() -> None:
    ours, theirs = await streams_between(ALICE, RELAY)
    link = RelayLink(ours)
    link.on_incoming = link.decline
    theirs.pause_reading()
    flood = encode_message(Ping(1)) + encode_message(Incoming(bytes(16), EVE.public_key))
    for _ in range(100):
        if not theirs._writing_paused:
            theirs.write(flood * 2000)
        await asyncio.sleep(0)
    assert ours._writing_paused
    assert ours._carrier._peer._inbox_size < 4 << 20  # type: ignore[attr-defined]  # a memory carrier's
    link.close()


async def test_a_relay_that_refuses_and_goes_on_talking() -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    ours, theirs = await streams_between(ALICE, RELAY)
    link = RelayLink(ours)
    theirs.write(encode_message(Refused(Code.RESERVATIONS, "no")) + encode_message(Ping(1)))
    await link.wait_closed()
    assert isinstance(link.error, RefusedError)
    assert faults == []


async def test_a_flood_of_questions_is_bounded() -> None:
    bed = RelayBed(RelayLimits(requests_per_peer=2))
    stream = await bed.stream(EVE)
    stream.write(b"".join(encode_message(Request(number, 0, b"")) for number in range(50)))
    answers = b""
    while answers.count(b"limit") < 48:
        answers += await stream.read(10_000)
    assert len(bed.service._tasks) <= 2
    bed.close()


async def test_too_many_streams_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_module, "MAX_STREAMS", 3)
    bed = RelayBed()
    kept = [await bed.stream(stranger) for stranger in strangers(3)]
    await (await bed.stream(EVE)).wait_closed()
    kept[0].abort()
    await settle()
    assert await bed.client(EVE).reserve(ADDRESS, lambda _: None)
    pass_time(bed, SILENCE)
    bed.close()


async def test_a_relay_that_drops_or_changes_bytes_is_noticed() -> None:
    bed = RelayBed()
    near, far = await bed.circuit()
    ours, theirs = await asyncio.gather(
        open_stream(near, ALICE, BOB.public_key), accept_stream(far, BOB)
    )
    (circuit,) = bed.service._circuits
    honest = circuit.carry

    def lying(leg: object, data: bytes) -> None:
        honest(leg, data[:-1] + bytes([data[-1] ^ 1]))  # type: ignore[arg-type]  # a leg

    circuit.carry = lying  # type: ignore[method-assign]  # on the way
    ours.write(b"pay the bearer 100")
    with pytest.raises(NetError, match="not authentic"):
        await theirs.read(1)
    assert RELAY.public_key not in {ours.remote_key, theirs.remote_key}
    bed.close()
