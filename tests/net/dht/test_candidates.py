"""Who is on the way to a target, in what order, and whose answer counts."""

from __future__ import annotations

from random import Random

import pytest

from net.addresses import Address
from net.dht.candidates import MAX_CANDIDATES, PER_AREA, Candidate, Candidates, State
from net.dht.contacts import Contact
from net.dht.referrers import MIN_SILENT
from tests.reference.dht_network import address_of

NAMER = b"\xff" * 20
ONE_AREA: list[Address] = [("66.66.66.66", port) for port in range(1, 10)]


def contact(number: int, address: Address | None = None) -> Contact:
    return Contact(number.to_bytes(20, "big"), address or address_of(number))


@pytest.fixture
def candidates() -> Candidates:
    return Candidates(bytes(20), frozenset([address_of(1)]))


def get(candidates: Candidates, number: int) -> Candidate:
    found = candidates.get(contact(number).id)
    assert found is not None
    return found


def answer(candidates: Candidates, number: int) -> None:
    candidate = get(candidates, number)
    candidates.answered(candidate, candidate.contact.address)


def test_the_nearest_come_first_and_each_once(candidates: Candidates) -> None:
    candidates.learn([contact(n) for n in (5, 2, 9, 2)], None, 0)
    candidates.learn([contact(n) for n in (3, 9)], NAMER, 1)
    assert [one.contact for one in candidates] == [contact(n) for n in (2, 3, 5, 9)]
    assert [one.paths for one in candidates] == [{0}, {1}, {0}, {0, 1}]


def test_whom_our_own_table_knows_no_liar_can_spoil(candidates: Candidates) -> None:
    candidates.learn([contact(5)], None, 0)
    candidates.learn([contact(5), contact(6)], NAMER, 0)
    assert (get(candidates, 5).referrers, get(candidates, 6).referrers) == (set(), {NAMER})
    for _ in range(MIN_SILENT):
        candidates.referrers.silent({NAMER})
    assert candidates.is_next(get(candidates, 5))
    assert not candidates.is_next(get(candidates, 6))
    candidates.learn([contact(6)], b"\xfe" * 20, 0)
    assert candidates.is_next(get(candidates, 6))


def test_suspects_block_nothing(candidates: Candidates) -> None:
    candidates.learn([contact(1), contact(2)], None, 0)
    answer(candidates, 2)
    assert candidates.complete(1)
    get(candidates, 1).state = State.ASKED
    assert not candidates.complete(1)


def test_of_one_area_few_answers_count(candidates: Candidates) -> None:
    candidates.learn([contact(n + 2, place) for n, place in enumerate(ONE_AREA)], None, 0)
    for n in range(2, 2 + PER_AREA):
        assert candidates.counts(get(candidates, 9))
        answer(candidates, n)
    assert not candidates.counts(get(candidates, 9))
    answer(candidates, 9)  # it was asked before the others had answered
    assert [one.contact for one in candidates.answerers()] == [
        contact(n + 2, ONE_AREA[n]) for n in range(PER_AREA)
    ]


def test_the_farthest_are_forgotten_but_not_those_that_were_asked(candidates: Candidates) -> None:
    rng = Random(1)
    farthest = Contact(b"\xff" * 20, address_of(9))
    candidates.learn([farthest], None, 0)
    get(candidates, int.from_bytes(farthest.id, "big")).state = State.LATE
    many = [Contact(rng.randbytes(20), address_of(n)) for n in range(2, 2 * MAX_CANDIDATES)]
    candidates.learn(many, NAMER, 0)
    kept = [one.contact for one in candidates]
    assert kept == [*sorted(many)[: MAX_CANDIDATES - 1], farthest]
    assert len(candidates) == MAX_CANDIDATES
    assert candidates.get(max(many).id) is None
