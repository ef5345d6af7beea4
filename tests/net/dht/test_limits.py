"""The rate limit by area."""

from __future__ import annotations

from net.dht.limits import MAX_AREAS, RateLimit


def test_a_burst_then_the_rate_and_others_are_not_touched() -> None:
    limit = RateLimit(rate=10, burst=5)
    assert [limit.allow(("8.8.8.8", n), 1.0) for n in range(6)] == [True] * 5 + [False]
    assert not limit.allow(("8.8.8.9", 1), 1.0)  # the same subnet
    assert limit.allow(("8.8.9.8", 1), 1.0)
    assert limit.allow(("8.8.8.8", 1), 1.1)
    assert not limit.allow(("8.8.8.8", 1), 1.1)
    assert [limit.allow(("8.8.8.8", 1), 100.0) for n in range(6)] == [True] * 5 + [False]


def test_this_machine_is_not_limited() -> None:
    limit = RateLimit(rate=1, burst=1)
    assert all(limit.allow(("127.0.0.1", n), 1.0) for n in range(100))


def test_memory_is_bounded() -> None:
    limit = RateLimit()
    for n in range(MAX_AREAS + 100):
        limit.allow((f"8.{n >> 8}.{n & 255}.1", 1), 1.0)
    assert len(limit._left) == MAX_AREAS
