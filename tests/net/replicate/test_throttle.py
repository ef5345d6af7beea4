"""Bytes a second, with time in the test's hands."""

from __future__ import annotations

import pytest

from net.replicate.throttle import BURST, Throttle


def test_what_is_spent_is_paid_for_in_time() -> None:
    throttle = Throttle(1000)
    assert throttle.wait(50.0) == 0
    throttle.spend(500, 50.0)
    assert throttle.wait(50.0) == pytest.approx(0.5 - BURST)
    assert throttle.wait(51.0) == 0


def test_the_rate_is_kept() -> None:
    throttle, now, sent = Throttle(10_000), 100.0, 0
    while now < 110.0:
        throttle.spend(300, now)
        sent += 300
        now += throttle.wait(now) + 1e-9
    assert sent == pytest.approx(100_000, rel=0.05)


def test_without_a_limit_nothing_waits() -> None:
    throttle = Throttle()
    throttle.spend(10**12, 1.0)
    assert throttle.wait(1.0) == 0


def test_a_limit_is_positive() -> None:
    with pytest.raises(ValueError, match="-5"):
        Throttle(-5)
