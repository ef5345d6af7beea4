from __future__ import annotations

from random import Random

from net.addresses import RelayAddress
from net.relay.choice import AT_ONCE, MAX_CANDIDATES, MAX_PAUSE, PAUSE, RelayChoice


def relay(number: int) -> RelayAddress:
    return RelayAddress(number.to_bytes(32, "big"), (f"192.0.2.{number % 250}", 4000))


def test_the_nearest_come_first() -> None:
    choice = RelayChoice(Random(1))
    for number, seconds in enumerate((0.3, 0.02, 0.09)):
        choice.found(relay(number))
        choice.measured(relay(number), seconds)
    choice.found(relay(9))
    assert choice.to_try(0.0) == [relay(1), relay(2), relay(9), relay(0)]
    assert choice.to_try(0.0, but=[relay(1)])[0] == relay(2)
    elsewhere = RelayAddress(relay(1).public_key, ("192.0.2.99", 1))
    unnamed = RelayAddress(b"", relay(2).address)
    assert choice.to_try(0.0, but=[elsewhere, unnamed]) == [relay(9), relay(0)]


def test_only_some_are_measured_at_once() -> None:
    choice = RelayChoice(Random(1))
    for number in range(20):
        choice.found(relay(number))
    assert len(choice.to_try(0.0)) == AT_ONCE


def test_one_that_fails_rests_longer_each_time() -> None:
    choice = RelayChoice(Random(1))
    choice.found(relay(1))
    now = 0.0
    for times in range(12):
        choice.failed(relay(1), now)
        pause = min(MAX_PAUSE, PAUSE * 2**times)
        assert choice.to_try(now + pause * 0.7) == []
        now += pause * 1.3
        assert choice.to_try(now) == [relay(1)]
    choice.measured(relay(1), 0.1)
    choice.failed(relay(1), now)
    assert choice.to_try(now + PAUSE * 1.3) == [relay(1)]


def test_it_remembers_so_many_and_the_good_ones() -> None:
    choice = RelayChoice(Random(1))
    choice.found(relay(0))
    choice.measured(relay(0), 0.01)
    choice.found(relay(1))
    choice.failed(relay(1), 0.0)
    for number in range(2, 3 * MAX_CANDIDATES):
        choice.found(relay(number))
    assert len(choice) == MAX_CANDIDATES
    assert choice.to_try(0.0)[0] == relay(0)
    assert relay(1) not in choice.to_try(10**6)


def test_what_is_not_known_is_not_remembered() -> None:
    choice = RelayChoice(Random(1))
    choice.measured(relay(1), 0.1)
    choice.failed(relay(1), 0.0)
    assert len(choice) == 0
