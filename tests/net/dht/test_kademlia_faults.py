"""Faults of the stock kademlia lookups, each with the proof that our node does not have it.

All of them were reproduced on kademlia 2.2.3 with rpcudp 5.0.1; the table of
docs/adr/0004-kademlia.md names them in this order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import msgspec
import pytest

from feedlog.errors import DecodeError
from net.addresses import Address
from net.carriers.udp import UdpSocket
from net.dht.announcement_operations import Publish
from net.dht.contacts import Contact
from net.dht.core import DhtCore
from net.dht.datagrams import DHT_TAG, decode_datagram, encode_request
from net.dht.messages import MAX_DATAGRAM, Ping
from net.dht.node import DhtNode
from net.dht.query import SOFT_TIMEOUT
from net.dht.routing import Table
from net.dht.upkeep import UPKEEP
from net.errors import RefusedError
from tests.reference.dht_network import Network, address_of

StartNode = Callable[..., Awaitable[DhtNode]]
TOPIC = bytes(range(20))
HERE = ("9.9.9.9", 4000)

MALFORMED = [
    b"\xa1\xff",  # text that is not UTF-8
    b"\xc1",
    b"\x92\xa4ping\x91",
    b"\x91" * 60_000,
    msgspec.msgpack.encode(["ping", [b"x" * 20, b"", b"", b""]]),
    msgspec.msgpack.encode(["ping", [5]]),
    msgspec.msgpack.encode(["ping", [b"x" * 40]]),
]


async def test_1_malformed_datagrams_raise_nothing_in_any_task(start_node: StartNode) -> None:
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    node = await start_node()
    udp = await UdpSocket.open("127.0.0.1")
    port = ("127.0.0.1", int(node.address.rpartition(":")[2]))
    for kind in (0, 1, 2):
        for payload in MALFORMED:
            udp.send(bytes((DHT_TAG, kind)) + bytes(20) + payload, port)
    other = await start_node([node.address])  # answered after them, so they have been read
    assert len(other.contacts) == 1
    assert node.counters["malformed"] == 3 * len(MALFORMED)
    assert raised == []
    udp.close()


class Answers:
    """A node that proves its id and answers lookups with whatever it was given."""

    def __init__(self, core: DhtCore, payload: bytes) -> None:
        self.core, self.payload = core, payload
        self.outbox: list[tuple[bytes, Address]] = []

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        if data[1] == 0 and b"lookup" in data[:40]:
            self.outbox.append((bytes((DHT_TAG, 1)) + data[2:22] + self.payload, address))
        else:
            self.core.receive_datagram(data, address, now)

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        outbox, self.outbox = self.outbox, []
        return outbox + self.core.datagrams_to_send()

    def next_timeout(self) -> float:
        return self.core.next_timeout()

    def handle_timeout(self, now: float) -> None:
        self.core.handle_timeout(now)


def replace(network: Network, node: tuple[DhtCore, Address], payload: bytes) -> None:
    network.parties[node[1]] = Answers(node[0], payload)


def find(network: Network, node: tuple[DhtCore, Address]) -> int:
    core, address = node
    return len(network.collect(address, core.lookup(TOPIC, network.now))[0])


def announced(seed: int, count: int) -> tuple[Network, list[tuple[DhtCore, Address]]]:
    network = Network(seed)
    nodes = network.build(count)
    core, address = nodes[1]
    network.finish(address, core.announce(TOPIC, [HERE], network.now))
    return network, nodes


@pytest.mark.parametrize("answer", [5, [[1, 2, 3]], {}, {"value": [1]}, [0, bytes(6), [1]]])
def test_2_one_bad_response_does_not_end_a_lookup(answer: object) -> None:
    network, nodes = announced(2, 10)
    for node in nodes[2:6]:
        replace(network, node, msgspec.msgpack.encode(answer))
    assert find(network, nodes[9]) == 1
    assert nodes[9][0].counters["malformed"] >= 1


def test_3_nine_hundred_nodes_in_one_answer_do_not_stall_a_lookup() -> None:
    network, nodes = announced(3, 10)
    rng = Random(3)
    fakes = b"".join(rng.randbytes(20) + bytes((99, n >> 8, n & 255, 1, 9, 9)) for n in range(900))
    body = [nodes[2][0].id, bytes(8), fakes, b"", []]
    replace(network, nodes[2], msgspec.msgpack.encode([0, bytes(6), body]))
    started = network.now
    assert find(network, nodes[9]) == 1
    assert network.now - started <= 3 * SOFT_TIMEOUT


def table(seed: int, count: int = 300) -> Table:
    rng = Random(seed)
    made = Table(rng.randbytes(20))
    for n in range(count):
        made.add(Contact(rng.randbytes(20), address_of(n)), 0.0)
    return made


def test_4_the_nearest_are_the_nearest() -> None:
    rng, made = Random(4), table(4)
    ids = [entry.id for entry in made]
    for _ in range(500):
        target = rng.randbytes(20)
        point = int.from_bytes(target, "big")
        ids.sort(key=lambda i: int.from_bytes(i, "big") ^ point)
        assert [contact.id for contact in made.near(target)] == ids[:20]


def test_5_there_are_always_as_many_as_the_table_holds() -> None:
    rng = Random(5)
    for seed in range(6):
        made = table(seed)
        assert all(len(made.near(rng.randbytes(20))) == 20 for _ in range(200))


def test_6_dead_nodes_do_not_come_back() -> None:
    network, nodes = announced(6, 20)
    dead = nodes[2:8]
    for _, address in dead:
        network.kill(address)
    core, address = nodes[19]
    for _ in range(12):  # answers keep naming the dead; that alone enters nobody
        topic = network.rng.randbytes(20)
        network.collect(address, core.lookup(topic, network.now))
    gone = {node.id for node, _ in dead}
    network.run(network.now + 1200)
    assert not gone & {entry.id for entry in core.table}


async def test_7_a_store_that_everybody_refuses_is_an_error(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await start_node()
    second = await start_node([first.address])
    monkeypatch.setattr(first._core, "set_clock", lambda *_: None)
    first._core._time_of_day.offset += 7200
    with pytest.raises(RefusedError, match=r"1 x the expiry .* clock"):
        await second.announce(TOPIC, [HERE])


def test_8_no_live_neighbour_is_no_exception() -> None:
    network = Network(8)
    nodes = network.build(2)
    network.kill(nodes[0][1])
    core, address = nodes[1]
    end = network.finish(address, core.announce(TOPIC, [HERE], network.now))
    assert (end.stored, end.answers) == (0, 0)
    assert find(network, nodes[1]) == 0


async def test_9_a_cancelled_call_leaks_nothing(start_node: StartNode) -> None:
    first = await start_node()
    second = await start_node([first.address])
    announcing = asyncio.create_task(second.announce(TOPIC, [HERE]))
    await asyncio.sleep(0)
    announcing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await announcing
    assert second._driver._queues == {}
    assert not any(isinstance(operation, Publish) for operation in second._core._runner.schedule)
    assert await second.announce(TOPIC, [HERE]) == 1


def test_10_a_ping_with_a_fresh_id_draws_one_answer_and_one_ping() -> None:
    network, nodes = announced(10, 10)
    core, address = nodes[2]
    assert core.held >= 1
    victim = ("77.7.7.7", 7)
    ping = encode_request(bytes(20), Ping(TOPIC))
    network.send(ping, victim, address)
    drawn: list[bytes] = []
    network.tap = lambda data, _, target: drawn.append(data) if target == victim else None
    network.run(network.now + 10)
    assert len(drawn) == 2
    assert sum(map(len, drawn)) <= 3 * len(ping)


def test_11_no_sender_fills_the_store() -> None:
    network, nodes = announced(11, 3)
    core, address = nodes[2]
    target, _ = nodes[0]
    target._responder.store._limits = (10_000, 64, 50)
    for _ in range(80):
        topic = network.rng.randbytes(20)
        network.finish(address, core.announce(topic, [HERE], network.now))
    assert target.held <= 52
    assert target.counters["refused FULL"] >= 25


def test_12_only_the_listed_procedures_exist() -> None:
    for name in ("stun", "store", "find_node", "rpc_ping", "_accept", "__init__", "typo"):
        payload = msgspec.msgpack.encode([name, [bytes(20)]])
        with pytest.raises(DecodeError, match="no procedure"):
            decode_datagram(bytes((DHT_TAG, 0)) + bytes(20) + payload)


def test_13_a_response_counts_only_from_the_address_that_was_asked() -> None:
    network, nodes = announced(13, 3)
    core, address = nodes[2]
    core.lookup(network.rng.randbytes(20), network.now)
    (data, asked), *_ = core.datagrams_to_send()
    host = network.parties[asked]
    host.receive_datagram(data, address, network.now)
    (answer, _), *_ = host.datagrams_to_send()
    waiting = len(core._exchange)
    core.receive_datagram(answer, (asked[0], asked[1] + 1), network.now)
    assert (core.counters["unmatched"], len(core._exchange)) == (1, waiting)
    core.receive_datagram(answer, asked, network.now)
    assert (core.counters["unmatched"], len(core._exchange)) == (1, waiting - 1)
    core.receive_datagram(answer, asked, network.now)  # a second time
    assert core.counters["unmatched"] == 2


def test_14_a_dead_node_costs_no_round() -> None:
    network, nodes = announced(14, 40)
    for _, address in nodes[10:22]:
        network.kill(address)
    started = network.now
    assert find(network, nodes[39]) == 1
    assert network.now - started < 3 * SOFT_TIMEOUT


def test_15_a_record_does_not_live_for_ever() -> None:
    network, nodes = announced(15, 5)
    network.kill(nodes[1][1])
    network.run(network.now + 3600 + 2 * UPKEEP)
    assert sum(core.held for core, address in nodes if address != nodes[1][1]) == 0


def test_16_no_answer_is_larger_than_a_datagram_may_be() -> None:
    network, nodes = announced(16, 30)
    sizes: list[int] = []
    network.tap = lambda data, _source, _target: sizes.append(len(data))
    for node in nodes[20:25]:
        find(network, node)
    assert max(sizes) <= MAX_DATAGRAM
