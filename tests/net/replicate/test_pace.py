"""A peer's window follows what its link can carry."""

from __future__ import annotations

from itertools import pairwise

import pytest

from net.replicate.pace import (
    CHUNKS,
    FIRST_PATIENCE,
    FLOOR,
    MAX_CHUNK,
    MAX_PATIENCE,
    MAX_WINDOW,
    MIN_CHUNK,
    MIN_PATIENCE,
    Pace,
)


def transfer(pace: Pace, rate: float, delay: float, rounds: int) -> None:
    """Keep a link of that rate and delay full for some round trips."""
    now = 0.0
    for _ in range(rounds):
        size, before = pace.window, pace.delivered
        pace.asked(size)
        taken = delay + size / rate
        pace.first_answer(now + delay, now)
        pace.answered(now + taken, now, before, size)
        pace.settled(size)
        now += taken


def test_it_grows_to_cover_bandwidth_times_delay() -> None:
    pace = Pace()
    assert pace.window == FLOOR
    transfer(pace, rate=50e6, delay=0.1, rounds=8)
    assert pace.window >= 5_000_000
    assert pace.in_flight == 0


def test_it_doubles_each_round_trip_at_first() -> None:
    pace = Pace()
    sizes = []
    for _ in range(3):
        transfer(pace, rate=1e12, delay=0.1, rounds=1)
        sizes.append(pace.window)
    assert all(later > 1.8 * before for before, later in pairwise(sizes))


def test_it_has_a_limit() -> None:
    pace = Pace()
    transfer(pace, rate=1e12, delay=1.0, rounds=20)
    assert pace.window == MAX_WINDOW


def test_a_slow_peer_is_asked_for_little_at_a_time() -> None:
    pace = Pace()
    transfer(pace, rate=10_000, delay=0.01, rounds=2)
    assert MIN_CHUNK <= pace.chunk < 4 * MIN_CHUNK
    fast = Pace()
    transfer(fast, rate=1e9, delay=0.001, rounds=8)
    assert fast.chunk == MAX_CHUNK
    assert fast.window >= CHUNKS * MAX_CHUNK


def test_patience_is_bounded_both_ways() -> None:
    pace = Pace()
    assert pace.patience == FIRST_PATIENCE
    pace.first_answer(0.001, 0.0)
    assert pace.patience == MIN_PATIENCE
    assert pace.hedge_after < 0.1
    for _ in range(50):
        pace.first_answer(60.0, 0.0)
    assert pace.patience == MAX_PATIENCE


def test_the_expected_time_counts_what_is_before() -> None:
    pace = Pace()
    transfer(pace, rate=1e6, delay=0.1, rounds=8)
    alone = pace.time_for(1_000_000)
    pace.asked(2_000_000)
    assert pace.time_for(1_000_000) - alone == pytest.approx(2.0, rel=0.3)
