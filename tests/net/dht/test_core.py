"""The node without sockets, on a simulated network from a seed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedlog.keys import KeyPair
from net.addresses import Address
from net.dht.events import Discovered, Finished
from net.dht.hashing import node_id
from net.dht.joining import PING_AGAIN
from net.dht.messages import MAX_DATAGRAM
from net.dht.publications import RENEW_AFTER
from net.dht.query import WANT
from net.dht.records import sign_announcement
from net.dht.schedule import MAX_OPERATIONS
from net.dht.sealing import HEAD
from tests.reference.dht_network import HERE, TOPIC, UNIX, Network, announce, lookup


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


def test_an_ephemeral_node_finds_and_is_in_no_table() -> None:
    network = Network(4)
    nodes = network.build(10)
    announce(network, nodes[1])
    reader = network.add(nodes[0][1], ephemeral=True)
    assert len(lookup(network, reader)) == 1
    assert all(reader[0].id not in core.table for core, _ in nodes)


def test_withdrawing_removes_at_once_and_stays_withdrawn() -> None:
    network = Network(6)
    nodes = network.build(5)
    announce(network, nodes[1])
    core, address = nodes[1]
    assert network.finish(address, core.withdraw(TOPIC, network.now)).stored == 4
    assert lookup(network, nodes[4]) == []
    network.run(network.now + 2 * RENEW_AFTER)
    assert lookup(network, nodes[4]) == []


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
