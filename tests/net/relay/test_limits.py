from __future__ import annotations

import pytest

from net.relay.limits import Meter, RelayLimits
from net.relay.messages import Limits


def test_a_limit_is_a_positive_number() -> None:
    assert RelayLimits(circuits=1).of_circuit == Limits(1 << 30, 4 << 20, 3600, 180)
    with pytest.raises(ValueError, match="limit of circuits is at least 1, not 0"):
        RelayLimits(circuits=0)


def test_the_rate_is_kept_over_time() -> None:
    meter = Meter(Limits(10**9, 1000, 60, 60), now=0.0)
    assert meter.take(1000, 0.0) == 0.0
    assert meter.take(500, 0.0) == 0.5
    assert meter.take(0, 0.5) == 0.0
    now = 0.5
    for _ in range(100):
        now += meter.take(300, now)
    assert meter.carried == 31_500
    assert 29.5 <= now <= 31.0


def test_a_pause_earns_one_second_of_burst_and_no_more() -> None:
    meter = Meter(Limits(10**9, 1000, 60, 60), now=0.0)
    assert meter.take(1000, 50.0) == 0.0
    assert meter.take(1000, 50.0) == 1.0


@pytest.mark.parametrize(
    ("size", "now", "reason"),
    [
        (999, 1.0, ""),
        (1000, 1.0, "it carried 1000 bytes, limit 1000"),
        (1, 10.0, "it stood for 10 s, the limit"),
    ],
)
def test_what_is_exceeded_is_named(size: int, now: float, reason: str) -> None:
    meter = Meter(Limits(1000, 1000, 10, 5), now=0.0)
    meter.take(size, now)
    assert meter.exceeded(now) == reason


def test_silence_counts_from_the_last_byte() -> None:
    meter = Meter(Limits(1000, 1000, 10, 5), now=0.0)
    assert meter.ends_at() == 5.0
    meter.take(1, 3.0)
    assert meter.ends_at() == 8.0
    assert meter.exceeded(7.9) == ""
    assert meter.exceeded(8.0) == "it carried nothing for 5 s, the limit"
    meter.take(1, 8.0)
    assert meter.ends_at() == 10.0


def test_an_end_that_lags_behind_knows_the_limit_too() -> None:
    meter = Meter(Limits(1000, 1000, 10, 5), now=0.0)
    meter.take(995, 0.0)
    assert not meter.exceeded(0.0)
    assert "limit 1000" in meter.exceeded(0.0, early=2.0)
