"""Virtual time."""

from __future__ import annotations

from net.testing import Clock


def test_things_happen_in_the_order_of_their_times_then_of_asking() -> None:
    clock, seen = Clock(0.0), list[tuple[str, float]]()
    for name, when in (("late", 2.0), ("early", 1.0), ("also early", 1.0), ("past", -5.0)):
        clock.call_at(when, lambda name=name: seen.append((name, clock.now)))  # type: ignore[misc]  # mypy cannot type a lambda's default
    assert not clock.run(10.0)
    assert seen == [("past", 0.0), ("early", 1.0), ("also early", 1.0), ("late", 2.0)]
    assert clock.now == 10.0


def test_a_cancelled_timer_does_not_fire() -> None:
    clock, seen = Clock(0.0), list[int]()
    timer = clock.call_at(1.0, lambda: seen.append(1))
    timer.cancel()
    clock.run(2.0)
    timer.cancel()
    assert seen == []


def test_it_stops_where_it_is_told_and_goes_on() -> None:
    clock, seen = Clock(0.0), list[float]()

    def tick() -> None:
        seen.append(clock.now)
        clock.call_at(clock.now + 1.0, tick)

    clock.call_at(1.0, tick)
    assert clock.run(10.0, lambda: len(seen) == 3)
    assert clock.now == 3.0
    clock.run(5.0)
    assert seen == [1.0, 2.0, 3.0, 4.0, 5.0]
