from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import flat_tree
from feedlog.hashing import BLAKE2B, BLAKE3, SUITES, HashSuite
from feedlog.merkle import Roots
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


def test_each_block_completes_the_nodes_that_the_index_arithmetic_says() -> None:
    blocks = vector_blocks(64)
    columns = Roots(BLAKE3).extend(blocks)
    expected = reference.nodes(BLAKE3, blocks)
    seen = {}
    for block, column in enumerate(columns):
        for level, node in enumerate(column):
            index = flat_tree.node(level, block >> level)
            assert flat_tree.last_block(index) == block
            seen[index] = node
    assert seen == {index: (node.size, node.digest) for index, node in expected.items()}


def test_a_copy_grows_on_its_own() -> None:
    roots = Roots(BLAKE3)
    roots.extend([b"a", b"b", b"c"])
    before = roots.tree_hash()
    roots.copy().extend([b"d"])
    assert roots.tree_hash() == before
