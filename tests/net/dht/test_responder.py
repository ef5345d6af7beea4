"""What a node answers: bounded in bytes, and nothing that is not proven is held."""

from __future__ import annotations

from random import Random

import pytest

from feedlog.keys import KeyPair, verify
from net.addresses import Address, pack_address
from net.dht.codes import Code
from net.dht.contacts import Contact
from net.dht.datagrams import Request, Response, answer_budget, decode_body, decode_datagram
from net.dht.hashing import node_id, ping_signable
from net.dht.messages import Announce, Body, Found, Lookup, Ping, Pong
from net.dht.records import sign_announcement
from net.dht.responder import PONG_SIZE, Responder
from net.dht.routing import Table
from tests.reference.dht_network import address_of

KEY, OTHER = KeyPair.from_seed(bytes(32)), KeyPair.from_seed(b"\x01" * 32)
ID, TOPIC, SENDER = bytes(20), b"\x05" * 20, b"\x06" * 20
HERE: Address = ("8.8.8.8", 4000)
NOW, UNIX = 100.0, 1_800_000_000.0


@pytest.fixture
def table() -> Table:
    return Table(node_id(KEY.public_key))


@pytest.fixture
def responder(table: Table) -> Responder:
    return Responder(KEY, table, bytes(32), Random(0))


def body(name: str, answer: bytes | None) -> Body:
    assert answer is not None
    response = decode_datagram(answer)
    assert isinstance(response, Response)
    return decode_body(name, response)


def lookup(responder: Responder, source: Address = HERE, sender: bytes = SENDER) -> Found:
    request = Request(ID, Lookup(sender, TOPIC))
    found = body("lookup", responder.answer(request, 480, source, NOW, UNIX)[0])
    assert isinstance(found, Found)
    return found


def announce(responder: Responder, record: bytes, token: bytes) -> Code:
    request = Request(ID, Announce(SENDER, token, record))
    return responder.answer(request, 300, HERE, NOW, UNIX)[1]


@pytest.mark.parametrize("source", [HERE, ("2a00::1", 65535)])
def test_a_ping_is_answered_with_the_proof_of_the_id(responder: Responder, source: Address) -> None:
    answer, _ = responder.answer(Request(ID, Ping(SENDER)), 96, source, NOW, UNIX)
    assert answer is not None
    assert len(answer) <= PONG_SIZE <= answer_budget(96)
    pong = body("ping", answer)
    assert isinstance(pong, Pong)
    assert verify(pong.public_key, ping_signable(ID, pack_address(source)), pong.signature)
    assert responder.answer(Request(ID, Ping(SENDER)), 60, source, NOW, UNIX)[0] is None


def test_what_was_announced_is_given_out(responder: Responder) -> None:
    record = sign_announcement(OTHER, TOPIC, [HERE], seq=1, expiry=int(UNIX) + 60).raw
    token = lookup(responder).token
    assert announce(responder, record, token) is Code.OK
    assert lookup(responder).records == [record]


def test_refusals(responder: Responder) -> None:
    record = sign_announcement(OTHER, TOPIC, [HERE], seq=2, expiry=int(UNIX) + 60).raw
    older = sign_announcement(OTHER, TOPIC, [HERE], seq=1, expiry=int(UNIX) + 60).raw
    late = sign_announcement(OTHER, TOPIC, [HERE], seq=1, expiry=int(UNIX) + 3601).raw
    token = lookup(responder).token
    assert announce(responder, record, bytes(8)) is Code.TOKEN
    assert announce(responder, record[:-1] + b"\x00", token) is Code.RECORD
    assert announce(responder, late, token) is Code.EXPIRY
    assert announce(responder, record, token) is Code.OK
    assert announce(responder, older, token) is Code.STALE


def test_contacts_are_of_the_askers_family_and_reach(responder: Responder, table: Table) -> None:
    places: list[Address] = [("9.9.9.9", 1), ("192.168.1.2", 2), ("127.0.0.1", 3), ("2a00::9", 4)]
    contacts = [Contact(bytes([n + 1]) * 20, place) for n, place in enumerate(places)]
    for contact in contacts:
        assert table.add(contact, NOW)
    public, private, local, v6 = contacts
    assert lookup(responder).contacts() == [public]
    assert set(lookup(responder, ("192.168.1.9", 1)).contacts()) == {public, private}
    assert set(lookup(responder, ("127.0.0.1", 9)).contacts()) == {public, private, local}
    assert lookup(responder, ("2a00::1", 1)).contacts() == [v6]
    assert lookup(responder, sender=public.id).contacts() == []  # nobody is told of itself


def test_a_small_request_draws_a_small_answer(responder: Responder, table: Table) -> None:
    for n in range(20):
        table.add(Contact(bytes([n + 1]) * 20, address_of(n)), NOW)
    for size in range(40, 481, 10):
        answer, _ = responder.answer(Request(ID, Lookup(b"", TOPIC)), size, HERE, NOW, UNIX)
        assert len(answer or b"") <= max(0, answer_budget(size))
