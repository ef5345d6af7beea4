"""What is kept for a carrier is released once, whichever way it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from net.carriers import memory_pair
from net.carriers.held import HeldCarrier
from net.carriers.medium import Medium
from net.carriers.memory import MemoryCarrier
from tests.reference.receivers import Recording


class Kept:
    def __init__(self) -> None:
        self.released = 0
        self.done = asyncio.Event()

    def release(self) -> None:
        self.released += 1
        self.done.set()


def we_abort(held: HeldCarrier, _: MemoryCarrier) -> None:
    held.abort()


def both_close(held: HeldCarrier, other: MemoryCarrier) -> None:
    held.close()
    other.close()


def they_abort(_: HeldCarrier, other: MemoryCarrier) -> None:
    other.abort()


@pytest.mark.parametrize("end", [we_abort, both_close, they_abort])
async def test_a_started_carrier_releases_when_it_is_lost(
    end: Callable[[HeldCarrier, MemoryCarrier], None],
) -> None:
    near, far = memory_pair()
    kept = Kept()
    held = HeldCarrier(near, kept.release, Medium.PUNCHED_QUIC, "192.0.2.1:9")
    assert (held.medium, held.description) == (Medium.PUNCHED_QUIC, "punched quic 192.0.2.1:9")
    assert (held.address, held.binding) == (None, b"")
    held.start(seen := Recording())
    far.start(Recording())
    end(held, far)
    await seen.call("lost")
    await kept.done.wait()
    held.abort()
    await asyncio.sleep(0)
    assert kept.released == 1


async def test_one_that_never_started_releases_when_it_is_ended() -> None:
    near, _ = memory_pair()
    kept = Kept()
    held = HeldCarrier(near, kept.release, Medium.PUNCHED_QUIC, "192.0.2.1:9")
    held.abort()
    held.close()
    await kept.done.wait()
    await asyncio.sleep(0)
    assert kept.released == 1
