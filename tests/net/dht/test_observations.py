"""How others see us."""

from __future__ import annotations

from net.addresses import Address
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


def test_who_is_seen_elsewhere_hides_from_the_first_join_until_it_is_seen_here() -> None:
    seen = Observations(own=lambda address: address == US)
    hidden = [seen.hidden]
    seen.hide_until_seen()
    hidden.append(seen.hidden)
    for n in range(2):
        seen.add(address_of(n), US)
    seen.hide_until_seen()  # joining again: it is known how we are seen
    hidden.append(seen.hidden)
    for n in range(2, 20):
        seen.add(address_of(n), LIE)
    assert [*hidden, seen.hidden] == [False, True, False, True]


def test_whose_own_addresses_are_not_known_never_hides() -> None:
    seen = Observations()
    seen.hide_until_seen()
    for n in range(9):
        seen.add(address_of(n), LIE)
    assert not seen.hidden


def test_only_news_has_our_own_addresses_looked_at() -> None:
    looks: list[Address] = []

    def own(address: Address) -> bool:
        looks.append(address)
        return True

    seen = Observations(own)
    for _ in range(9):
        for n in range(2):
            seen.add(address_of(n), US)
    assert looks == [US, US]
