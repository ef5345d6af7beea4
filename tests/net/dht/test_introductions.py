"""What a holder passes on, and what an announcer takes."""

from __future__ import annotations

import pytest

from feedlog.keys import KeyPair
from net.dht.codes import Code
from net.dht.introductions import (
    ANNOUNCER_BURST,
    ASKER_BURST,
    MAX_HANDLED,
    MAX_PASSING,
    MAX_PASSING_TO_ONE,
    MAX_REMEMBERED,
    REMEMBER,
    Asker,
    Door,
    Passing,
)
from net.dht.messages import Introduce, Introduced
from net.dht.records import Announcement, sign_announcement
from net.dht.storage import RecordStore, Way
from tests.reference.dht_network import address_of

TOPIC, TOKEN = bytes(20), bytes(8)
UNIX = 1_800_000_000
HERE = ("9.9.9.9", 4000)


def key(number: int) -> KeyPair:
    return KeyPair.from_seed(number.to_bytes(32, "big"))


def asker(number: int) -> Asker:
    return Asker(address_of(number), number.to_bytes(20, "big"))


def introduce(announcer: int) -> Introduce:
    return Introduce(b"", TOKEN, TOPIC, key(announcer).public_key, b"hello")


def passing(announcers: int) -> Passing:
    """A holder of so many announcements; number 0 takes no introductions."""
    store: RecordStore[Announcement] = RecordStore(per_topic=1000)
    for number in range(announcers):
        record = sign_announcement(key(number), TOPIC, [HERE], seq=1, expiry=UNIX + 60)
        address = address_of(number)
        way = Way(address, TOKEN) if number else None
        assert store.put(record, address[0], UNIX, way) is Code.OK
    return Passing(store)


def test_only_to_those_who_take_introductions() -> None:
    holder = passing(3)
    assert holder.way(introduce(1), asker(9), 0.0, UNIX) == Way(address_of(1), TOKEN)
    assert holder.way(introduce(0), asker(9), 0.0, UNIX) is Code.NO_ANNOUNCER
    assert holder.way(introduce(5), asker(9), 0.0, UNIX) is Code.NO_ANNOUNCER
    assert holder.way(introduce(1), asker(9), 0.0, UNIX + 61) is Code.NO_ANNOUNCER


def test_one_area_asks_only_so_often() -> None:
    holder = passing(2)
    said = [holder.way(introduce(1), asker(9), 0.0, UNIX) for _ in range(int(ASKER_BURST) + 1)]
    assert said[-2:] == [Way(address_of(1), TOKEN), Code.BUSY]
    assert isinstance(holder.way(introduce(1), asker(10), 0.0, UNIX), Way)
    assert isinstance(holder.way(introduce(1), asker(9), 1.0, UNIX), Way)


def test_one_announcer_gets_only_so_much_whoever_asks() -> None:
    holder = passing(3)
    said = [holder.way(introduce(1), asker(n), 0.0, UNIX) for n in range(int(ANNOUNCER_BURST) + 1)]
    assert said[-1] is Code.BUSY
    assert isinstance(holder.way(introduce(2), asker(9), 0.0, UNIX), Way)


def test_what_waits_is_bounded_for_each_and_for_all() -> None:
    holder = passing(MAX_PASSING // MAX_PASSING_TO_ONE + 2)
    number = 0
    for announcer in range(1, MAX_PASSING // MAX_PASSING_TO_ONE + 1):
        for _ in range(MAX_PASSING_TO_ONE):
            number += 1
            way = holder.way(introduce(announcer), asker(number), 0.0, UNIX)
            assert isinstance(way, Way)
            holder.passed(number.to_bytes(20, "big"), asker(number), way)
        if announcer == 1:
            assert holder.way(introduce(1), asker(0), 0.0, UNIX) is Code.BUSY
    last = introduce(MAX_PASSING // MAX_PASSING_TO_ONE + 1)
    assert holder.way(last, asker(0), 0.0, UNIX) is Code.BUSY
    assert holder.over((1).to_bytes(20, "big")) == asker(1)
    assert holder.over((1).to_bytes(20, "big")) is None
    assert isinstance(holder.way(last, asker(0), 0.0, UNIX), Way)
    assert isinstance(holder.way(introduce(1), asker(0), 0.0, UNIX), Way)


@pytest.fixture
def door() -> Door:
    return Door(bytes(range(32)))


def test_a_ticket_is_good_from_one_address(door: Door) -> None:
    ticket = door.ticket(HERE)
    introduced = Introduced(b"", ticket, TOPIC, b"hello")
    assert door.knows(introduced, HERE)
    assert not door.knows(introduced, (HERE[0], 4001))
    assert not Door(bytes(32)).knows(introduced, HERE)


def test_a_message_is_answered_once_and_the_answer_repeated(door: Door) -> None:
    number = door.take(TOPIC, b"hello", asker(1), 0.0)
    assert isinstance(number, int)
    assert not isinstance(number, Code)
    assert door.take(TOPIC, b"hello", asker(2), 0.0) is Code.OK
    assert door.take(TOPIC, b"hello", asker(2), 0.0) is Code.OK
    assert door.answer(number, b"hi") == [asker(1), asker(2)]
    assert door.answer(number, b"hi") == []
    assert door.take(TOPIC, b"hello", asker(3), 0.0) == b"hi"
    again = door.take(TOPIC, b"hello", asker(3), REMEMBER)
    assert isinstance(again, int)
    assert again > number


def test_silence_stays_silence(door: Door) -> None:
    number = door.take(TOPIC, b"hello", asker(1), 0.0)
    assert isinstance(number, int)
    assert door.answer(number, None) == []
    assert door.take(TOPIC, b"hello", asker(2), 0.0) is Code.OK


def test_an_announcer_thinks_about_so_many_and_remembers_so_many(door: Door) -> None:
    numbers: list[int] = []
    for n in range(MAX_REMEMBERED):
        if n >= MAX_HANDLED:
            door.answer(numbers[n - MAX_HANDLED], b"hi")
        number = door.take(TOPIC, b"%d" % n, asker(n), 0.0)
        assert isinstance(number, int)
        numbers.append(number)
        if n == MAX_HANDLED - 1:
            assert door.take(TOPIC, b"another", asker(n), 0.0) is Code.BUSY
    for number in numbers:
        door.answer(number, b"hi")
    assert door.take(TOPIC, b"another", asker(1), 0.0) is Code.BUSY
    assert isinstance(door.take(TOPIC, b"another", asker(1), REMEMBER), int)
    assert len(door) == 1
