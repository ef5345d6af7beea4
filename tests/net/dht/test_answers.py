"""What answers do, and silence, on a simulated network from a seed."""

from __future__ import annotations

from random import Random

import pytest

from feedlog.keys import KeyPair
from net.addresses import Address, family
from net.dht.codes import Code
from net.dht.contacts import Contact, pack_contacts
from net.dht.core import DhtCore
from net.dht.datagrams import Request, decode_datagram, encode_response
from net.dht.events import Finished
from net.dht.messages import Found
from net.dht.query import SOFT_TIMEOUT
from net.dht.records import sign_announcement
from net.dht.round_trips import LEAST_PATIENCE
from tests.reference.dht_network import HERE, TOPIC, UNIX, Network, address_of, announce, lookup


class Asker:
    """A node that looks for `TOPIC` and knows one other, whose answers the test makes."""

    def __init__(self, host: str) -> None:
        self.core = DhtCore(
            KeyPair.from_seed(bytes(32)),
            KeyPair.from_seed(b"\x01" * 32),
            rng=Random(1),
            secret=bytes(32),
            now=0.0,
            unix=UNIX,
        )
        self.other = Contact(b"\x02" * 20, (host, 4000))
        self.core.table.add(self.other, 0.0)
        self.core.lookup(TOPIC, 0.0)
        ((data, _),) = self.core.datagrams_to_send()
        request = decode_datagram(data)
        assert isinstance(request, Request)
        self.message_id = request.message_id

    def take(self, contacts: list[Contact], records: list[bytes], rest: bytes = b"") -> None:
        """Take an answer that names contacts, and holds records."""
        packed = [
            pack_contacts(one for one in contacts if family(one.address) == version)
            for version in (4, 6)
        ]
        found = Found(self.other.id, bytes(8), packed[0] + rest, packed[1], records)
        answer = encode_response(self.message_id, HERE, found)
        self.core.receive_datagram(answer, self.other.address, 0.1)

    def asked(self) -> list[Address]:
        return [address for _, address in self.core.datagrams_to_send()]


@pytest.mark.parametrize(
    ("answerer", "named", "asked"),
    [
        ("20.0.0.1", "30.0.0.1", True),
        ("20.0.0.1", "192.168.1.3", False),
        ("20.0.0.1", "127.0.0.1", False),
        ("20.0.0.1", "224.0.0.1", False),
        ("20.0.0.1", "2a00::1", False),  # a family that this node does not speak
        ("192.168.1.2", "30.0.0.1", True),
        ("192.168.1.2", "192.168.1.3", True),
        ("192.168.1.2", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.2", True),
    ],
)
def test_nobody_sends_us_nearer_than_it_is_itself(answerer: str, named: str, asked: bool) -> None:
    asker = Asker(answerer)
    asker.take([Contact(b"\x03" * 20, (named, 9))], [])
    assert asker.asked() == ([(named, 9)] if asked else [])


def test_we_do_not_ask_ourselves() -> None:
    asker = Asker("20.0.0.1")
    asker.take([Contact(asker.core.id, ("30.0.0.1", 9))], [])
    assert asker.asked() == []


def test_an_answer_that_makes_no_sense_has_no_effect_but_that_its_sender_has_failed() -> None:
    record = sign_announcement(
        KeyPair.from_seed(b"\x04" * 32), TOPIC, [HERE], seq=1, expiry=int(UNIX) + 60
    ).raw
    for contacts, records, rest in (
        ([Contact(b"\x03" * 20, ("30.0.0.1", 9))], [record], b"x"),
        ([Contact(b"\x03" * 20, ("30.0.0.1", 9))], [record, record[:-1] + b"x"], b""),
    ):
        asker = Asker("20.0.0.1")
        asker.take(contacts, records, rest)
        assert asker.core.counters["malformed"] == 1
        assert asker.asked() == []
        events = list(iter(asker.core.next_event, None))
        assert [type(event) for event in events] == [Finished]
        assert [entry.failures for entry in asker.core.table] == [1]


def test_what_several_answers_show_is_told_once() -> None:
    network = Network(30)
    nodes = network.build(12)
    assert announce(network, nodes[1]) == 8
    reader = network.add(nodes[0][1], ephemeral=True)
    assert len(lookup(network, reader)) == 1


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
