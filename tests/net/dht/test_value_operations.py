"""Reading values and having them held, step by step and without datagrams."""

from __future__ import annotations

import pytest

from feedlog.errors import DecodeError
from feedlog.keys import KeyPair
from net.dht.hashing import value_topic
from net.dht.messages import Contact, Fetch, Found, Store
from net.dht.query import Query
from net.dht.value_operations import Get, Put
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
    get = Get(ME, query())
    assert get.take([value(2).raw], UNIX) == [value(2)]
    assert get.take([value(2).raw], UNIX) == get.take([value(1).raw], UNIX) == []
    assert get.take([value(4, lifetime=-1).raw], UNIX) == []
    assert get.take([value(3).raw], UNIX) == [value(3)]
    assert get.newest == value(3)


def test_a_false_value_is_refused() -> None:
    get = Get(ME, query())
    bad = value(1).raw[:-1] + b"\x00"
    for raw in (bad, value(1, key=OTHER).raw, value(1, salt=b"x").raw):
        with pytest.raises(DecodeError):
            get.take([raw], UNIX)
    assert get.newest is None


def test_a_crawl_asks_for_values_and_stores_one_with_the_token() -> None:
    put = Put(ME, query(), value(1), 7, patience=0.4)
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
