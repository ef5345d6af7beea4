"""Looking up, announcing and joining, step by step and without datagrams."""

from __future__ import annotations

import pytest

from feedlog.errors import DecodeError
from feedlog.keys import KeyPair
from net.addresses import Address
from net.dht.codes import Code
from net.dht.contacts import Contact
from net.dht.messages import Announce, Found, Lookup, Ping
from net.dht.operations import MAX_PINGS, MAX_STORE_ATTEMPTS, PING_AGAIN, Join, Publish, Search
from net.dht.query import SOFT_TIMEOUT, WANT, Query
from net.dht.records import Announcement, sign_announcement
from tests.reference.dht_network import address_of

TOPIC, ME = bytes(20), b"\x01" * 20
UNIX = 1_800_000_000
KEY = KeyPair.from_seed(bytes(32))


def contact(number: int) -> Contact:
    return Contact(number.to_bytes(20, "big"), address_of(number))


def query(count: int, want: int = WANT) -> Query:
    made = Query(TOPIC, want=want)
    made.start(contact(n) for n in range(1, count + 1))
    return made


def record(
    seq: int, *, topic: bytes = TOPIC, addresses: int = 1, lifetime: int = 60
) -> Announcement:
    places = [("9.9.9.9", n + 1) for n in range(addresses)]
    return sign_announcement(KEY, topic, places, seq=seq, expiry=UNIX + lifetime)


def found(number: int, token: bytes = b"t" * 8) -> Found:
    return Found(contact(number).id, token, b"", b"", [])


def after_the_crawl(count: int, want: int = WANT) -> Publish:
    """An announcement whose crawl has found so many nodes, with the requests to hold it sent."""
    publish = Publish(ME, query(count, want), record(1))
    while requests := publish.requests(0.0):
        if isinstance(requests[0][2], Announce):
            break
        for _, to, _ in requests:
            assert to is not None
            publish.found(to, found(int.from_bytes(to.id, "big")), [])
    return publish


STORE = Announce(ME, b"t" * 8, record(1).raw)


def test_a_search_returns_what_is_new_and_the_newest() -> None:
    search = Search(ME, query(3))
    first, second = record(1), record(2)
    assert search.take([first.raw, second.raw], UNIX) == [first, second]
    assert search.take([first.raw, second.raw], UNIX) == []
    assert search.take([record(3, addresses=0).raw], UNIX)[0].withdrawn
    assert search.take([record(2, addresses=2).raw], UNIX) == []  # older than the withdrawal
    assert search.take([record(9, lifetime=-1).raw], UNIX) == []


def test_a_false_record_takes_no_good_one_with_it() -> None:
    search = Search(ME, query(3))
    good = record(1)
    for bad in (good.raw[:-1] + b"\x00", record(2, topic=ME).raw):
        with pytest.raises(DecodeError):
            search.take([good.raw, bad], UNIX)
    assert search.take([good.raw], UNIX) == [good]


def test_a_record_goes_to_the_closest_and_to_the_next_when_one_refuses() -> None:
    publish = after_the_crawl(5)
    publish.held(contact(1))
    publish.refused(contact(2), STORE, Code.FULL)
    publish.refused(contact(3), STORE, None)
    publish.held(contact(4))
    publish.held(contact(5))
    assert publish.done
    assert (publish.stored, publish.silent, dict(publish.refusals)) == (3, 1, {Code.FULL: 1})


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


def test_joining_pings_each_address_three_times_and_ends() -> None:
    places = [address_of(1), address_of(2)]
    join = Join(ME, Query(ME), places)
    pinged: list[Address] = []
    for n in range(MAX_PINGS):
        for address, to, arguments in join.requests(n * PING_AGAIN):
            assert (to, isinstance(arguments, Ping)) == (None, True)
            pinged.append(address)
        assert not join.done
    assert join.next_timeout() is None
    assert pinged == MAX_PINGS * places
    for address in pinged:
        assert not join.done
        join.silent(address)
    assert (join.done, join.reached) == (True, 0)


def test_joining_goes_on_from_the_first_that_is_there() -> None:
    join = Join(ME, Query(ME), [address_of(1), address_of(2)])
    join.requests(0.0)
    join.arrived(contact(1))
    ((_, to, lookup),) = join.requests(0.0)
    assert (to, lookup) == (contact(1), Lookup(ME, ME))
    assert not join.done
    join.found(contact(1), found(1), [])
    assert join.done


def test_an_address_that_answers_nonsense_is_not_pinged_again() -> None:
    join = Join(ME, Query(ME), [address_of(1)])
    join.requests(0.0)
    join.silent(address_of(1), final=True)
    assert join.requests(0.0) == []
    assert join.done
