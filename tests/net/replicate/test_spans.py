"""Spans against a set of integers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from net.replicate.spans import Span, Spans, size

LIMIT = 40
span = st.tuples(st.integers(0, LIMIT), st.integers(0, LIMIT))
operations = st.lists(st.tuples(st.booleans(), span), max_size=30)


def runs(indexes: set[int]) -> list[tuple[int, int]]:
    starts = sorted(i for i in indexes if i - 1 not in indexes)
    stops = sorted(i + 1 for i in indexes if i + 1 not in indexes)
    return list(zip(starts, stops, strict=True))


@given(operations, span)
def test_it_behaves_as_a_set(steps: list[tuple[bool, Span]], asked: Span) -> None:
    spans, model = Spans(), set[int]()
    for added, (start, stop) in steps:
        if added:
            spans.add(start, stop)
            model |= set(range(start, stop))
        else:
            spans.remove(start, stop)
            model -= set(range(start, stop))
    assert list(spans) == runs(model)
    assert len(spans) == len(model) == size(spans)
    assert bool(spans) == bool(model)
    assert (spans.start, spans.stop) == (min(model, default=0), max(model, default=-1) + 1)
    assert all((i in spans) == (i in model) for i in range(LIMIT + 1))
    start, stop = asked
    if start < stop:
        inside = set(range(start, stop))
        assert list(spans.within(start, stop)) == runs(model & inside)
        assert list(spans.gaps(start, stop)) == runs(inside - model)
        assert spans.covers(start, stop) == (inside <= model)


@given(st.lists(span), st.lists(span))
def test_whole_sets_are_added_and_taken_away(left: list[Span], right: list[Span]) -> None:
    one, two = Spans(left), Spans(right)
    both = one.copy()
    both.update(two)
    assert both == Spans(left + right)
    both.subtract(two)
    one.subtract(two)
    assert both == one


@given(st.lists(span), st.lists(span))
def test_what_two_sets_do_not_share(left: list[Span], right: list[Span]) -> None:
    one, two = Spans(left), Spans(right)
    assert Spans.ascending(one) == one
    only_one, only_two = one.copy(), two.copy()
    only_one.subtract(two)
    only_two.subtract(one)
    only_one.update(only_two)
    assert one.changes(two) == two.changes(one) == only_one


def test_a_billion_blocks_are_one_piece() -> None:
    spans = Spans([(0, 10**9)])
    spans.remove(5, 6)
    assert spans.pieces == 2
    assert repr(spans) == "Spans(0:5, 6:1000000000)"


def test_no_more_pieces_are_kept_than_there_shall_be() -> None:
    spans = Spans([(0, 2), (4, 6), (8, 9)])
    spans.limit(3)
    assert spans.pieces == 3
    spans.limit(2)
    assert list(spans) == [(0, 2), (4, 6)]
