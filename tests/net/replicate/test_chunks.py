"""What is wanted, cut into requests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from net.replicate.chunks import CHUNK_SPANS, cut, first_chunk, free_spans
from net.replicate.spans import Spans, size

spans = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40))).map(
    lambda pairs: Spans((start, start + count) for start, count in pairs)
)


def indexes(parts: Spans) -> set[int]:
    return {index for start, stop in parts for index in range(start, stop)}


@given(spans, spans, spans, st.integers(0, 350))
def test_what_is_free_is_wanted_and_on_offer_and_owed_by_nobody(
    wanted: Spans, have: Spans, busy: Spans, base: int
) -> None:
    free = list(free_spans(wanted, have, busy, base))
    expected = (indexes(wanted) & indexes(have) & set(range(base))) - indexes(busy)
    assert [index for start, stop in free for index in range(start, stop)] == sorted(expected)


@given(spans, st.integers(1, 64))
def test_chunks_hold_everything_once_and_in_order(free: Spans, limit: int) -> None:
    chunks = list(cut(iter(free), limit))
    together = [index for chunk in chunks for part in chunk for index in range(*part)]
    assert together == sorted(indexes(free))
    assert all(0 < size(chunk) <= limit for chunk in chunks)
    assert first_chunk(iter(free), limit) == (chunks[0] if chunks else [])


def test_chunks_of_a_long_span_are_whole_subtrees() -> None:
    assert list(cut(iter([(5, 40)]), 16)) == [[(5, 16)], [(16, 32)], [(32, 40)]]


def test_short_spans_share_a_chunk() -> None:
    assert list(cut(iter([(0, 3), (10, 12), (20, 40)]), 8)) == [
        [(0, 3), (10, 12), (20, 23)],
        [(23, 24)],
        [(24, 32)],
        [(32, 40)],
    ]


def test_a_chunk_has_a_limit_of_spans_too() -> None:
    chunks = list(cut(((at, at + 1) for at in range(0, 1000, 2)), 8192))
    assert [len(chunk) for chunk in chunks] == [CHUNK_SPANS, 500 - CHUNK_SPANS]
