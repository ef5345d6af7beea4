"""What a node does of itself: it stays in a network, knows it, and is found in it."""

from __future__ import annotations

import random
from collections.abc import Callable

from net.addresses import Address
from net.dht.codes import Code
from net.dht.core import DhtCore
from net.dht.joining import Explore
from net.dht.publications import NEWCOMER_AFTER, RETRY_AFTER
from net.dht.records import MAX_LIFETIME, sign_announcement
from net.dht.upkeep import EXPLORE_EVERY, UPKEEP
from net.dht.value_records import sign_value
from tests.reference.dht_network import HERE, TOPIC, UNIX, Network, address_of, announce, lookup


def test_the_next_look_is_never_far_and_comes_sooner_when_told() -> None:
    network = Network(50)
    core = network.core()
    now = network.now
    for _ in range(20):
        due = core.next_timeout()
        assert now < due <= now + 1.1 * UPKEEP
        core._upkeep.hasten(due + 1.0)
        core._upkeep.hasten(None)
        assert core.next_timeout() == due
        core._upkeep.hasten(due - 1.0)
        assert core.next_timeout() == due - 1.0
        now = due
        core.handle_timeout(now)


def test_what_others_announced_is_forgotten_when_it_expires() -> None:
    network = Network(51)
    core = network.core()
    unix = UNIX + network.now
    record = sign_announcement(network.key_pair(), TOPIC, [HERE], seq=1, expiry=int(unix) + 60)
    value = sign_value(network.key_pair(), b"x", salt=b"", seq=1, expiry=int(unix) + 60)
    assert core._responder.store.put(record, "1.2.3.4", unix) is Code.OK
    assert core._responder.values.put(value, "1.2.3.4", unix) is Code.OK
    core.look(network.now + 59.0)
    core.handle_timeout(network.now + 59.0)
    assert (core.held, len(core._responder.values)) == (1, 1)
    core.look(network.now + 60.0)
    core.handle_timeout(network.now + 60.0)
    assert (core.held, len(core._responder.values)) == (0, 0)


def test_it_explores_once_a_minute() -> None:
    network = Network(52)
    nodes = network.build(12)
    core, address = nodes[5]
    explored: list[float] = []

    def tap(_data: bytes, source: Address, _target: Address) -> None:
        if source == address and core._runner.schedule.has(Explore):
            explored.append(network.now)

    network.run(network.now + 5.0)
    network.tap = tap
    began = network.now
    network.run(began + 10 * EXPLORE_EVERY)
    times = [one for n, one in enumerate(explored) if not n or one > explored[n - 1] + UPKEEP / 2]
    assert 5 <= len(times) <= 10


def test_every_lookup_in_a_hundred_live_nodes_succeeds() -> None:
    # Without exploring the id space after joining, one in a hundred ended in a corner.
    network = Network(2, delay=(0.0005, 0.002))
    nodes = network.build(100)
    assert min(len(core.table) for core, _ in nodes[:50]) > 20
    for _ in range(40):
        announcer, reader = network.rng.sample(nodes, 2)
        topic = network.rng.randbytes(20)
        assert announce(network, announcer, topic) == 8
        assert len(lookup(network, reader, topic)) == 1


def test_announcements_are_renewed_until_withdrawn_and_then_expire() -> None:
    network = Network(5)
    nodes = network.build(5)
    announce(network, nodes[1])
    network.run(network.now + 2.5 * MAX_LIFETIME)
    assert len(lookup(network, nodes[4])) == 1
    network.kill(nodes[1][1])
    network.run(network.now + MAX_LIFETIME + 2 * UPKEEP)
    assert lookup(network, nodes[4]) == []
    assert all(core.held == 0 for core, address in nodes if address != nodes[1][1])


def test_a_machine_that_slept_announces_anew() -> None:
    network = Network(20)
    nodes = network.build(5)
    announce(network, nodes[1])
    core, address = nodes[1]
    for other, _ in nodes:  # the others' clocks went on, ours stood still
        if other is not core:
            other._time_of_day.offset += 2 * MAX_LIFETIME
    assert lookup(network, nodes[4]) == []
    core.set_clock(network.now, network.now + nodes[0][0]._time_of_day.offset)
    network.pump(address)
    network.run(network.now + 2)
    assert len(lookup(network, nodes[4])) == 1


def test_what_was_announced_alone_spreads_when_others_come() -> None:
    network = Network(7)
    first = network.add(None)
    assert announce(network, first) == 0
    second = network.add(first[1])
    network.run(network.now + 1.0)
    assert second[0].held == 1


def test_a_record_follows_a_network_that_grows() -> None:
    network, rng = Network(10), random.Random(10)
    nodes = [network.add(None)]
    nodes += [network.add(nodes[0][1]) for _ in range(3)]
    assert announce(network, nodes[3]) == 3
    for _ in range(90):  # by way of each other: none of them knows who held the record first
        nodes.append(network.add(rng.choice(nodes[4:] or nodes[:3])[1]))
        network.run(network.now + 0.2)
    network.run(network.now + 2 * NEWCOMER_AFTER)
    assert all(lookup(network, node) for node in nodes[60:])


def test_a_node_that_lost_everybody_joins_again() -> None:
    network = Network(8)
    first = network.add(None)
    second = network.add(first[1])
    network.kill(first[1])
    network.run(network.now + 700)
    assert len(second[0].table) == 0
    network.place(first[0], first[1])
    network.run(network.now + 2 * UPKEEP)
    assert len(second[0].table) == 1


def test_a_bootstrap_node_that_comes_late_is_found() -> None:
    network = Network(9)
    first = network.core()
    here = address_of(500)
    second = network.core()
    place = network.place(second)
    assert network.finish(place, second.join([here], network.now)).answers == 0
    assert announce(network, (second, place)) == 0
    network.place(first, here)
    network.run(network.now + RETRY_AFTER)
    assert len(second.table) == 1
    assert first.held == 1


def test_another_network_is_looked_at_without_waiting() -> None:
    network = Network(41)
    here = address_of(500)
    core = network.core()
    place = network.place(core)
    assert network.finish(place, core.join([here], network.now)).answers == 0
    network.place(network.core(), here)
    began = network.now
    core.look(network.now)
    core.handle_timeout(network.now)
    network.pump(place)
    network.run(began + UPKEEP, lambda: len(core.table) == 1)
    assert network.now - began < 1.0


def test_who_is_behind_a_router_is_no_contact_of_others() -> None:
    """Seen from outside at another address, it answers only those that it has asked itself."""
    network = Network(24)
    nodes = network.build(6)

    def add(own: Callable[[Address], bool]) -> DhtCore:
        core = network.core(own=own)
        address = network.place(core)
        network.finish(address, core.join([nodes[0][1]], network.now))
        network.run(network.now + 5)
        return core

    inside = add(lambda seen: seen[0] == "192.168.0.2")
    outside = add(lambda seen: seen[0] != "192.168.0.2")
    for core, _ in nodes:
        assert inside.id not in core.table
        assert outside.id in core.table
    assert len(inside.table) >= 6
