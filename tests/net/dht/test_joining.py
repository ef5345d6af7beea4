"""Joining through whoever is there, and exploring while nobody waits for anything."""

from __future__ import annotations

from net.addresses import Address
from net.dht.contacts import Contact
from net.dht.joining import GIVE_WAY, MAX_PINGS, PING_AGAIN, Explore, Join
from net.dht.messages import Found, Lookup, Ping
from net.dht.query import Query
from tests.reference.dht_network import Network, address_of

ME = b"\x01" * 20


def contact(number: int) -> Contact:
    return Contact(number.to_bytes(20, "big"), address_of(number))


def found(number: int) -> Found:
    return Found(contact(number).id, bytes(8), b"", b"", [])


def test_joining_pings_each_address_three_times_and_ends() -> None:
    places = [address_of(1), address_of(2)]
    join = Join(ME, Query(ME), places)
    pinged: list[Address] = []
    for n in range(MAX_PINGS):
        for address, to, arguments in join.requests(n * PING_AGAIN):
            assert (to, isinstance(arguments, Ping)) == (None, True)
            pinged.append(address)
        assert not join.done
    assert join.next_timeout() is None
    assert pinged == MAX_PINGS * places
    for address in pinged:
        assert not join.done
        join.silent(address)
    assert (join.done, join.reached) == (True, 0)


def test_joining_goes_on_from_the_first_that_is_there() -> None:
    join = Join(ME, Query(ME), [address_of(1), address_of(2)])
    join.requests(0.0)
    join.arrived(contact(1))
    ((_, to, lookup),) = join.requests(0.0)
    assert (to, lookup) == (contact(1), Lookup(ME, ME))
    assert not join.done
    join.found(contact(1), found(1), [])
    assert join.done


def test_an_address_that_answers_nonsense_is_not_pinged_again() -> None:
    join = Join(ME, Query(ME), [address_of(1)])
    join.requests(0.0)
    join.silent(address_of(1), final=True)
    assert join.requests(0.0) == []
    assert join.done


def test_exploring_rests_for_a_while_and_wants_a_look_then() -> None:
    exploring = Explore(ME, Query(ME), [3, 5], 10.0)
    assert exploring.parts == (3, 5)
    assert (exploring.gives_way(10.0 + GIVE_WAY - 0.1), exploring.gives_way(10.0 + GIVE_WAY)) == (
        True,
        False,
    )
    assert exploring.next_timeout() is None
    exploring.resting = True
    assert exploring.next_timeout() == 10.0 + GIVE_WAY


def test_joining_among_many_dead_takes_a_second() -> None:
    times = []
    for seed in range(4):
        network = Network(seed)
        nodes = network.build(60)
        for _, address in network.rng.sample(nodes[1:], 40):
            network.kill(address)
        started = network.now
        network.add(nodes[0][1])
        times.append(network.now - started)
    assert max(times) < 1.2  # of the network's own clock
