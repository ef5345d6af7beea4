"""Hostile nodes and hostile owners against the DHT's values, from seeds."""

from __future__ import annotations

from random import Random

import pytest

from feedlog.keys import KeyPair
from net.addresses import Address
from net.dht.codes import Code
from net.dht.core import DhtCore
from net.dht.datagrams import Request, decode_datagram, encode_request, encode_response
from net.dht.events import Fetched, Finished
from net.dht.hashing import value_topic
from net.dht.messages import Fetch, Found, Store
from net.dht.responder import MAX_VALUES, VALUES_PER_HOST
from net.dht.value_records import VALUE_LIFETIME, sign_value
from tests.reference.dht_network import UNIX, Network, address_of


class Liar:
    """An honest node but for what it says when it is asked for a value."""

    def __init__(self, core: DhtCore, lie: list[bytes] | None) -> None:
        self.core, self.lie = core, lie
        self.lies = 0

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        message = decode_datagram(data) if data[1] == 0 else None
        if not isinstance(message, Request) or not isinstance(message.arguments, Fetch):
            self.core.receive_datagram(data, address, now)
            return
        self.lies += 1
        if self.lie is not None:
            body = Found(self.core.id, bytes(8), b"", b"", self.lie)
            self.core._exchange.send(encode_response(message.message_id, address, body), address)

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        return self.core.datagrams_to_send()

    def next_timeout(self) -> float:
        return self.core.next_timeout()

    def handle_timeout(self, now: float) -> None:
        self.core.handle_timeout(now)


def values(network: Network, core: DhtCore, address: Address, public_key: bytes) -> list[bytes]:
    number = core.get(public_key, b"", network.now)
    found: list[bytes] = []
    end: list[Finished] = []

    def drain() -> bool:
        while (event := core.next_event()) is not None:
            if isinstance(event, Fetched):
                found.append(event.value.value)
            elif isinstance(event, Finished) and event.operation == number:
                end.append(event)
        return bool(end)

    network.pump(address)
    network.run(network.now + 60, drain)
    assert end
    return found


def lies(kind: str, key: KeyPair, now: float) -> list[bytes] | None:
    """False, stolen, old, huge and missing values."""
    expiry, other = int(UNIX + now) + 600, KeyPair.from_seed(bytes(32))
    good = sign_value(key, b"forged", salt=b"", seq=2**62, expiry=expiry).raw
    return {
        "forged": [good[:-1] + bytes([good[-1] ^ 1])],
        "of another": [sign_value(other, b"x", salt=b"", seq=2**62, expiry=expiry).raw],
        "other salt": [sign_value(key, b"x", salt=b"s", seq=2**62, expiry=expiry).raw],
        "expired": [sign_value(key, b"old", salt=b"", seq=2**62, expiry=int(UNIX)).raw],
        "older": [sign_value(key, b"older", salt=b"", seq=0, expiry=expiry).raw],
        "garbage": [bytes(660)],
        "nothing": [],
        "silence": None,
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["forged", "of another", "other salt", "expired", "older", "garbage", "nothing", "silence"],
)
def test_liars_among_the_holders_hide_and_change_nothing(kind: str) -> None:
    network = Network(1)
    nodes = network.build(30)
    core, address = nodes[3]
    key = core._key_pair
    network.finish(address, core.put(b"true", network.now))
    topic = int.from_bytes(value_topic(key.public_key, b""), "big")
    holders = sorted(nodes[4:], key=lambda node: int.from_bytes(node[0].id, "big") ^ topic)
    liars = []
    for node, place in holders[:4]:
        network.parties[place] = liar = Liar(node, lies(kind, key, network.now))
        liars.append(liar)
    reader, where = holders[-1]
    assert values(network, reader, where, key.public_key)[-1] == b"true"
    assert sum(liar.lies for liar in liars) >= 1


def test_no_host_fills_the_store_and_nobody_writes_without_a_token() -> None:
    network = Network(2)
    core, _ = network.add(None)
    now, rng = network.now, Random(2)
    unix = UNIX + now

    def store(source: Address, token: bytes, *, lifetime: int = 600) -> Code:
        key = KeyPair.from_seed(rng.randbytes(32))
        value = sign_value(key, bytes(512), salt=b"", seq=1, expiry=int(unix) + lifetime)
        request = Request(bytes(20), Store(b"", token, value.raw))
        return core._responder.answer(request, 800, source, now, unix)[1]

    def token(source: Address) -> bytes:
        return core._responder._tokens.give(source, now)

    here, there = ("127.0.0.1", 1), address_of(9)  # this machine's rate is not limited
    assert store(there, token(here)) is Code.TOKEN
    assert store(there, token(there), lifetime=VALUE_LIFETIME + 60) is Code.EXPIRY
    assert store(there, token(there), lifetime=-1) is Code.EXPIRY
    codes = [store(here, token(here)) for _ in range(VALUES_PER_HOST + 10)]
    assert codes.count(Code.OK) == VALUES_PER_HOST
    assert store(there, token(there)) is Code.OK
    assert len(core._responder.values) <= VALUES_PER_HOST + 1 < MAX_VALUES


def test_a_value_of_another_topic_takes_no_place_in_it() -> None:
    """The topic follows from key and salt: nobody can put anything beside or over a value."""
    network = Network(3)
    nodes = network.build(12)
    core, address = nodes[3]
    network.finish(address, core.put(b"true", network.now))
    vandal, place = nodes[5]
    for _ in range(20):
        network.finish(place, vandal.put(b"mine", network.now, key_pair=network.key_pair()))
    assert values(network, *nodes[7], core._key_pair.public_key) == [b"true"]


def test_asking_and_storing_draw_at_most_three_times_what_was_sent() -> None:
    network = Network(4)
    nodes = network.build(20)
    core, address = nodes[3]
    network.finish(address, core.put(bytes(512), network.now))
    topic = value_topic(core._key_pair.public_key, b"")
    victim, drawn = ("77.7.7.7", 7), 0

    def tap(data: bytes, _source: Address, target: Address) -> None:
        nonlocal drawn
        drawn += len(data) if target == victim else 0

    network.tap = tap
    spent = 0
    for node, place in nodes:
        for request in (Fetch(bytes(20), topic), Store(b"", bytes(8), bytes(100))):
            data = encode_request(network.rng.randbytes(20), request)
            spent += len(data)
            node.receive_datagram(data, victim, network.now)
            network.pump(place)
    assert 0 < drawn <= 3 * spent
