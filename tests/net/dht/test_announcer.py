"""What a node does about its announcements when holders move, fall silent or lie."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from feedlog.keys import KeyPair, verify
from net.addresses import RelayAddress
from net.dht.announcer import Announcer
from net.dht.contacts import Contact
from net.dht.exchange import Exchange
from net.dht.hashing import way_signable
from net.dht.holders import MAX_SILENCES
from net.dht.messenger import Messenger
from net.dht.publications import MOVE_EVERY, RETRY_AFTER
from net.dht.responder import Responder
from net.dht.routing import Table
from net.dht.runner import Runner
from net.dht.suspects import Suspects
from tests.reference.dht_network import address_of

KEY = KeyPair.from_seed(bytes(32))
TOPIC, HERE, ELSEWHERE = bytes(20), ("9.9.9.9", 4000), ("9.9.9.9", 4001)
UNIX = 1_800_000_000.0
CONTACTS = [Contact(bytes([n]) * 20, address_of(n)) for n in range(1, 7)]


def announcer(introductions: bool) -> Announcer:
    """Somebody whose announcement six nodes hold since the moment 0."""
    exchange, table = Exchange(Random(1), Counter()), Table(bytes(20))
    responder = Responder(KEY, table, bytes(32), Random(1))
    messenger = Messenger(
        exchange,
        responder,
        sender=b"",
        public_key=KEY.public_key,
        secret=bytes(32),
        takes=introductions,
        deliver=lambda _: None,
    )
    runner = Runner(exchange, table, Suspects(), lambda *_: None)
    made = Announcer(KEY, responder.store, runner, messenger, b"", Random(1))
    record = made.announce(TOPIC, [HERE], [], 0.0, UNIX).record
    for contact in CONTACTS:
        made.held(record, contact, HERE, 0.0)
    made.publications.spread(record, [contact.id for contact in CONTACTS], 0.0)
    return made


@pytest.fixture
def made() -> Announcer:
    return announcer(introductions=True)


def test_what_is_announced_is_held_here_until_it_is_withdrawn(made: Announcer) -> None:
    publish = made.announce(TOPIC, [ELSEWHERE], [], 1.0, UNIX + 1.0)
    assert (publish.target, publish.record.addresses) == (TOPIC, (ELSEWHERE,))
    assert made._store.sample(TOPIC, UNIX + 1.0, 9, Random(1)) == [publish.record]
    assert made.due(1.0, UNIX + 1.0) == []
    (again,) = made.due(1.0 + RETRY_AFTER, UNIX + 1.0 + RETRY_AFTER)
    assert again.record.seq > publish.record.seq
    assert made._store.sample(TOPIC, UNIX + 32.0, 9, Random(1)) == [again.record]
    assert made.withdraw(TOPIC, 40.0, UNIX + 40.0).record.withdrawn
    assert made._store.sample(TOPIC, UNIX + 40.0, 9, Random(1)) == []
    assert made.due(1e9, UNIX + 1e9) == []


def test_an_announcement_says_where(made: Announcer) -> None:
    with pytest.raises(ValueError, match="has an address or a relay"):
        made.announce(TOPIC, [], [], 1.0, UNIX)
    relay = RelayAddress(bytes(range(32)), ("127.0.0.1", 4001))
    assert made.announce(TOPIC, [], [relay], 1.0, UNIX).record.relays == (relay,)


def test_without_introductions_nobody_is_pinged() -> None:
    made = announcer(introductions=False)
    assert (made.prove(), made.pings(1e9), made.next_ping()) == (None, [], None)
    assert made.answered(CONTACTS[0], ELSEWHERE, 50.0) is None
    assert made.silent(CONTACTS[0], 50.0) is None


def test_the_proof_says_where_for_this_holder_and_record(made: Announcer) -> None:
    prove = made.prove()
    assert prove is not None
    record = made.publications.sign(TOPIC, 0.0, UNIX)
    ticket, proof = prove(CONTACTS[0], b"token...", record)
    signable = way_signable(CONTACTS[0].id, b"token...", ticket, record.raw[-64:])
    assert verify(KEY.public_key, signable, proof)
    assert prove(CONTACTS[1], b"token...", record)[0] != ticket


def test_another_address_has_it_announced_anew_but_not_all_the_time(made: Announcer) -> None:
    assert made.answered(CONTACTS[0], HERE, 3.0) is None
    assert made.answered(CONTACTS[0], ELSEWHERE, 3.0) == MOVE_EVERY
    assert made.publications.due(MOVE_EVERY) == [TOPIC]
    assert made.answered(CONTACTS[1], ELSEWHERE, 50.0) == MOVE_EVERY
    made.publications.sign(TOPIC, 60.0, UNIX)
    assert made.answered(CONTACTS[2], ELSEWHERE, 60.0) == 60.0 + MOVE_EVERY


def test_the_loss_of_most_holders_has_it_announced_anew(made: Announcer) -> None:
    dues = []
    for contact in CONTACTS[:3]:
        for _ in range(MAX_SILENCES):
            due = made.silent(contact, 20.0)
        dues.append(due)
    assert dues == [None, None, 20.0]
    assert made.publications.due(20.0) == [TOPIC]


def test_a_withdrawn_announcement_needs_no_touch(made: Announcer) -> None:
    made.publications.drop(TOPIC)
    made.held(made.publications.sign(TOPIC, 0.0, UNIX), CONTACTS[0], HERE, 0.0)
    made.keep_up()
    assert made.next_ping() is None
    assert RETRY_AFTER > MOVE_EVERY
