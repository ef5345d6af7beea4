"""How long answers are waited for."""

from __future__ import annotations

from net.dht.round_trips import (
    ENOUGH,
    FIRST_PATIENCE,
    LEAST_PATIENCE,
    MOST_PATIENCE,
    SAMPLES,
    TIMEOUT_FACTOR,
    RoundTrips,
)


def after(*samples: float) -> RoundTrips:
    made = RoundTrips()
    for seconds in samples:
        made.add(seconds)
    return made


def test_nothing_is_concluded_from_a_few() -> None:
    assert after(*[0.001] * (ENOUGH - 1)).patience == FIRST_PATIENCE
    assert after(*[0.001] * ENOUGH).patience == LEAST_PATIENCE


def test_the_slow_count_and_the_slowest_do_not() -> None:
    far = after(*[0.01] * 80, *[0.3] * 20)
    assert 0.3 < far.patience < 2 * 0.3
    assert after(*[0.01] * 99, 5.0).patience == LEAST_PATIENCE


def test_it_stays_within_bounds_and_follows_a_change() -> None:
    made = after(*[9.0] * SAMPLES)
    assert (made.patience, made.timeout) == (MOST_PATIENCE, TIMEOUT_FACTOR * MOST_PATIENCE)
    for _ in range(SAMPLES):
        made.add(0.02)
    assert (made.patience, made.timeout) == (LEAST_PATIENCE, TIMEOUT_FACTOR * FIRST_PATIENCE)
