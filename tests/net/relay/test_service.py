"""The relay with real streams over in-memory carriers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from net.errors import NetError, RefusedError
from net.relay.limits import RelayLimits
from net.relay.messages import Done, Item, Request
from net.secure.opening import accept_stream, open_stream
from tests.reference.relays import ADDRESS, RelayBed, until
from tests.reference.wire import ALICE, BOB, EVE


async def test_a_stream_runs_end_to_end_through_a_relay() -> None:
    bed = RelayBed()
    near, far = await bed.circuit()
    assert near.binding == far.binding == b""
    assert near.address is None
    assert near.description.startswith("relay ")
    ours, theirs = await asyncio.gather(
        open_stream(near, ALICE, BOB.public_key), accept_stream(far, BOB)
    )
    assert theirs.remote_key == ALICE.public_key
    assert bed.service.circuits == bed.service.reservations == 1
    ours.write(b"x" * 3_000_000)
    ours.write_eof()
    assert await theirs.read() == b"x" * 3_000_000
    theirs.close()
    ours.close()
    await theirs.wait_closed()
    await ours.wait_closed()
    await until(lambda: not bed.service.circuits)
    assert bed.service.passed_on > 3_000_000
    bed.close()


class Tapped:
    """Writes down what the relay reads."""

    def __init__(self, seen: bytearray, passed: Callable[[bytes], None]) -> None:
        self._seen, self._passed = seen, passed

    def __call__(self, data: bytes) -> None:
        self._seen += data
        self._passed(data)


async def test_the_relay_sees_ciphertext_only(monkeypatch: pytest.MonkeyPatch) -> None:
    bed = RelayBed()
    near, far = await bed.circuit()
    seen = bytearray()
    for stream in bed.streams:
        monkeypatch.setattr(stream, "line_received", Tapped(seen, stream.line_received))
    ours, theirs = await asyncio.gather(
        open_stream(near, ALICE, BOB.public_key, protocol="whispering", extra=b"aside"),
        accept_stream(far, BOB),
    )
    secret = b"nobody else's business"
    for sender, receiver in ((ours, theirs), (theirs, ours)):
        sender.write(secret * 10_000)
        assert await receiver.readexactly(len(secret) * 10_000) == secret * 10_000
    assert len(seen) > 2 * len(secret) * 10_000
    for plain in (secret, secret[:8], b"whispering", b"aside", ALICE.public_key):
        assert plain not in seen
    bed.close()


async def test_allow_decides_who_may_wait_and_who_may_connect() -> None:
    asked: list[tuple[bytes, str]] = []

    async def allow(key: bytes, purpose: str) -> bool:
        asked.append((key, purpose))
        await asyncio.sleep(0)
        return (key, purpose) in {(BOB.public_key, "reserve"), (ALICE.public_key, "connect")}

    bed = RelayBed(allow=allow)
    near, _ = await bed.circuit()
    with pytest.raises(RefusedError, match="not allowed to reserve here"):
        await bed.client(EVE).reserve(ADDRESS, lambda _: None)
    with pytest.raises(RefusedError, match="not allowed to connect here"):
        await bed.client(EVE).connect(ADDRESS, BOB.public_key)
    assert (ALICE.public_key, "connect") in asked
    near.abort()
    bed.close()


async def test_a_policy_need_not_be_a_coroutine() -> None:
    bed = RelayBed(allow=lambda key, _: key == BOB.public_key)
    await bed.client(BOB).reserve(ADDRESS, lambda _: None)
    with pytest.raises(RefusedError, match="not allowed to connect"):
        await bed.client(ALICE).connect(ADDRESS, BOB.public_key)
    bed.close()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (RelayLimits(circuit_bytes=100_000), "it carried .* bytes, limit 100000"),
        (RelayLimits(circuit_idle=1), "it carried nothing for 1 s, the limit"),
        (RelayLimits(circuit_seconds=1), "it stood for 1 s, the limit"),
    ],
    ids=["bytes", "idle", "seconds"],
)
async def test_a_circuit_over_its_limits_is_cut_and_both_ends_know_why(
    limits: RelayLimits, reason: str
) -> None:
    bed = RelayBed(limits)
    near, far = await bed.circuit()
    ours, theirs = await asyncio.gather(
        open_stream(near, ALICE, BOB.public_key), accept_stream(far, BOB)
    )
    if limits.circuit_bytes == 100_000:
        ours.write(bytes(200_000))
    for stream in (ours, theirs):
        with pytest.raises(NetError, match=f"the relay ended the circuit: {reason}"):
            await stream.read()
    assert bed.service.circuits == 0
    bed.close()


async def test_a_circuit_keeps_its_rate() -> None:
    bed = RelayBed(RelayLimits(circuit_rate=4_000_000))
    near, far = await bed.circuit()
    ours, theirs = await asyncio.gather(
        open_stream(near, ALICE, BOB.public_key), accept_stream(far, BOB)
    )
    began = asyncio.get_running_loop().time()
    ours.write(bytes(8_000_000))
    await theirs.readexactly(8_000_000)
    assert asyncio.get_running_loop().time() - began >= 0.5
    bed.close()


async def test_a_reader_that_stops_stops_the_writer_through_the_relay() -> None:
    bed = RelayBed()
    near, far = await bed.circuit()
    ours, theirs = await asyncio.gather(
        open_stream(near, ALICE, BOB.public_key), accept_stream(far, BOB)
    )
    written = 0
    quiet = 0
    while quiet < 200:
        if ours._writing_paused:
            quiet += 1
        else:
            quiet = 0
            ours.write(bytes(65536))
            written += 65536
        await asyncio.sleep(0)
    assert written < 8 << 20
    assert await theirs.readexactly(written) == bytes(written)
    bed.close()


async def test_questions_go_to_whoever_answers_them() -> None:
    class Echo:
        async def ask(self, public_key: bytes, request: Request) -> AsyncGenerator[Item | Done]:
            yield Item(request.number, public_key + request.data)
            yield Done(request.number, 3)

    bed = RelayBed(questions=Echo())
    link = await bed.client(ALICE).link(ADDRESS)
    assert [item async for item in link.request(0, b"?")] == [ALICE.public_key + b"?"]
    link.close()
    bed.close()
    plain = RelayBed()
    link = await plain.client(ALICE).link(ADDRESS)
    with pytest.raises(RefusedError, match="does not ask the DHT for others"):
        await link.told(0, b"?")
    plain.close()
