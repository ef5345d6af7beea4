"""Having a record held, step by step and without datagrams."""

from __future__ import annotations

from feedlog.keys import KeyPair
from net.dht.announcement_operations import Publish
from net.dht.codes import Code
from net.dht.contacts import Contact
from net.dht.messages import Announce, Found, Lookup
from net.dht.query import SOFT_TIMEOUT, WANT, Query
from net.dht.records import sign_announcement
from net.dht.storing import MAX_STORE_ATTEMPTS, MAX_TRIED
from tests.reference.dht_network import address_of

TOPIC, ME = bytes(20), b"\x01" * 20
RECORD = sign_announcement(
    KeyPair.from_seed(bytes(32)), TOPIC, [("9.9.9.9", 1)], seq=1, expiry=1_800_000_060
)


def contact(number: int) -> Contact:
    return Contact(number.to_bytes(20, "big"), address_of(number))


def query(count: int, want: int = WANT) -> Query:
    made = Query(TOPIC, want=want)
    made.start(contact(n) for n in range(1, count + 1))
    return made


def found(number: int, token: bytes = b"t" * 8) -> Found:
    return Found(contact(number).id, token, b"", b"", [])


def after_the_crawl(count: int, want: int = WANT) -> Publish:
    """An announcement whose crawl has found so many nodes, with the requests to hold it sent."""
    publish = Publish(ME, query(count, want), RECORD)
    while requests := publish.requests(0.0):
        if isinstance(requests[0][2], Announce):
            break
        for _, to, _ in requests:
            assert to is not None
            publish.found(to, found(int.from_bytes(to.id, "big")), [])
    return publish


STORE = Announce(ME, b"t" * 8, RECORD.raw)


def test_a_record_goes_to_the_closest_and_to_the_next_when_one_refuses() -> None:
    publish = after_the_crawl(5)
    publish.held(contact(1))
    publish.refused(contact(2), STORE, Code.FULL)
    publish.refused(contact(3), STORE, None)
    publish.held(contact(4))
    publish.held(contact(5))
    assert publish.done
    assert (publish.stored, publish.silent, dict(publish.refusals)) == (3, 1, {Code.FULL: 1})


def test_where_all_refuse_no_more_are_asked_than_the_limit() -> None:
    publish = after_the_crawl(40, 40)  # a crawl along several paths may know many
    asked = set(range(1, WANT + 1))
    for n in range(1, WANT + 1):
        publish.refused(contact(n), STORE, Code.FULL)
    while requests := publish.requests(0.0):
        for _, to, what in requests:
            assert to is not None
            number = int.from_bytes(to.id, "big")
            if isinstance(what, Announce):
                asked.add(number)
                publish.refused(to, STORE, Code.FULL)
            else:
                publish.found(to, found(number), [])
    assert asked == set(range(1, MAX_TRIED + 1))
    assert publish.done
    assert publish.refusals == {Code.FULL: MAX_TRIED}


def test_no_more_hold_it_than_wanted() -> None:
    publish = after_the_crawl(WANT)
    for n in range(1, WANT + 1):
        publish.held(contact(n))
    assert publish.requests(0.0) == []
    assert (publish.done, publish.stored) == (True, WANT)


def test_a_silent_node_is_asked_once_more() -> None:
    publish = after_the_crawl(1)
    publish.failed(contact(1), STORE)
    ((_, to, again),) = publish.requests(0.0)
    assert (to, isinstance(again, Announce)) == (contact(1), True)
    assert MAX_STORE_ATTEMPTS == 2
    publish.failed(contact(1), STORE)
    assert publish.requests(0.0) == []
    assert (publish.done, publish.silent) == (True, 1)


def test_the_next_is_asked_beside_one_that_is_slow_and_the_first_eight_end_it() -> None:
    publish = after_the_crawl(WANT + 2, WANT + 2)
    for n in range(1, WANT):
        publish.held(contact(n))
    assert publish.next_timeout() == SOFT_TIMEOUT
    again = publish.requests(SOFT_TIMEOUT)
    assert [to for _, to, _ in again] == [contact(WANT), contact(WANT + 1)]
    assert not publish.done
    last = publish.requests(2 * SOFT_TIMEOUT)
    assert [to for _, to, _ in last] == [contact(WANT + 1), contact(WANT + 2)]
    publish.held(contact(WANT + 2))
    assert (publish.done, publish.stored) == (True, WANT)


def test_with_nobody_else_the_silent_are_waited_for() -> None:
    publish = after_the_crawl(2)
    publish.held(contact(1))
    for n in range(1, 9):
        publish.requests(n * SOFT_TIMEOUT)
    assert not publish.done
    for _ in range(MAX_STORE_ATTEMPTS):
        publish.failed(contact(2), STORE)
    assert (publish.done, publish.stored, publish.silent) == (True, 1, 1)


def test_a_refused_token_is_fetched_anew_once() -> None:
    publish = after_the_crawl(1)
    publish.refused(contact(1), STORE, Code.TOKEN)
    ((_, _, lookup),) = publish.requests(0.0)
    assert isinstance(lookup, Lookup)
    publish.found(contact(1), found(1, b"n" * 8), [])
    ((_, _, store),) = publish.requests(0.0)
    assert isinstance(store, Announce)
    assert store.token == b"n" * 8
    publish.refused(contact(1), store, Code.TOKEN)
    assert publish.done
    assert publish.refusals == {Code.TOKEN: 1}


def test_a_node_that_is_silent_when_asked_for_a_new_token_is_given_up() -> None:
    publish = after_the_crawl(1)
    publish.refused(contact(1), STORE, Code.TOKEN)
    ((_, _, lookup),) = publish.requests(0.0)
    publish.failed(contact(1), lookup)
    publish.requests(0.0)
    publish.failed(contact(1), STORE)
    assert publish.done
    assert publish.stored == 0
