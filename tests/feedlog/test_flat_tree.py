from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import flat_tree

INDEXES = st.integers(min_value=0, max_value=2**41)


def test_the_picture_in_the_docstring() -> None:
    assert [flat_tree.level(i) for i in range(7)] == [0, 1, 0, 2, 0, 1, 0]
    assert flat_tree.children(3) == (1, 5)
    assert flat_tree.parent(0) == flat_tree.parent(2) == 1
    assert flat_tree.span(3) == (0, 4)
    assert flat_tree.span(4) == (2, 3)
    assert flat_tree.roots(7) == [3, 9, 12]
    assert flat_tree.roots(0) == []


@given(INDEXES)
def test_level_and_offset_name_the_node(index: int) -> None:
    assert flat_tree.node(flat_tree.level(index), flat_tree.offset(index)) == index


@given(INDEXES)
def test_family(index: int) -> None:
    parent = flat_tree.parent(index)
    children = flat_tree.children(parent)
    assert set(children) == {index, flat_tree.sibling(index)}
    assert flat_tree.is_right(index) == (children[1] == index)
    low, high = flat_tree.span(parent)
    assert flat_tree.span(children[0]) == (low, (low + high) // 2)
    assert flat_tree.span(children[1]) == ((low + high) // 2, high)


@given(INDEXES)
def test_the_last_block_ends_the_span(index: int) -> None:
    assert flat_tree.last_block(index) == flat_tree.span(index)[1] - 1


@given(st.integers(min_value=0, max_value=2**40))
def test_roots_tile_the_feed(length: int) -> None:
    spans = [flat_tree.span(root) for root in flat_tree.roots(length)]
    assert [start for start, _ in spans] == [0, *[stop for _, stop in spans][:-1]][: len(spans)]
    assert (spans[-1][1] if spans else 0) == length


@given(st.integers(min_value=1, max_value=2**40), st.randoms())
def test_the_root_above_a_block(length: int, random: Random) -> None:
    spans = [flat_tree.span(root) for root in flat_tree.roots(length)]
    block = random.randrange(length)
    assert [flat_tree.root_span(length, block)] == [
        (start, stop) for start, stop in spans if start <= block < stop
    ]


def test_a_leaf_has_no_children() -> None:
    with pytest.raises(AssertionError, match="leaf 4"):
        flat_tree.children(4)
