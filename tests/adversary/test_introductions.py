"""Hostile askers, holders and announcers against the carrying of messages, from seeds."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from feedlog.keys import KeyPair
from net.addresses import Address
from net.dht.codes import Code
from net.dht.contacts import Contact
from net.dht.core import DhtCore
from net.dht.datagrams import DHT_TAG, Request, decode_datagram, encode_request, encode_response
from net.dht.events import Answered, Finished
from net.dht.exchange import Exchange
from net.dht.hashing import way_signable
from net.dht.introductions import MAX_HANDLED, MAX_REMEMBERED
from net.dht.messages import MAX_DATAGRAM, Announce, Introduce, Introduced, Lookup
from net.testing import FakeNet, NatKind
from tests.reference.dht_nats import UNIX, Peer, network

TOPIC = bytes(range(20))


def reply(message: bytes) -> bytes:
    return b"to " + message


def taker(net: FakeNet, peers: list[Peer]) -> Peer:
    """Somebody behind a router who takes introductions."""
    made = Peer(net, net.host(net.router(NatKind.CONE)), answer=reply)
    made.join(peers[0])
    assert made.announce(TOPIC) == min(8, len(peers))
    return made


def answered(asker: Peer, other: Peer, message: bytes = b"hello") -> bool:
    events = asker.introduce(TOPIC, other, message)
    return any(isinstance(e, Answered) and e.answer == b"to " + message for e in events)


class Sender:
    """A socket that sends whatever it likes, and counts what comes back."""

    def __init__(self, net: FakeNet) -> None:
        self.net = net
        self.received: list[bytes] = []
        self.socket = net.host().open(lambda data, _: self.received.append(data))

    def wait(self) -> None:
        self.net.clock.run(self.net.clock.now + 3.0)

    def token(self, holder: Address) -> bytes:
        self.socket.send(encode_request(bytes(20), Lookup(b"", TOPIC)), holder)
        self.wait()
        response = self.received.pop()
        body = msgspec.msgpack.decode(response[22:])[2]
        token: bytes = body[1]
        return token


def codes(datagrams: list[bytes]) -> list[int]:
    return [msgspec.msgpack.decode(data[22:])[0] for data in datagrams]


def holder_of(peers: list[Peer], other: Peer) -> Peer:
    return next(
        peer
        for peer in peers
        if peer.core._responder.store.way(TOPIC, other.key_pair.public_key, UNIX + 1e3) is not None
    )


def test_without_a_good_token_nothing_is_passed_on() -> None:
    net = FakeNet(seed=1)
    peers = network(net, 10)
    inside = taker(net, peers)
    holder = holder_of(peers, inside)
    sender, thief = Sender(net), Sender(net)
    stolen = sender.token(holder.address)
    for token in (bytes(8), stolen):
        thief.socket.send(
            encode_request(
                bytes(20), Introduce(b"", token, TOPIC, inside.key_pair.public_key, b"hello")
            ),
            holder.address,
        )
    thief.wait()
    assert codes(thief.received) == [Code.TOKEN, Code.TOKEN]
    assert inside.messages == []


def test_what_is_too_small_or_too_large_draws_nothing() -> None:
    net = FakeNet(seed=2)
    peers = network(net, 10)
    inside = taker(net, peers)
    holder = holder_of(peers, inside)
    sender = Sender(net)
    token = sender.token(holder.address)
    head = bytes((DHT_TAG, 0)) + bytes(20)
    key = inside.key_pair.public_key
    for message, padding in ((b"", 700), (bytes(513), 0), (b"hello", 0), (b"hello", 1100)):
        arguments = [b"", token, TOPIC, key, message, bytes(padding)]
        data = head + msgspec.msgpack.encode(["introduce", arguments])
        sender.socket.send(data, holder.address)
    sender.wait()
    assert sender.received == []
    assert inside.messages == []


def test_nobody_draws_more_bytes_than_it_sends() -> None:
    """Over all: what a holder sends on and back, and what an announcer answers."""
    net = FakeNet(seed=3)
    peers = network(net, 10)
    inside = Peer(net, net.host(net.router(NatKind.CONE)), answer=lambda _: bytes(512))
    inside.join(peers[0])
    inside.announce(TOPIC)
    holder = holder_of(peers, inside)
    sender = Sender(net)
    token = sender.token(holder.address)
    introduce = Introduce(b"", token, TOPIC, inside.key_pair.public_key, b"x")
    request = encode_request(bytes(20), introduce)
    sent: list[tuple[Address, Address, int]] = []
    carry = net.carry

    def tap(data: bytes, source: object, target: Address) -> None:
        sent.append((source.address, target, len(data)))  # type: ignore[attr-defined]  # a FakeSocket
        carry(data, source, target)  # type: ignore[arg-type]  # as above

    net.carry = tap  # type: ignore[method-assign]  # to see what is sent
    sender.socket.send(request, holder.address)
    net.clock.run(net.clock.now + 0.5)
    assert len(sender.received) == 1
    (forward,) = [n for source, _, n in sent if source == holder.address and n > 580]
    (answer,) = [n for source, _, n in sent if source == inside.address and n > 500]
    assert len(sender.received[0]) <= answer < forward < len(request)


def test_a_flood_of_one_area_is_refused_and_others_are_served() -> None:
    net = FakeNet(seed=4)
    peers = network(net, 10)
    inside = taker(net, peers)
    sender = Sender(net)
    for holder in peers[:4]:
        token = sender.token(holder.address)
        sender.received.clear()
        for n in range(300):
            introduce = Introduce(b"", token, TOPIC, inside.key_pair.public_key, b"%d" % n)
            sender.socket.send(encode_request(n.to_bytes(20, "big"), introduce), holder.address)
        sender.wait()
        assert len(holder.core._messenger._passing) == 0
    assert len(inside.messages) < 4 * 100
    asker = Peer(net, net.host())
    asker.join(peers[0])
    assert answered(asker, inside)


def test_introductions_from_everywhere_leave_memory_bounded() -> None:
    net = FakeNet(seed=5)
    peers = network(net, 10)
    inside = Peer(net, net.host(), answer=lambda _: None)
    inside.join(peers[0])
    inside.announce(TOPIC)
    now = net.clock.now
    thinking = DhtCore(  # one that never answers
        inside.key_pair,
        inside.key_pair,
        rng=Random(1),
        secret=bytes(32),
        now=now,
        unix=UNIX + now,
        introductions=True,
    )
    rng = Random(5)
    for core in (inside.core, thinking):
        for n in range(3 * MAX_REMEMBERED):
            holder = (f"45.{n >> 8}.{n & 255}.9", 4000)
            ticket = core._messenger.ticket(holder)
            request = Introduced(rng.randbytes(20), ticket, TOPIC, rng.randbytes(512))
            core.receive_datagram(encode_request(rng.randbytes(20), request), holder, now)
            if core is inside.core:
                while (event := core.next_event()) is not None:
                    core.answer(event.number, None)  # type: ignore[union-attr]  # no operation runs
        assert len(core._messenger._door) <= MAX_REMEMBERED
        assert len(core._messenger._door._thinking) <= MAX_HANDLED
        assert core.counters["refused BUSY"] >= MAX_REMEMBERED


def test_a_holder_forwards_nothing_to_a_place_that_a_thief_of_the_record_names() -> None:
    """Whoever has the record can announce it, but not say where its maker is reached."""
    net = FakeNet(seed=6)
    peers = network(net, 10)
    inside = taker(net, peers)
    holder = holder_of(peers, inside)
    key = inside.key_pair.public_key
    record = holder.core._responder.store._topics[TOPIC][key].record
    thief, other = Sender(net), KeyPair.from_seed(bytes(32))
    for target in peers:
        token = thief.token(target.address)
        ticket = bytes(8)
        for signer, named in ((other, target), (inside.key_pair, inside)):
            # The second is what a holder that lies about its token may have got from the maker.
            signable = way_signable(named.core.id, token, ticket, record.raw[-64:])
            announce = Announce(b"", token, record.raw, ticket, signer.sign(signable))
            thief.socket.send(encode_request(bytes(20), announce), target.address)
            thief.wait()
            assert codes([thief.received.pop()]) == [Code.RECORD]
        thief.socket.send(
            encode_request(bytes(20), Announce(b"", token, record.raw)), target.address
        )
        thief.wait()
        assert codes([thief.received.pop()]) == [Code.OK]
    thief.received.clear()
    assert answered(peers[3], inside)
    assert thief.received == []


def test_who_does_not_know_the_ticket_says_nothing_to_the_announcer() -> None:
    net = FakeNet(seed=7)
    peers = network(net, 10)
    inside = taker(net, peers)
    holder = holder_of(peers, inside)
    before = len(inside.messages)
    for ticket in (bytes(8), b"\xff" * 8):
        request = Introduced(b"", ticket, TOPIC, b"spoofed")
        inside.core.receive_datagram(
            encode_request(bytes(20), request), holder.address, net.clock.now
        )
    assert inside.core.datagrams_to_send() == []
    assert len(inside.messages) == before
    assert inside.core.counters["not ours to carry"] == 2


class Liar:
    """A holder that says what it likes when it is to pass a message on."""

    def __init__(self, peer: Peer, lie: str) -> None:
        self.lies = 0
        self._peer, self._lie = peer, lie
        self._honest = peer.core.receive_datagram
        peer.core.receive_datagram = self._receive  # type: ignore[method-assign]  # to lie

    def _receive(self, data: bytes, address: Address, now: float) -> None:
        message = decode_datagram(data) if data[1] == 0 else None
        if not isinstance(message, Request) or not isinstance(message.arguments, Introduce):
            self._honest(data, address, now)
            return
        self.lies += 1
        exchange: Exchange = self._peer.core._exchange
        if self._lie == "nobody":
            exchange.answer(message.message_id, address, None, Code.NO_ANNOUNCER)
        elif self._lie == "nonsense":
            exchange.send(encode_response(message.message_id, address, None), address)
        elif self._lie == "giant":
            exchange.send(bytes((DHT_TAG, 1)) + message.message_id + bytes(MAX_DATAGRAM), address)
        elif self._lie == "number":
            payload = msgspec.msgpack.encode([0, bytes(6), 5])
            exchange.send(bytes((DHT_TAG, 1)) + message.message_id + payload, address)


@pytest.mark.parametrize("lie", ["silent", "nobody", "nonsense", "giant", "number"])
def test_the_other_holders_make_up_for_those_that_lie(lie: str) -> None:
    net = FakeNet(seed=8)
    peers = network(net, 12)
    inside = taker(net, peers)
    key = inside.key_pair.public_key
    holders = [p for p in peers if p.core._responder.store.way(TOPIC, key, UNIX + 1e3)]
    assert len(holders) == 8
    liars = [Liar(peer, lie) for peer in holders[:6]]
    asker = Peer(net, net.host())
    asker.join(peers[0])
    assert answered(asker, inside)
    assert sum(liar.lies for liar in liars) >= 1


def test_a_forged_answer_is_no_answer() -> None:
    """Neither from another address than the one that was asked, nor with another id."""
    net = FakeNet(seed=9)
    peers = network(net, 10)
    inside = taker(net, peers)
    asker = Peer(net, net.host())
    asker.join(peers[0])
    forger = Sender(net)
    carry = net.carry
    forged = 0

    def forge(data: bytes, source: object, target: Address) -> None:
        nonlocal forged
        carry(data, source, target)  # type: ignore[arg-type]  # a FakeSocket
        if source is asker.socket and b"introduce" in data[:40]:
            forged += 1
            for message_id in (data[2:22], bytes(20)):
                answer = encode_response(message_id, target, b"forged")
                carry(answer, forger.socket, asker.address)

    net.carry = forge  # type: ignore[method-assign]  # to see what is asked
    events = asker.introduce(TOPIC, inside, b"hello")
    assert [e.answer for e in events if isinstance(e, Answered)] == [b"to hello"]
    assert forged >= 1


def test_an_announcer_is_not_driven_to_announce_by_a_holder_that_sees_it_elsewhere() -> None:
    net = FakeNet(seed=10)
    peers = network(net, 10)
    inside = taker(net, peers)
    contact = next(iter(inside.core._announcer._holders._holders.values())).contact  # type: ignore[union-attr]  # it takes introductions
    assert isinstance(contact, Contact)
    signed = set()
    for n in range(60):  # a minute, in which an honest holder is asked three times
        due = inside.core._announcer.answered(contact, ("8.8.8.8", 1000 + n), net.clock.now)
        inside.core._upkeep.hasten(due)
        net.clock.run(net.clock.now + 1.0)
        signed.add(inside.core._announcer.publications._topics[TOPIC].signed)
    assert 2 <= len(signed) <= 8


def test_one_whose_record_is_gone_is_not_reached() -> None:
    net = FakeNet(seed=11)
    peers = network(net, 10)
    inside = taker(net, peers)
    inside.socket.close()
    net.clock.run(net.clock.now + 3700.0)
    *_, end = peers[3].introduce(TOPIC, inside, b"hello")
    assert isinstance(end, Finished)
    assert set(dict(end.refusals)) == {Code.NO_ANNOUNCER}
