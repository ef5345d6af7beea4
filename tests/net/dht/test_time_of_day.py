"""The time of day goes with `now`, and a jump is noticed."""

from __future__ import annotations

from net.dht.time_of_day import CLOCK_JUMP, TimeOfDay

UNIX = 1_800_000_000.0


def test_it_goes_on_with_now_and_follows_a_clock_that_drifts() -> None:
    time_of_day = TimeOfDay(100.0, UNIX)
    assert time_of_day.at(130.0) == UNIX + 30.0
    for n in range(1, 10):
        assert not time_of_day.set(100.0 + n, UNIX + n + n * CLOCK_JUMP / 2)
    assert time_of_day.at(109.0) == UNIX + 9.0 + 9 * CLOCK_JUMP / 2


def test_a_jump_in_either_direction_is_told_once() -> None:
    time_of_day = TimeOfDay(100.0, UNIX)
    for unix in (UNIX + CLOCK_JUMP + 1, UNIX):
        assert time_of_day.set(100.0, unix)
        assert not time_of_day.set(100.0, unix)
        assert time_of_day.at(100.0) == unix
