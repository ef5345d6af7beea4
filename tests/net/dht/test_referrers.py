"""Who counts as a liar, and who does no more."""

from __future__ import annotations

from net.dht.referrers import MIN_SILENT, Referrers

LIAR, HONEST = b"\x01" * 20, b"\x02" * 20


def test_one_of_whose_contacts_all_are_silent_is_a_liar() -> None:
    referrers = Referrers()
    for n in range(MIN_SILENT):
        assert referrers.liars == set(), n
        referrers.silent({LIAR})
    assert referrers.liars == {LIAR}


def test_an_honest_node_of_whose_contacts_many_are_dead_is_none() -> None:
    referrers = Referrers()
    for _ in range(10):
        referrers.answered({HONEST})
    for _ in range(30):
        referrers.silent({HONEST})
    assert referrers.liars == set()
    referrers.silent({HONEST})
    assert referrers.liars == {HONEST}


def test_silence_that_ends_is_forgiven_and_an_answer_counts() -> None:
    for end in ("forgive", "answered"):
        referrers = Referrers()
        for _ in range(MIN_SILENT):
            referrers.silent({LIAR, HONEST})
        getattr(referrers, end)({HONEST})
        assert referrers.liars == {LIAR}


def test_for_a_contact_that_several_named_all_are_judged() -> None:
    referrers = Referrers()
    for _ in range(MIN_SILENT - 1):
        referrers.silent({LIAR, HONEST})
    referrers.silent({LIAR})
    assert referrers.liars == {LIAR}
