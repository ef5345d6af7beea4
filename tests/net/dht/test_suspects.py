"""Addresses that are asked last."""

from __future__ import annotations

from net.dht.suspects import MAX_SUSPECTS, SUSPICION, Suspects
from tests.reference.dht_network import address_of


def test_suspicion_ends_with_time_and_with_a_sign_of_life() -> None:
    suspects = Suspects()
    suspects.add(address_of(1), 0.0)
    suspects.add(address_of(2), 10.0)
    assert suspects.at(SUSPICION - 1) == {address_of(1), address_of(2)}
    assert suspects.at(SUSPICION) == {address_of(2)}
    suspects.clear(address_of(2))
    suspects.clear(address_of(3))
    assert suspects.at(20.0) == {address_of(1)}


def test_memory_is_bounded() -> None:
    suspects = Suspects()
    for n in range(MAX_SUSPECTS + 5):
        suspects.add(address_of(n), 0.0)
    assert len(suspects) == MAX_SUSPECTS
    assert address_of(4) not in suspects.at(1.0)
    assert address_of(5) in suspects.at(1.0)
