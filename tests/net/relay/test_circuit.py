from __future__ import annotations

import asyncio

from net.relay.circuit import Circuit
from net.relay.messages import Limits
from net.secure.stream import SecureStream
from tests.reference.relays import RELAY, streams_between
from tests.reference.wire import ALICE, BOB

LIMITS = Limits(1 << 30, 1 << 30, 3600, 180)


async def circuit(over: list[str]) -> tuple[Circuit, SecureStream, SecureStream]:
    alice, left = await streams_between(ALICE, RELAY)
    bob, right = await streams_between(BOB, RELAY)
    made = Circuit(left, right, LIMITS, over.append)
    left.attach(made.legs[0])
    right.attach(made.legs[1])
    return made, alice, bob


async def test_each_direction_ends_by_itself() -> None:
    over: list[str] = []
    made, alice, bob = await circuit(over)
    alice.write(b"one")
    alice.write_eof()
    assert await bob.read() == b"one"
    assert not over
    bob.write(b"two")
    bob.write_eof()
    assert await alice.read() == b"two"
    assert over == [""]
    assert made.carried == 6
    alice.close()
    bob.close()
    await alice.wait_closed()
    await bob.wait_closed()


async def test_when_one_is_cut_so_is_the_other() -> None:
    over: list[str] = []
    _, alice, bob = await circuit(over)
    alice.abort()
    await bob.wait_closed()
    assert over == [""]
    assert not bob.at_eof()


async def test_what_was_written_before_a_close_arrives() -> None:
    over: list[str] = []
    _, alice, bob = await circuit(over)
    alice.write(bytes(500_000))
    alice.close(linger=False)
    assert await bob.read() == bytes(500_000)
    assert not over
    bob.close()
    await bob.wait_closed()
    assert over == [""]


async def test_a_reason_to_stop_reading_does_not_lift_another() -> None:
    made, alice, bob = await circuit([])
    leg = made.legs[0]
    leg.stop_reading("full")
    leg.stop_reading("rate")
    leg.read_on("full")
    alice.write(b"wait")
    for _ in range(10):
        await asyncio.sleep(0)
    assert made.carried == 0
    leg.read_on("rate")
    leg.read_on("rate")
    assert await bob.readexactly(4) == b"wait"
    made.end("enough")
    assert await alice.read() == await bob.read() == b""
