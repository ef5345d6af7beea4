"""What is wanted, and until when."""

from __future__ import annotations

from net.replicate.wants import Wants


def test_somebody_who_waits_is_counted() -> None:
    wants = Wants()
    wants.block(5)
    wants.block(5)
    wants.unblock(5)
    assert 5 in wants.blocked
    wants.unblock(5)
    assert not wants


def test_what_arrives_is_not_wanted_any_more() -> None:
    wants = Wants()
    wants.block(5)
    want = wants.add([(0, 10), (20, 30)])
    wants.arrived(5, 25)
    assert (want.done, want.total, want.finished) == (10, 20, False)
    assert list(wants.bulk) == [(0, 5), (25, 30)]
    wants.arrived(0, 100)
    assert want.finished
    assert not wants


def test_wants_may_overlap() -> None:
    wants = Wants()
    first, second = wants.add([(0, 10)]), wants.add([(5, 15)])
    wants.drop(first)
    assert list(wants.bulk) == [(5, 15)]
    wants.drop(first)
    wants.drop(second)
    assert not wants


def test_read_ahead_is_more_pressing_than_a_download() -> None:
    wants = Wants()
    wants.add([(0, 10)])
    ahead = wants.add([(5, 7)], ahead=True)
    assert [list(layer) for layer in wants.layers] == [[(5, 7)], [(0, 10)]]
    wants.drop(ahead)
    assert [list(layer) for layer in wants.layers] == [[], [(0, 10)]]


def test_what_is_lost_is_wanted_again() -> None:
    wants = Wants()
    want = wants.add([(0, 10)])
    wants.block(8)
    wants.arrived(0, 10)
    wants.lost(6, 100)
    assert list(want.missing) == list(wants.bulk) == [(6, 10)]
    assert list(wants.blocked) == [(8, 9)]
