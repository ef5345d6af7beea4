"""What a node announces, and when."""

from __future__ import annotations

from random import Random

import pytest

from feedlog.keys import KeyPair
from net.dht.publications import NEWCOMER_AFTER, RENEW_AFTER, RETRY_AFTER, Publications
from net.dht.records import MAX_LIFETIME, parse_announcement

TOPIC, HERE = bytes(20), ("9.9.9.9", 4000)
UNIX = 1_800_000_000.0
HOLDERS = [bytes([0, n]).ljust(20, b".") for n in range(8, 16)]


@pytest.fixture
def publications() -> Publications:
    return Publications(KeyPair.from_seed(bytes(32)), Random(0))


def test_records_have_rising_numbers_also_when_the_clock_goes_back(
    publications: Publications,
) -> None:
    publications.put(TOPIC, [HERE], 0.0)
    numbers = [publications.sign(TOPIC, 0.0, unix).seq for unix in (UNIX, UNIX, UNIX - 1000)]
    assert numbers == [int(UNIX) * 1000, int(UNIX) * 1000 + 1, int(UNIX) * 1000 + 2]


def test_a_record_says_where_and_until_when(publications: Publications) -> None:
    publications.put(TOPIC, [("1.1.1.1", 1)], 0.0)
    publications.put(TOPIC, [HERE], 0.0)
    record = parse_announcement(publications.sign(TOPIC, 0.0, UNIX).raw)
    assert (record.addresses, record.expiry) == ((HERE,), int(UNIX) + MAX_LIFETIME)


def test_what_is_held_is_renewed_and_what_is_not_is_retried(publications: Publications) -> None:
    publications.put(TOPIC, [HERE], 0.0)
    record = publications.sign(TOPIC, 0.0, UNIX)
    publications.spread(record, HOLDERS, 0.0)
    assert publications.due(0.9 * RENEW_AFTER - 1) == []
    assert publications.due(RENEW_AFTER) == [TOPIC]
    record = publications.sign(TOPIC, RENEW_AFTER, UNIX + RENEW_AFTER)
    assert publications.due(RENEW_AFTER) == []
    publications.spread(record, (), RENEW_AFTER)
    assert publications.due(RENEW_AFTER + RETRY_AFTER) == [TOPIC]


def test_the_end_of_an_older_record_says_nothing(publications: Publications) -> None:
    publications.put(TOPIC, [HERE], 0.0)
    older = publications.sign(TOPIC, 0.0, UNIX)
    publications.sign(TOPIC, 0.0, UNIX)
    publications.spread(older, HOLDERS, 0.0)
    assert publications.due(RETRY_AFTER) == [TOPIC]


def test_somebody_who_comes_gets_what_nobody_holds(publications: Publications) -> None:
    held, unheld = bytes(20), b"\x01" * 20
    for topic in (held, unheld):
        publications.put(topic, [HERE], 0.0)
    publications.spread(publications.sign(held, 0.0, UNIX), HOLDERS[:3], 0.0)
    publications.hurry(5.0)
    assert publications.due(5.0) == [unheld]
    publications.hurry(5.0, held_too=True)
    assert publications.due(5.0) == [held, unheld]


def test_a_dropped_topic_is_withdrawn(publications: Publications) -> None:
    publications.put(TOPIC, [HERE], 0.0)
    publications.drop(TOPIC)
    record = publications.sign(TOPIC, 0.0, UNIX)
    assert record.withdrawn
    publications.spread(record, HOLDERS, 0.0)
    assert publications.due(1e9) == []


def test_a_newcomer_that_is_closer_than_a_holder_gets_the_record(
    publications: Publications,
) -> None:
    publications.put(TOPIC, [HERE], 0.0)
    publications.spread(publications.sign(TOPIC, 0.0, UNIX), HOLDERS, 0.0)
    assert not publications.met(b"\xff" * 20, 10.0)
    assert not publications.met(HOLDERS[0], 10.0)
    assert publications.due(10.0 + NEWCOMER_AFTER) == []
    assert publications.met(bytes([0, 3]).ljust(20, b"."), 10.0)
    assert publications.due(10.0) == []
    assert publications.due(10.0 + NEWCOMER_AFTER) == [TOPIC]


def test_while_few_hold_it_any_newcomer_does(publications: Publications) -> None:
    publications.put(TOPIC, [HERE], 0.0)
    publications.spread(publications.sign(TOPIC, 0.0, UNIX), HOLDERS[:7], 0.0)
    assert publications.met(b"\xff" * 20, 10.0)
    assert publications.due(10.0 + NEWCOMER_AFTER) == [TOPIC]
