"""Which nodes a proof is shown against: two ways to find them, and they agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import flat_tree
from feedlog.plan import Question, Step, climb, given_nodes, plan
from feedlog.ranges import Ranges


@st.composite
def questions(draw: st.DrawFn) -> Question:
    length = draw(st.integers(1, 70))
    since = draw(st.sampled_from([0, length, length // 2, length - 1]))
    blocks = draw(st.sets(st.integers(0, length - 1), max_size=5))
    nodes = draw(st.sets(st.integers(0, 2 * max(since - 1, 0)), max_size=4))
    anchors = sorted(node for node in nodes if flat_tree.span(node)[1] <= since)
    return Question(
        length=length,
        blocks=Ranges.of(blocks),
        since=since,
        anchors=tuple(map(flat_tree.NodeIndex, anchors)),
        signed=draw(st.booleans()) or since != length,
    )


def checked_slowly(question: Question) -> list[int]:
    """For each block the first trusted node on its way up, by the definition alone."""
    trusted = {*flat_tree.roots(question.since), *question.anchors}
    found = set()
    for block in question.blocks:
        index = flat_tree.node(0, block)
        while index not in trusted and flat_tree.span(index)[1] <= question.length:
            index = flat_tree.parent(index)
        if index in trusted:
            found.add(index)
    return sorted(found)


@given(questions())
def test_a_block_is_shown_against_the_lowest_trusted_node_above_it(question: Question) -> None:
    question.check()
    checks = [index for step, index in plan(question) if step is Step.CHECK]
    assert checks == checked_slowly(question)


@pytest.mark.parametrize("length", range(1, 33))
def test_what_is_not_given_is_computed(length: int) -> None:
    for block in range(length):
        steps = plan(Question(length=length, blocks=Ranges([(block, block + 1)])))
        given_nodes = sum(step is Step.GIVEN for step, _ in steps)
        joins = sum(step is Step.JOIN for step, _ in steps)
        assert joins + length.bit_count() == given_nodes + 1


def given_by_the_plan(question: Question) -> list[int]:
    return [index for step, index in plan(question) if step is Step.GIVEN]


@given(questions())
def test_the_given_nodes_are_those_of_the_plan(question: Question) -> None:
    assert given_nodes(question) == given_by_the_plan(question)


@pytest.mark.parametrize("length", range(1, 20))
def test_the_given_nodes_of_every_range_are_those_of_the_plan(length: int) -> None:
    for since in range(length + 1):
        for start in range(length + 1):
            for stop in range(start, length + 1):
                for signed in {True, since != length}:
                    question = Question(
                        length=length, blocks=Ranges([(start, stop)]), since=since, signed=signed
                    )
                    assert given_nodes(question) == given_by_the_plan(question)


@pytest.mark.parametrize("length", range(1, 18))
def test_a_climb_is_the_plan_of_one_block(length: int) -> None:
    anchors = [
        (),
        *((index,) for index in range(2 * length) if flat_tree.span(index)[1] <= length),
    ]
    for block in range(length):
        for anchor in anchors:
            question = Question(
                length=length,
                blocks=Ranges([(block, block + 1)]),
                since=length,
                anchors=tuple(map(flat_tree.NodeIndex, anchor)),
                signed=False,
            )
            way = climb(question)
            if way is None:  # the anchor lies beside the way
                assert anchor
                assert block not in range(*flat_tree.span(anchor[0]))
            else:
                assert given_by_the_plan(question) == sorted(way[1])
                assert plan(question)[-1] == (Step.CHECK, way[0])


def test_other_questions_are_no_climb() -> None:
    one = Ranges([(3, 4)])
    assert climb(Question(8, one, since=8, signed=False)) is not None
    assert climb(Question(8, one, since=8)) is None
    assert climb(Question(8, Ranges([(3, 5)]), since=8, signed=False)) is None
    hashes = (flat_tree.NodeIndex(0),)
    assert climb(Question(8, one, hashes=hashes, since=8, signed=False)) is None
