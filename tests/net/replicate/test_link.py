"""What one peer may be asked for."""

from __future__ import annotations

import pytest

from net.replicate.link import MAX_REQUESTS, Asked, Link
from net.replicate.spans import Spans


def asked(number: int, *, urgent: bool = False) -> Asked:
    return Asked(number, Spans([(number, number + 1)]), urgent, 1024)


def test_it_offers_what_it_has_below_the_length_of_its_proofs() -> None:
    link = Link(have=Spans([(2, 5), (8, 20)]), base=10)
    assert [index for index in range(25) if link.offers(index)] == [2, 3, 4, 8, 9]
    link.base = None
    assert not any(map(link.offers, range(25)))


def test_a_peer_whose_proofs_are_of_no_use_or_that_is_late_is_not_asked() -> None:
    assert Link(base=0).usable
    assert not Link(base=None).usable
    assert not Link(base=0, stalled=True).usable


def test_requests_in_flight_have_a_limit() -> None:
    link = Link(base=1000)
    link.asked = {number: asked(number) for number in range(MAX_REQUESTS - 1)}
    assert link.usable
    link.asked[MAX_REQUESTS] = asked(MAX_REQUESTS)
    assert not link.usable


@pytest.mark.parametrize("urgent", [0, 1, 5])
def test_urgent_requests_are_counted(urgent: int) -> None:
    link = Link(base=1000)
    link.asked = {number: asked(number, urgent=number < urgent) for number in range(urgent * 2)}
    assert link.urgent == urgent
