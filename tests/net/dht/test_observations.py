"""How others see us."""

from __future__ import annotations

from net.dht.observations import MAX_REPORTERS, Observations
from tests.reference.dht_network import address_of

US, LIE = ("1.2.3.4", 5), ("6.6.6.6", 6)


def test_most_reporters_count_each_once() -> None:
    assert Observations().address is None
    seen = Observations()
    for _ in range(9):
        seen.add(address_of(0), LIE)
    seen.add(address_of(1), US)
    seen.add(address_of(2), US)
    assert seen.address == US
    assert seen.reports == {address_of(0): LIE, address_of(1): US, address_of(2): US}


def test_a_change_of_address_is_noticed_and_memory_is_bounded() -> None:
    seen = Observations()
    for n in range(100):
        seen.add(address_of(n), LIE)
    for n in range(MAX_REPORTERS // 2 + 1):
        seen.add(address_of(1000 + n), US)
    assert seen.address == US
    assert len(seen._reports) == MAX_REPORTERS
