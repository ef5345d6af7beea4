"""Hostile nodes and hostile datagrams against the DHT, on a simulated network from a seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedlog.keys import KeyPair
from net.addresses import Address, pack_address
from net.dht.acquaintance import MAX_VERIFYING
from net.dht.candidates import PER_AREA
from net.dht.codes import Code
from net.dht.contacts import Contact, pack_contacts
from net.dht.core import DhtCore
from net.dht.datagrams import (
    DHT_TAG,
    HEADER_SIZE,
    Request,
    decode_datagram,
    encode_request,
    encode_response,
)
from net.dht.hashing import node_id, ping_signable
from net.dht.messages import Announce, Found, Lookup, Ping, Pong
from net.dht.records import sign_announcement
from net.dht.routing import PER_AREA as PER_AREA_IN_TABLE
from net.dht.suspects import MAX_SUSPECTS
from tests.reference.dht_network import UNIX, Network, address_of

HERE = ("9.9.9.9", 4000)
Lie = Callable[["Liar", Request, Address], bytes]


class Liar:
    """Proves its id as it should, lies when it is asked for a topic, keeps nothing."""

    def __init__(self, network: Network, lie: Lie) -> None:
        self.core = network.core()
        self.network = network
        self.rng = Random(network.rng.random())
        self.lie = lie
        self.outbox: list[tuple[bytes, Address]] = []

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        message = decode_datagram(data) if data[1] == 0 else None
        if isinstance(message, Request) and isinstance(message.arguments, Lookup):
            self.outbox.append((self.lie(self, message, address), address))
        elif isinstance(message, Request) and isinstance(message.arguments, Announce):
            self.outbox.append((encode_response(message.message_id, address, None), address))
        else:
            self.core.receive_datagram(data, address, now)

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        outbox, self.outbox = self.outbox, []
        return outbox + self.core.datagrams_to_send()

    def next_timeout(self) -> float:
        return self.core.next_timeout()

    def handle_timeout(self, now: float) -> None:
        self.core.handle_timeout(now)

    def found(
        self, request: Request, address: Address, nodes: list[Contact], records: list[bytes]
    ) -> bytes:
        body = Found(self.core.id, bytes(8), pack_contacts(nodes), b"", records)
        return encode_response(request.message_id, address, body)


def near(request: Request, rng: Random) -> bytes:
    """An id that is closer to the target than any honest one."""
    assert isinstance(request.arguments, Lookup)
    point = int.from_bytes(request.arguments.topic, "big")
    return (point ^ rng.getrandbits(100)).to_bytes(20, "big")


def nobody(liar: Liar, request: Request, address: Address) -> bytes:
    """Names contacts that are closest of all, where nobody lives."""
    places = [address_of(liar.rng.randrange(10**6, 2**22)) for _ in range(20)]
    return liar.found(request, address, [Contact(near(request, liar.rng), p) for p in places], [])


def renamed(liar: Liar, request: Request, address: Address) -> bytes:
    """Names honest addresses under ids that are closest of all."""
    places = [p for p in liar.network.parties if p != address][-20:]
    return liar.found(request, address, [Contact(near(request, liar.rng), p) for p in places], [])


def nothing(liar: Liar, request: Request, address: Address) -> bytes:
    """Knows neither nodes nor records."""
    return liar.found(request, address, [], [])


def false_record(liar: Liar, request: Request, address: Address) -> bytes:
    """Gives records with a wrong signature, of another topic, and long expired."""
    assert isinstance(request.arguments, Lookup)
    keys = KeyPair.from_seed(liar.rng.randbytes(32))
    topic, unix = request.arguments.topic, int(UNIX + liar.network.now)
    good = sign_announcement(keys, topic, [HERE], seq=2**63, expiry=unix + 60).raw
    other = sign_announcement(keys, bytes(20), [HERE], seq=1, expiry=unix + 60).raw
    record = liar.rng.choice([good[:-1] + bytes([good[-1] ^ 1]), other, b"", bytes(200)])
    return liar.found(request, address, [], [record])


def giant(liar: Liar, request: Request, _address: Address) -> bytes:
    """Answers with sixty kilobytes."""
    body = [liar.core.id, bytes(8), liar.rng.randbytes(26 * 900), b"", [bytes(286)] * 100]
    payload = msgspec.msgpack.encode([0, bytes(6), body])
    return bytes((DHT_TAG, 1)) + request.message_id + payload


def garbage(liar: Liar, request: Request, _address: Address) -> bytes:
    """Answers with random bytes behind a good header."""
    return bytes((DHT_TAG, 1)) + request.message_id + liar.rng.randbytes(liar.rng.randrange(300))


LIES = [nobody, renamed, nothing, false_record, giant, garbage]


def build(
    network: Network, honest: int, liars: int, lies: list[Lie]
) -> list[tuple[DhtCore, Address]]:
    """A network in which honest nodes and liars came in turn."""
    nodes = [network.add(None)]
    for number in range(honest + liars - 1):
        if number * liars // (honest + liars) < (number + 1) * liars // (honest + liars):
            liar = Liar(network, network.rng.choice(lies))
            address = network.place(liar)
            liar.core.join([nodes[0][1]], network.now)
            network.pump(address)
            network.run(network.now + 1)
        else:
            nodes.append(network.add(nodes[0][1]))
    return nodes


def success(network: Network, nodes: list[tuple[DhtCore, Address]], topics: int = 10) -> int:
    """How many of so many announcements a random other node finds."""
    found = 0
    for _ in range(topics):
        (announcer, place), (reader, other) = network.rng.sample(nodes, 2)
        topic = network.rng.randbytes(20)
        network.finish(place, announcer.announce(topic, [HERE], network.now))
        records, _ = network.collect(other, reader.lookup(topic, network.now))
        assert all(record.addresses == (HERE,) for record in records)
        found += len(records) == 1
    return found


@pytest.mark.parametrize("lie", LIES)
def test_a_quarter_of_liars_hides_nothing(lie: Lie) -> None:
    network = Network(1)
    nodes = build(network, 36, 12, [lie])
    assert success(network, nodes) == 10


def test_liars_of_all_kinds_and_a_tenth_dead() -> None:
    network = Network(2, loss=0.02)
    nodes = build(network, 50, 15, [*LIES])
    for _, address in nodes[20:26]:
        network.kill(address)
    assert success(network, nodes[:20] + nodes[26:], 20) >= 19


def test_five_hundred_ids_of_one_address_surround_nobody() -> None:
    network = Network(3)
    nodes = network.build(40)
    topic = network.rng.randbytes(20)
    sybils = [("66.66.66.66", 1000 + n) for n in range(500)]

    def surround(liar: Liar, request: Request, address: Address) -> bytes:
        chosen = liar.rng.sample(sybils, 20)
        return liar.found(
            request, address, [Contact(near(request, liar.rng), place) for place in chosen], []
        )

    for place in sybils:
        liar = Liar(network, surround)
        network.place(liar, place)
        hello = encode_request(liar.rng.randbytes(20), Lookup(liar.core.id, topic))
        for _, address in network.rng.sample(nodes, 6):
            network.send(hello, place, address)
    network.run(network.now + 5)
    for core, _ in nodes:
        hosts = [entry.contact.address[0] for entry in core.table]
        assert hosts.count("66.66.66.66") <= PER_AREA_IN_TABLE
    assert success(network, nodes) == 10
    core, address = nodes[5]
    end = network.finish(address, core.announce(topic, [HERE], network.now))
    assert end.stored == 8
    honest = sum(other.held > 0 for other, _ in nodes)
    assert honest >= 8 - PER_AREA


@given(st.lists(st.integers(HEADER_SIZE, 1200), min_size=1, max_size=10), st.integers(0, 2**32))
@settings(max_examples=40)
def test_a_forged_sender_is_sent_at_most_three_times_what_was_spent(
    sizes: list[int], seed: int
) -> None:
    network = Network(seed)
    core, address = network.add(None)
    for n in range(30):  # a full table, so that answers are as large as they get
        core.table.add(Contact(network.rng.randbytes(20), address_of(100 + n)), network.now)
    victim, drawn, spent = ("77.7.7.7", 7), 0, 0

    def tap(data: bytes, source: Address, target: Address) -> None:
        nonlocal drawn
        drawn += len(data) if (source, target) == (address, victim) else 0

    network.tap = tap
    for size in sizes:
        sender, pad = network.rng.choice([b"", network.rng.randbytes(20)]), max(0, size - 60)
        request = network.rng.choice(
            [Ping(sender, bytes(pad)), Lookup(sender, bytes(20), bytes(max(0, pad - 30)))]
        )
        data = bytes((DHT_TAG, 0)) + network.rng.randbytes(20)
        name = "ping" if isinstance(request, Ping) else "lookup"
        data += msgspec.msgpack.encode([name, request])
        spent += len(data)
        network.send(data, victim, address)
        network.run(network.now + 3)
        assert drawn <= 3 * spent


def test_a_token_is_of_no_use_at_another_address() -> None:
    network = Network(4)
    core, _ = network.add(None)
    record = sign_announcement(
        network.key_pair(), bytes(20), [HERE], seq=1, expiry=int(UNIX + network.now) + 60
    )
    token = core._responder._tokens.give(("1.1.1.1", 5), network.now)
    for source, code in ((("1.1.1.1", 6), Code.TOKEN), (("1.1.1.1", 5), Code.OK)):
        answer, said = core._responder.answer(
            Request(bytes(20), Announce(b"", token, record.raw)),
            400,
            source,
            network.now,
            UNIX + network.now,
        )
        assert said is code
        assert answer is not None


def test_a_flood_of_noise_and_of_newcomers_leaves_memory_bounded_and_lookups_working() -> None:
    network = Network(5)
    nodes = network.build(12)
    core, address = nodes[3]
    rng = Random(5)
    for n in range(4000):
        source = address_of(rng.randrange(10**5, 10**7))
        request = encode_request(rng.randbytes(20), Lookup(rng.randbytes(20), rng.randbytes(20)))
        noise = bytes((DHT_TAG, rng.randrange(3))) + rng.randbytes(rng.randrange(300))
        core.receive_datagram(request if n % 2 else noise, source, network.now)
        core.datagrams_to_send()
        assert len(core._acquaintance) <= MAX_VERIFYING
        network.now += 0.002
        if n % 400 == 0:
            core.handle_timeout(network.now)
    network.pump(address)
    network.run(network.now + 5)
    assert len(core._suspects) <= MAX_SUSPECTS
    assert len(core._exchange) == 0
    assert core.counters["malformed"] > 1000
    assert success(network, nodes) == 10


def test_one_area_that_asks_too_much_is_told_so_and_others_are_served() -> None:
    network = Network(6)
    nodes = network.build(3)
    core, _ = nodes[0]
    request = encode_request(bytes(20), Lookup(b"", bytes(20)))
    for n in range(1000):
        core.receive_datagram(request, ("55.5.5.5", 1000 + n), network.now)
    assert core.counters["refused BUSY"] >= 500
    answers = [decode_datagram(data) for data, _ in core.datagrams_to_send()]
    assert len(answers) == 1000
    assert success(network, nodes) == 10


def test_nobody_is_sent_into_a_private_network_by_a_stranger() -> None:
    network = Network(7)
    nodes = network.build(6)
    inside = [
        ("192.168.1.1", 53),
        ("127.0.0.1", 80),
        ("10.0.0.1", 9),
        ("224.0.0.1", 5353),
        ("0.0.0.0", 1),
    ]

    def inwards(liar: Liar, request: Request, address: Address) -> bytes:
        contacts = [Contact(near(request, liar.rng), place) for place in inside]
        return liar.found(request, address, contacts, [])

    for _ in range(3):
        liar = Liar(network, inwards)
        place = network.place(liar)
        liar.core.join([nodes[0][1]], network.now)
        network.pump(place)
        network.run(network.now + 1)
    targets: set[Address] = set()
    network.tap = lambda _data, _source, target: targets.add(target)
    assert success(network, nodes) == 10
    assert not targets & set(inside)


@pytest.mark.parametrize("forged", ["signature", "key"])
def test_a_forged_proof_enters_no_table(forged: str) -> None:
    network = Network(9)
    core, address = network.add(None)
    claimed, other = network.key_pair(), network.key_pair()
    place = address_of(77)
    hello = encode_request(bytes(20), Lookup(node_id(claimed.public_key), bytes(20)))
    core.receive_datagram(hello, place, network.now)
    pings = [decode_datagram(data) for data, target in core.datagrams_to_send() if target == place]
    (ping,) = [p for p in pings if isinstance(p, Request)]
    signable = ping_signable(ping.message_id, pack_address(address))
    signer, key = (other, claimed) if forged == "signature" else (other, other)
    pong = Pong(key.public_key, signer.sign(signable))
    core.receive_datagram(encode_response(ping.message_id, address, pong), place, network.now)
    assert core.counters["malformed"] == 1
    assert len(core.table) == 0


def test_an_id_without_its_key_enters_no_table() -> None:
    network = Network(8)
    nodes = network.build(4)

    class Thief(Liar):
        """Claims an id that it does not have the key of."""

        def __init__(self) -> None:
            super().__init__(network, nothing)
            self.claimed = self.rng.randbytes(20)

    thief = Thief()
    place = network.place(thief)
    for _, address in nodes:
        hello = encode_request(thief.rng.randbytes(20), Lookup(thief.claimed, bytes(20)))
        network.send(hello, place, address)
    network.run(network.now + 5)
    for core, _ in nodes:
        assert thief.claimed not in core.table


def ring(network: Network, count: int) -> Lie:
    """Returns a lie: naming only nodes that are alive, in areas of their own, in the same pay,
    and closer to whatever is asked for than everybody else."""
    members = [address_of(10**6 + 256 * n) for n in range(count)]

    def lie(liar: Liar, request: Request, address: Address) -> bytes:
        assert isinstance(request.arguments, Lookup)
        point = int.from_bytes(request.arguments.topic, "big")
        contacts = [Contact((point ^ n).to_bytes(20, "big"), m) for n, m in enumerate(members, 1)]
        return liar.found(request, address, contacts, [])

    class Member(Liar):
        """Answers under whatever id it was named."""

        def found(
            self, request: Request, address: Address, nodes: list[Contact], records: list[bytes]
        ) -> bytes:
            assert isinstance(request.arguments, Lookup)
            me = next(place for place, party in self.network.parties.items() if party is self)
            named = next(contact.id for contact in nodes if contact.address == me)
            body = Found(named, bytes(8), pack_contacts(nodes), b"", records)
            return encode_response(request.message_id, address, body)

    for place in members:
        network.place(Member(network, lie), place)
    return lie


def test_a_ring_of_liars_in_areas_of_their_own_surrounds_few() -> None:
    """On one path nearly all would be lost."""
    network = Network(10)
    nodes = build(network, 45, 5, [ring(network, 20)])
    assert success(network, nodes, 20) >= 18
