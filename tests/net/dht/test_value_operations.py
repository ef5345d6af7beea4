"""Reading values and having them held, step by step and without datagrams."""

from __future__ import annotations

import pytest

from feedlog.errors import DecodeError
from feedlog.keys import KeyPair
from net.dht.contacts import Contact
from net.dht.hashing import value_topic
from net.dht.messages import Fetch, Found, Store
from net.dht.query import Query
from net.dht.value_operations import Get, Newest, Put
from net.dht.value_records import Value, sign_value
from tests.reference.dht_network import address_of

ME, UNIX = b"\x01" * 20, 1_800_000_000
KEY, OTHER = KeyPair.from_seed(bytes(32)), KeyPair.from_seed(bytes(31) + b"1")


def value(seq: int, *, key: KeyPair = KEY, salt: bytes = b"", lifetime: int = 60) -> Value:
    return sign_value(key, b"%d" % seq, salt=salt, seq=seq, expiry=UNIX + lifetime)


def query() -> Query:
    made = Query(value_topic(KEY.public_key, b""))
    made.start([Contact(bytes([n]) * 20, address_of(n)) for n in (1, 2)])
    return made


def test_newer_values_are_returned_and_older_are_not() -> None:
    newest = Newest(value(1).topic)
    assert newest.take([value(2).raw], UNIX) == [value(2)]
    assert newest.take([value(2).raw], UNIX) == newest.take([value(1).raw], UNIX) == []
    assert newest.take([value(4, lifetime=-1).raw], UNIX) == []
    assert newest.take([value(3).raw], UNIX) == [value(3)]
    assert newest.value == value(3)


def test_a_false_value_is_refused() -> None:
    newest = Newest(value(1).topic)
    bad = value(1).raw[:-1] + b"\x00"
    for raw in (bad, value(1, key=OTHER).raw, value(1, salt=b"x").raw):
        with pytest.raises(DecodeError):
            newest.take([raw], UNIX)
    assert newest.value is None


def test_a_value_is_asked_for() -> None:
    get = Get(ME, query())
    assert [what for _, _, what in get.requests(0.0)] == [Fetch(ME, get.target)] * 2


@pytest.mark.parametrize(
    ("held", "cas", "obstacle"),
    [
        (4, None, ""),
        (5, None, ""),  # it is the same one, to be held for longer
        (6, None, "seq 5 is not higher than seq 6, which is held"),
        (3, 3, ""),
        (2, 3, ""),  # whoever shows it has missed one; others may have it
        (4, 3, "seq 4 is held, and not seq 3, which was to be replaced"),
        (5, 3, ""),
    ],
)
def test_a_put_ends_when_it_meets_what_it_may_not_replace(
    held: int, cas: int | None, obstacle: str
) -> None:
    put = Put(ME, query(), value(5, lifetime=90), cas)
    _, asked, _ = put.requests(0.0)[0]
    assert asked is not None
    assert put.newest.take([value(held).raw], UNIX) == [value(held)]
    put.found(asked, Found(asked.id, b"token...", b"", b"", [value(held).raw]), [])
    assert (put.obstacle, put.done) == (obstacle, bool(obstacle))
    assert put.finished(9).obstacle == obstacle
    if obstacle:
        assert put.requests(1.0) == []


def test_a_node_that_has_missed_something_is_to_replace_what_it_has() -> None:
    put = Put(ME, query(), value(5), 3)
    (_, one, _), (_, other, _) = put.requests(0.0)
    assert one is not None
    assert other is not None
    for to, held in ((one, [value(2).raw]), (other, [value(3).raw])):
        put.newest.take(held, UNIX)
        put.found(to, Found(to.id, b"token...", b"", b"", held), [])
    asked = {to: arguments for _, to, arguments in put.requests(0.0)}
    assert asked == {
        one: Store(ME, b"token...", value(5).raw, 2),
        other: Store(ME, b"token...", value(5).raw, 3),
    }


def test_another_value_with_the_same_number_is_in_the_way() -> None:
    other = sign_value(KEY, b"other", salt=b"", seq=5, expiry=UNIX + 60)
    assert value(5).obstacle(other, None) == "another value with seq 5 is held"
    assert not value(5).same(other)


def test_a_crawl_asks_for_values_and_stores_one_with_the_token() -> None:
    put = Put(ME, query(), value(1), 7)
    asked = put.requests(0.0)
    assert [arguments for _, _, arguments in asked] == [Fetch(ME, put.target)] * 2
    for _, to, _ in asked:
        assert to is not None
        put.found(to, Found(to.id, b"token...", b"", b"", []), [])
    stores = put.requests(0.0)
    assert [what for _, _, what in stores] == [Store(ME, b"token...", value(1).raw, 7)] * 2
    for _, to, _ in stores:
        assert to is not None
        put.held(to)
    assert (put.done, put.stored) == (True, 2)
