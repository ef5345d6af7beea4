"""A crawl as an operation: what it asks, and how the end of a request is told to it."""

from __future__ import annotations

import pytest

from net.dht.codes import Code
from net.dht.contacts import Contact
from net.dht.messages import Arguments, Fetch, Found, Lookup, Ping
from net.dht.operations import Operation
from net.dht.query import SOFT_TIMEOUT, Query
from tests.reference.dht_network import address_of

TOPIC, ME = bytes(20), b"\x01" * 20
LOOKUP = Lookup(ME, TOPIC)


def contact(number: int) -> Contact:
    return Contact(number.to_bytes(20, "big"), address_of(number))


@pytest.fixture
def operation() -> Operation:
    """One that has asked the only node that it knows."""
    query = Query(TOPIC)
    query.start([contact(1)])
    operation = Operation(ME, query)
    assert operation.requests(0.0) == [(address_of(1), contact(1), LOOKUP)]
    return operation


def test_it_follows_what_answers_name_and_counts_them(operation: Operation) -> None:
    assert (operation.target, operation.done) == (TOPIC, False)
    operation.found(contact(1), Found(contact(1).id, bytes(8), b"", b"", []), [contact(2)])
    assert [to for _, to, _ in operation.requests(0.0)] == [contact(2)]
    operation.found(contact(2), Found(contact(2).id, bytes(8), b"", b"", []), [])
    assert operation.done
    assert operation.finished(7).answers == 2


@pytest.mark.parametrize("arguments", [LOOKUP, Fetch(ME, TOPIC)])
def test_silence_and_a_refusal_are_asked_again_and_nonsense_is_not(
    operation: Operation, arguments: Arguments
) -> None:
    operation.failed(contact(1), arguments)
    assert len(operation.requests(0.0)) == 1
    operation.refused(contact(1), arguments, Code.BUSY)
    assert len(operation.requests(0.0)) == 1
    operation.refused(contact(1), arguments, None)
    assert operation.requests(9.0) == []
    assert operation.done


def test_other_requests_than_those_of_the_crawl_do_not_concern_it(operation: Operation) -> None:
    operation.failed(contact(1), Ping(ME))
    operation.refused(contact(1), Ping(ME), Code.BUSY)
    operation.failed(None, LOOKUP)
    operation.refused(None, LOOKUP, None)
    assert operation.requests(0.0) == []
    assert not operation.done


def test_one_that_rests_wants_no_look(operation: Operation) -> None:
    assert operation.next_timeout() == SOFT_TIMEOUT
    operation.resting = True
    assert operation.next_timeout() is None
