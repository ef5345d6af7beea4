"""The node without sockets, on a simulated network from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedlog.keys import KeyPair
from net.addresses import Address
from net.dht.codes import Code
from net.dht.core import UPKEEP, DhtCore
from net.dht.events import Discovered, Finished
from net.dht.hashing import node_id
from net.dht.joining import PING_AGAIN
from net.dht.messages import MAX_DATAGRAM
from net.dht.publications import NEWCOMER_AFTER, RENEW_AFTER, RETRY_AFTER
from net.dht.query import SOFT_TIMEOUT, WANT
from net.dht.records import MAX_LIFETIME, sign_announcement
from net.dht.round_trips import LEAST_PATIENCE
from net.dht.schedule import MAX_OPERATIONS
from net.dht.sealing import HEAD
from tests.reference.dht_network import UNIX, Network, address_of

TOPIC = bytes(range(20))
HERE = ("9.9.9.9", 4000)


def lookup(network: Network, reader: tuple[DhtCore, Address], topic: bytes = TOPIC) -> list[bytes]:
    core, address = reader
    found, _ = network.collect(address, core.lookup(topic, network.now))
    return [record.public_key for record in found]


def announce(network: Network, node: tuple[DhtCore, Address], topic: bytes = TOPIC) -> int:
    core, address = node
    return network.finish(address, core.announce(topic, [HERE], network.now)).stored


def test_announce_and_lookup_and_the_observed_address() -> None:
    network = Network(1)
    nodes = network.build(30)
    assert announce(network, nodes[3]) == 8
    assert len(lookup(network, nodes[20])) == 1
    assert nodes[20][0].observed == nodes[20][1]
    assert all(len(core.table) >= 12 for core, _ in nodes)


@given(st.integers(0, 2**32))
@settings(max_examples=12)
def test_loss_duplication_and_reordering_lose_no_announcement(seed: int) -> None:
    network = Network(seed, loss=0.05, duplicate=0.1, delay=(0.001, 0.2))
    nodes = network.build(12)
    assert announce(network, nodes[3]) >= 6
    assert len(lookup(network, nodes[9])) == 1


def test_a_slow_path_is_not_taken_for_a_dead_one() -> None:
    network = Network(2, delay=(0.21, 0.24))  # a round trip takes longer than the soft timeout
    nodes = network.build(6)
    assert announce(network, nodes[3]) == 5
    assert len(lookup(network, nodes[5])) == 1


def test_thirty_percent_dead() -> None:
    network = Network(3)
    nodes = network.build(60)
    topics = [network.rng.randbytes(20) for _ in range(12)]
    for number, topic in enumerate(topics):
        assert announce(network, nodes[number], topic) == 8
    for _, address in nodes[20:38]:
        network.kill(address)
    times = []
    for number, topic in enumerate(topics):
        started = network.now
        assert len(lookup(network, nodes[40 + number], topic)) == 1
        times.append(network.now - started)
    assert sorted(times)[6] < 1.0  # of the network's own clock


def test_a_small_network_does_not_wait_for_its_dead() -> None:
    network = Network(18)
    nodes = network.build(9)
    assert announce(network, nodes[1]) == 8
    for _, address in nodes[2:5]:
        network.kill(address)
    times = []
    for _ in range(2):
        started = network.now
        assert len(lookup(network, nodes[8])) == 1
        times.append(network.now - started)
    assert times[0] < 2 * SOFT_TIMEOUT + 0.1  # not the second that an answer may take
    assert times[1] < times[0] or times[1] < SOFT_TIMEOUT


def test_those_who_were_silent_are_asked_last_the_next_time() -> None:
    network = Network(19)
    nodes = network.build(40)
    assert announce(network, nodes[1]) == 8
    for _, address in nodes[2:14]:
        network.kill(address)
    times = []
    for _ in range(4):
        started = network.now
        assert len(lookup(network, nodes[39])) == 1
        times.append(network.now - started)
    assert times[0] > LEAST_PATIENCE
    assert times[-1] < SOFT_TIMEOUT


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


def test_an_ephemeral_node_finds_and_is_in_no_table() -> None:
    network = Network(4)
    nodes = network.build(10)
    announce(network, nodes[1])
    reader = network.add(nodes[0][1], ephemeral=True)
    assert len(lookup(network, reader)) == 1
    assert all(reader[0].id not in core.table for core, _ in nodes)


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


def test_withdrawing_removes_at_once_and_stays_withdrawn() -> None:
    network = Network(6)
    nodes = network.build(5)
    announce(network, nodes[1])
    core, address = nodes[1]
    assert network.finish(address, core.withdraw(TOPIC, network.now)).stored == 4
    assert lookup(network, nodes[4]) == []
    network.run(network.now + 2 * RENEW_AFTER)
    assert lookup(network, nodes[4]) == []


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


def test_one_dead_bootstrap_node_of_two_does_not_delay() -> None:
    network = Network(10)
    first = network.add(None)
    core = network.core()
    address = network.place(core)
    started = network.now
    network.finish(address, core.join([address_of(900), first[1]], network.now))
    assert network.now - started < 0.5


def test_a_node_that_bootstraps_from_itself_has_reached_nobody() -> None:
    network = Network(17)
    core = network.core()
    address = network.place(core)
    assert network.finish(address, core.join([address], network.now)).answers == 0
    assert len(core.table) == 0


def test_a_wrong_clock_is_refused_with_the_reason() -> None:
    network = Network(11)
    nodes = network.build(4)
    core, address = nodes[1]
    core._time_of_day.offset += 7200
    end = network.finish(address, core.announce(TOPIC, [HERE], network.now))
    assert (end.stored, end.refusals) == (0, ((Code.EXPIRY, 3),))
    core._time_of_day.offset -= 7200
    assert announce(network, nodes[1]) == 3


def test_a_token_that_has_become_old_is_fetched_again() -> None:
    network = Network(12)
    nodes = network.build(2)
    core, address = nodes[1]
    before = nodes[0][0].counters["answered"]
    number = core.announce(TOPIC, [HERE], network.now)
    network.pump(address)
    network.run(network.now + 1, lambda: nodes[0][0].counters["answered"] > before)
    nodes[0][0]._responder._tokens._secret = bytes(32)  # as if two epochs had passed
    assert network.finish(address, number).stored == 1
    assert nodes[0][0].counters["refused TOKEN"] == 1


def test_a_node_that_restarts_with_another_key_replaces_itself() -> None:
    network = Network(13)
    nodes = network.build(4)
    _, address = nodes[2]
    fresh = network.core()
    network.place(fresh, address)
    network.finish(address, fresh.join([nodes[0][1]], network.now))
    for core, place in (nodes[0], nodes[1], nodes[3]):
        lookup(network, (core, place))
        lookup(network, (core, place))
        assert nodes[2][0].id not in core.table
        assert fresh.id in core.table


def test_a_cancelled_operation_leaves_nothing_behind() -> None:
    network = Network(14)
    nodes = network.build(4)
    announce(network, nodes[1])
    network.run(network.now + 5)
    core, address = nodes[3]
    while core.next_event() is not None:
        pass
    number = core.lookup(TOPIC, network.now)
    core.cancel(number, network.now)
    network.pump(address)
    network.run(network.now + 5)
    assert core.next_event() is None
    assert len(core._exchange) == 0
    assert len(core._runner.schedule) == 0


def test_a_lookup_that_has_found_something_asks_on_only_when_it_shall() -> None:
    network = Network(21)
    nodes = network.build(20)
    announce(network, nodes[1])
    core, address = next(node for node in nodes if not node[0].held)
    number = core.lookup(TOPIC, network.now)
    network.pump(address)
    events: list[object] = []

    def told() -> bool:
        events.extend(iter(core.next_event, None))
        return bool(events)

    network.run(network.now + 5, told)
    network.run(network.now + 5)  # what was asked already is answered
    asked, events = core._runner.schedule.get(number), [*events, *iter(core.next_event, None)]
    assert asked is not None
    assert [type(event) for event in events] == [Discovered]
    assert asked.query.sent < WANT
    core.go_on(number, network.now)
    end = network.finish(address, number)
    assert end.answers >= WANT


def test_what_a_node_holds_is_found_without_asking_anybody() -> None:
    network = Network(22)
    nodes = network.build(4)
    announce(network, nodes[1])
    core, address = nodes[2]
    assert core.held
    while core.next_event() is not None:
        pass
    core.datagrams_to_send()
    number = core.lookup(TOPIC, network.now)
    assert core.datagrams_to_send() == []
    event = core.next_event()
    assert isinstance(event, Discovered)
    core.go_on(number, network.now)
    assert network.finish(address, number).answers == 3


def test_many_operations_wait_their_turn() -> None:
    network = Network(15)
    nodes = network.build(4)
    core, address = nodes[1]
    numbers = [core.announce(network.rng.randbytes(20), [HERE], network.now) for _ in range(100)]
    assert len(core._runner.schedule.numbers()) <= MAX_OPERATIONS
    core.cancel(numbers[50], network.now)
    network.pump(address)
    network.run(network.now + 30)
    ended = []
    while (event := core.next_event()) is not None:
        assert isinstance(event, Finished)
        ended.append(event.operation)
    assert [n for n in numbers if n not in ended] == [numbers[50]]


def test_misuse_is_named() -> None:
    core = Network(16).core()
    with pytest.raises(ValueError, match="a topic has 20 bytes, not 32"):
        core.lookup(bytes(32), 0.0)
    with pytest.raises(ValueError, match="has an address or a relay"):
        core.announce(TOPIC, [], 0.0)
    with pytest.raises(ValueError, match=r"0\.\.8 addresses, not 9"):
        core.announce(TOPIC, [HERE] * 9, 0.0)
    with pytest.raises(ValueError, match=r"example\.org"):
        core.announce(TOPIC, [("example.org", 80)], 0.0)


def test_ids_are_bound_to_keys() -> None:
    key_pair = KeyPair.from_seed(bytes(32))
    assert node_id(key_pair.public_key) != node_id(bytes(32))
    assert len(node_id(key_pair.public_key)) == 20


@pytest.mark.parametrize("alive", [1, 2, 5])
def test_one_dead_contact_costs_less_than_a_second_in_a_network_of_any_size(alive: int) -> None:
    network = Network(20)
    nodes = network.build(alive + 2)
    dead, (core, address) = nodes[1], nodes[-1]
    network.run(network.now + 5)
    assert dead[0].id in core.table
    network.kill(dead[1])
    for announcing in (True, False):
        started = network.now
        topic = network.rng.randbytes(20)
        end = network.finish(
            address,
            core.announce(topic, [HERE], started) if announcing else core.lookup(topic, started),
        )
        assert end.answers == alive
        assert network.now - started < 1.0


def test_one_that_dies_between_the_crawl_and_the_record_is_replaced() -> None:
    network = Network(21)
    nodes = network.build(30)
    core, address = nodes[9]
    killed: list[Address] = []

    def kill(data: bytes, source: Address, target: Address) -> None:
        if source == address and b"announce" in data[:40] and len(killed) < 3:
            killed.append(target)
            network.parties.pop(target, None)

    network.tap = kill
    started = network.now
    end = network.finish(address, core.announce(TOPIC, [HERE], network.now))
    assert (len(killed), end.stored) == (3, 8)
    assert network.now - started < 1.0


def test_what_is_asked_while_joining_waits_for_the_first_that_is_there() -> None:
    network = Network(22)
    nodes = network.build(10)
    announce(network, nodes[1])
    core = network.core()
    address = network.place(core)
    core.join([("99.9.9.9", 9), nodes[0][1]], network.now)
    started = network.now
    assert lookup(network, (core, address)) == [nodes[1][0]._key_pair.public_key]
    assert network.now - started < 0.5


def test_with_nobody_there_joining_and_what_waits_for_it_end_soon() -> None:
    network = Network(23)
    core = network.core()
    address = network.place(core)
    join = core.join([("99.9.9.9", 9)], network.now)
    started = network.now
    assert lookup(network, (core, address)) == []
    assert network.now - started < 3.0
    assert network.now >= started + 2 * PING_AGAIN
    core.cancel(join, network.now)


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


def test_an_announcement_that_somebody_else_signed_is_held_like_our_own() -> None:
    network = Network(25)
    nodes = network.build(12)
    core, address = nodes[3]
    owner = network.key_pair()
    expiry = int(UNIX + network.now) + 600
    record = sign_announcement(owner, TOPIC, [HERE], seq=1, expiry=expiry)
    assert network.finish(address, core.publish(record, network.now)).stored == 8
    assert lookup(network, nodes[7]) == [owner.public_key]


def test_a_network_of_ones_own_works_like_any_and_its_datagrams_are_no_larger() -> None:
    network = Network(26, loss=0.02, network_key=bytes(range(32)))
    nodes = network.build(30)
    sent: list[bytes] = []
    network.tap = lambda data, *_: sent.append(data)
    for core, address in nodes[3:11]:  # answers as large as they get
        places = [("9.9.9.9", port) for port in range(4000, 4008)]
        assert network.finish(address, core.announce(TOPIC, places, network.now)).stored == 8
    assert len(lookup(network, nodes[20])) == 8
    assert 1100 < max(map(len, sent)) <= MAX_DATAGRAM
    assert all(data[:2] == HEAD and TOPIC not in data for data in sent)
    network.tap, network.network_key = None, None
    stranger = network.core()
    address = network.place(stranger)
    end = network.finish(address, stranger.join([nodes[0][1]], network.now))
    assert (end.answers, len(stranger.table)) == (0, 0)
    for data in sent:  # what it has overheard draws answers that it cannot read
        network.send(data, address, nodes[0][1])
    network.run(network.now + 5)
    assert stranger.counters["answered"] == len(stranger.table) == 0
