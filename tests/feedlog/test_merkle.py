from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import flat_tree, layout
from feedlog.hashing import BLAKE2B, BLAKE3, SUITES, HashSuite
from feedlog.merkle import Roots, subtree
from tests.reference import merkle as reference

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/hypercore_tree.json").read_text())


def vector_blocks(length: int) -> list[bytes]:
    return [b"block %d" % i + b"x" * (37 * i) for i in range(length)]


@pytest.mark.parametrize(("length", "expected"), VECTORS["tree_hashes"].items())
def test_reproduces_the_tree_hashes_of_hypercore(length: str, expected: str) -> None:
    roots = Roots(SUITES[VECTORS["suite"]])
    roots.extend(vector_blocks(int(length)))
    assert roots.tree_hash().hex() == expected


@given(st.lists(st.binary(max_size=40), max_size=70), st.sampled_from([BLAKE3, BLAKE2B]))
def test_equals_the_reference_however_the_blocks_are_batched(
    blocks: list[bytes], suite: HashSuite
) -> None:
    at_once, one_by_one = Roots(suite), Roots(suite)
    at_once.extend(blocks)
    for block in blocks:
        one_by_one.extend([block])
    assert at_once.tree_hash() == one_by_one.tree_hash() == reference.tree_hash(suite, blocks)
    assert at_once.byte_length == sum(map(len, blocks))


@given(st.lists(st.integers(0, 9), max_size=12))
def test_the_tree_hash_of_every_length_on_the_way(batches: list[int]) -> None:
    blocks = vector_blocks(sum(batches))
    roots = Roots(BLAKE3)
    for size in batches:
        start = roots.length
        before = roots.copy()
        roots.extend(blocks[start : start + size])
        assert roots.tree_hash() == reference.tree_hash(BLAKE3, blocks[: roots.length])
        assert before.tree_hash() == reference.tree_hash(BLAKE3, blocks[:start])
        roots = roots.copy()


def test_each_block_completes_the_nodes_that_the_index_arithmetic_says() -> None:
    blocks = vector_blocks(64)
    run = Roots(BLAKE3).extend(blocks)
    expected = reference.nodes(BLAKE3, blocks)
    seen = {}
    for block in range(64):
        for level, node in enumerate(run.column(block)):
            index = flat_tree.node(level, block >> level)
            assert flat_tree.last_block(index) == block
            seen[index] = node
    assert seen == {index: (node.size, node.digest) for index, node in expected.items()}
    assert seen == dict(run.nodes())


@given(st.integers(0, 40), st.lists(st.binary(max_size=40), max_size=70))
def test_a_run_has_the_nodes_that_its_blocks_complete(start: int, blocks: list[bytes]) -> None:
    before = [b"%d" % i for i in range(start)]
    roots = Roots(BLAKE3)
    roots.extend(before)
    run = roots.extend(blocks)
    assert (run.start, run.stop) == (start, start + len(blocks))
    known = {i: (n.size, n.digest) for i, n in reference.nodes(BLAKE3, before + blocks).items()}
    for index, node in known.items():
        assert run.get(index) == (node if flat_tree.last_block(index) >= start else None)
    for block in range(run.start, run.stop):
        levels = range(layout.full_levels(block))
        expected = [known[flat_tree.node(level, block >> level)] for level in levels]
        assert run.column(block) == expected


@pytest.mark.parametrize("start", [0, 8, 16, 24, 56])
@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_a_subtree_is_that_of_the_whole_tree(start: int, width: int) -> None:
    blocks = vector_blocks(64)
    known = {i: (n.size, n.digest) for i, n in reference.nodes(BLAKE3, blocks).items()}
    root, run = subtree(BLAKE3, start, blocks[start : start + width])
    top = flat_tree.node(width.bit_length() - 1, start // width)
    assert root == known[top] == run.get(top)
    assert run.get(flat_tree.parent(top)) is None
    nodes = dict(run.nodes())
    assert nodes == {index: known[index] for index in nodes}
    assert len(nodes) == 2 * width - 1


def test_a_copy_grows_on_its_own() -> None:
    roots = Roots(BLAKE3)
    roots.extend([b"a", b"b", b"c"])
    before = roots.tree_hash()
    roots.copy().extend([b"d"])
    assert roots.tree_hash() == before
