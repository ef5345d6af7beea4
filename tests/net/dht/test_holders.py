"""With which holders a node keeps in touch."""

from __future__ import annotations

import pytest

from net.dht.contacts import Contact
from net.dht.holders import (
    KEEP_AGAIN,
    KEEP_CLOSE_EVERY,
    KEEP_EVERY,
    MAX_CLOSE,
    MAX_KEPT,
    MAX_SILENCES,
    Holders,
)
from tests.reference.dht_network import address_of

ME, ELSEWHERE = ("9.9.9.9", 4000), ("9.9.9.9", 4001)


def contact(number: int) -> Contact:
    return Contact(number.to_bytes(20, "big"), address_of(number))


@pytest.fixture
def holders() -> Holders:
    made = Holders()
    for number in (1, 2):
        made.held(contact(number), ME, float(number))
    return made


def test_each_is_pinged_in_time_for_its_router(holders: Holders) -> None:
    assert holders.next_due() == 1.0 + KEEP_EVERY
    assert holders.due(KEEP_EVERY) == []
    assert holders.due(1.0 + KEEP_EVERY) == [contact(1)]
    assert holders.due(2.0 + KEEP_EVERY) == [contact(2)]
    assert holders.next_due() == 1.0 + 2 * KEEP_EVERY
    assert KEEP_EVERY + (MAX_SILENCES - 1) * (KEEP_AGAIN + 1.0) < 30.0


def test_one_that_sees_us_elsewhere_says_so_once(holders: Holders) -> None:
    assert not holders.answered(contact(1), ME)
    assert holders.answered(contact(1), ELSEWHERE)
    assert not holders.answered(contact(1), ELSEWHERE)
    assert not holders.answered(contact(3), ELSEWHERE)
    assert not holders.answered(Contact(contact(2).id, address_of(9)), ELSEWHERE)


def test_one_that_is_silent_is_asked_soon_again_and_then_gone(holders: Holders) -> None:
    now = 100.0
    for _ in range(MAX_SILENCES - 1):
        holders.due(now)
        assert not holders.silent(contact(1), now)
        now += KEEP_AGAIN
        assert holders.due(now) == [contact(1)]
    assert holders.silent(contact(1), now)
    assert not holders.silent(contact(1), now)
    assert len(holders) == 1


def test_an_answer_ends_the_silence(holders: Holders) -> None:
    for _ in range(2 * MAX_SILENCES):
        assert not holders.silent(contact(1), 0.0)
        holders.answered(contact(1), ME)


def test_the_holders_of_our_own_topic_stay(holders: Holders) -> None:
    holders.held(contact(1), ME, 3.0, first=True)
    holders.held(contact(1), ME, 3.0)
    for number in range(3, MAX_KEPT + 100):
        holders.held(contact(number), ME, 4.0)
    assert len(holders) == MAX_KEPT
    assert contact(1) in holders.due(1e9)


def test_those_that_hold_nothing_any_more_are_left_alone(holders: Holders) -> None:
    holders.retain([contact(2).id])
    assert holders.due(1e9) == [contact(2)]


def test_behind_a_router_the_first_are_kept_close() -> None:
    holders = Holders()
    holders.behind_router = True
    for number in range(1, 2 * MAX_CLOSE + 1):
        holders.held(contact(number), ME, 0.0, first=number > MAX_CLOSE)
    assert holders.next_due() == KEEP_CLOSE_EVERY < 5.0
    assert len(holders.due(KEEP_CLOSE_EVERY)) == 2 * MAX_CLOSE
    close = holders.due(2 * KEEP_CLOSE_EVERY)
    assert close == [contact(number) for number in range(MAX_CLOSE + 1, 2 * MAX_CLOSE + 1)]
