"""What a search makes of records, and how an announcement is handed over."""

from __future__ import annotations

import pytest

from feedlog.errors import DecodeError
from feedlog.keys import KeyPair
from net.dht.announcement_operations import Prove, Publish, Search
from net.dht.contacts import Contact
from net.dht.messages import Announce
from net.dht.query import Query
from net.dht.records import Announcement, sign_announcement
from tests.reference.dht_network import address_of

TOPIC, ME = bytes(20), b"\x01" * 20
UNIX = 1_800_000_000
KEY = KeyPair.from_seed(bytes(32))


def contact(number: int) -> Contact:
    return Contact(number.to_bytes(20, "big"), address_of(number))


def record(
    seq: int, *, topic: bytes = TOPIC, addresses: int = 1, lifetime: int = 60
) -> Announcement:
    places = [("9.9.9.9", n + 1) for n in range(addresses)]
    return sign_announcement(KEY, topic, places, seq=seq, expiry=UNIX + lifetime)


def test_a_search_returns_what_is_new_and_the_newest() -> None:
    search = Search(ME, Query(TOPIC))
    first, second = record(1), record(2)
    assert search.take([first.raw, second.raw], UNIX) == [first, second]
    assert search.take([first.raw, second.raw], UNIX) == []
    assert search.take([record(3, addresses=0).raw], UNIX)[0].withdrawn
    assert search.take([record(2, addresses=2).raw], UNIX) == []  # older than the withdrawal
    assert search.take([record(9, lifetime=-1).raw], UNIX) == []


def test_it_rests_with_the_first_news_and_ones_own_announcement_is_none() -> None:
    search = Search(ME, Query(TOPIC), KEY.public_key)
    assert search.take([record(1).raw], UNIX) == []
    assert not search.resting
    other = sign_announcement(
        KeyPair.from_seed(b"\x01" * 32), TOPIC, [("9.9.9.9", 1)], seq=1, expiry=UNIX + 60
    )
    assert search.adopt([record(2), other], UNIX) == [other]
    assert search.resting


def test_a_false_record_takes_no_good_one_with_it() -> None:
    search = Search(ME, Query(TOPIC))
    good = record(1)
    for bad in (good.raw[:-1] + b"\x00", record(2, topic=ME).raw):
        with pytest.raises(DecodeError):
            search.take([good.raw, bad], UNIX)
    assert search.take([good.raw], UNIX) == [good]


def publish(announcement: Announcement, prove: Prove | None) -> Announce:
    """The request to hold an announcement that a node with the token `token...` gets."""
    request = Publish(ME, Query(TOPIC), announcement, prove).request(contact(1), b"token...")
    assert isinstance(request, Announce)
    return request


def test_a_holder_gets_a_ticket_and_its_proof_only_where_introductions_are_taken() -> None:
    def prove(holder: Contact, token: bytes, announcement: Announcement) -> tuple[bytes, bytes]:
        assert (holder, token, announcement) == (contact(1), b"token...", record(1))
        return b"ticket..", bytes(64)

    assert publish(record(1), prove) == Announce(
        ME, b"token...", record(1).raw, b"ticket..", bytes(64)
    )
    assert publish(record(1), None) == Announce(ME, b"token...", record(1).raw)
    withdrawal = record(2, addresses=0)
    assert publish(withdrawal, prove) == Announce(ME, b"token...", withdrawal.raw)
