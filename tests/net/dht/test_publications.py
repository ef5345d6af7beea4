"""What a node announces, and when."""

from __future__ import annotations

from random import Random

import pytest

from feedlog.keys import KeyPair
from net.dht.publications import RENEW_AFTER, RETRY_AFTER, Publications
from net.dht.records import MAX_LIFETIME, parse_announcement

TOPIC, HERE = bytes(20), ("9.9.9.9", 4000)
UNIX = 1_800_000_000.0


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
    publications.spread(record, 8, 0.0)
    assert publications.due(0.9 * RENEW_AFTER - 1) == []
    assert publications.due(RENEW_AFTER) == [TOPIC]
    record = publications.sign(TOPIC, RENEW_AFTER, UNIX + RENEW_AFTER)
    assert publications.due(RENEW_AFTER) == []
    publications.spread(record, 0, RENEW_AFTER)
    assert publications.due(RENEW_AFTER + RETRY_AFTER) == [TOPIC]


def test_the_end_of_an_older_record_says_nothing(publications: Publications) -> None:
    publications.put(TOPIC, [HERE], 0.0)
    older = publications.sign(TOPIC, 0.0, UNIX)
    publications.sign(TOPIC, 0.0, UNIX)
    publications.spread(older, 8, 0.0)
    assert publications.due(RETRY_AFTER) == [TOPIC]


def test_somebody_who_comes_gets_what_nobody_holds(publications: Publications) -> None:
    held, unheld = bytes(20), b"\x01" * 20
    for topic in (held, unheld):
        publications.put(topic, [HERE], 0.0)
    publications.spread(publications.sign(held, 0.0, UNIX), 3, 0.0)
    publications.hurry(5.0)
    assert publications.due(5.0) == [unheld]
    publications.hurry(5.0, held_too=True)
    assert publications.due(5.0) == [held, unheld]


def test_a_dropped_topic_is_withdrawn(publications: Publications) -> None:
    publications.put(TOPIC, [HERE], 0.0)
    publications.drop(TOPIC)
    record = publications.sign(TOPIC, 0.0, UNIX)
    assert record.withdrawn
    publications.spread(record, 8, 0.0)
    assert publications.due(1e9) == []
