"""Ranges against Python's sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from feedlog.ranges import Ranges

PAIRS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8)


def as_set(pairs: list[tuple[int, int]]) -> set[int]:
    return {i for start, stop in pairs for i in range(start, stop)}


@given(PAIRS, PAIRS, st.integers(0, 40), st.integers(0, 40))
def test_is_a_set(
    pairs: list[tuple[int, int]], more: list[tuple[int, int]], start: int, stop: int
) -> None:
    ranges, other = Ranges(pairs), Ranges(more)
    model, second = as_set(pairs), as_set(more)
    assert list(ranges) == sorted(model)
    assert len(ranges) == len(model)
    assert bool(ranges) == bool(model)
    assert ranges.stop == max(model, default=-1) + 1
    assert set(ranges.minus(other)) == model - second
    assert set(ranges.intersection(other)) == model & second
    assert [i in ranges for i in range(41)] == [i in model for i in range(41)]
    assert Ranges.of(model) == ranges == Ranges.of(sorted(model))
    assert (ranges == other) == (model == second)
    if ranges == other:
        assert hash(ranges) == hash(other)
    if start < stop:
        inside = set(range(start, stop))
        assert ranges.touches(start, stop) == bool(model & inside)
        assert ranges.covers(start, stop) == (inside <= model)


@given(PAIRS)
def test_pairs_ascend_and_neither_touch_nor_overlap(pairs: list[tuple[int, int]]) -> None:
    edges = [edge for pair in Ranges(pairs).pairs for edge in pair]
    assert edges == sorted(set(edges))


def test_a_range_costs_one_pair() -> None:
    assert Ranges.of(range(10**12)).pairs == ((0, 10**12),)
    assert Ranges.of(range(5, 3)).pairs == ()
    assert Ranges.of(range(0, 6, 2)).pairs == ((0, 1), (2, 3), (4, 5))
    assert Ranges.of(range(6, 0, -2)).pairs == ((2, 3), (4, 5), (6, 7))


def test_shows_its_first_ranges() -> None:
    assert repr(Ranges([(0, 3), (5, 6)])) == "Ranges(0:3, 5:6)"
    assert repr(Ranges.of(range(0, 40, 2))).endswith(", 14:15, ...)")
    assert Ranges() != "Ranges()"
