from __future__ import annotations

import os
from pathlib import Path

import pytest

from feedlog import InvalidProof, Store, check_proof
from feedlog_cli.errors import CommandError
from feedlog_cli.tampering import flip_bit

BLOCKS = [b"small", os.urandom(65516), b"", b"last", b"twice" * 30, b"twice" * 30 + b"."]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Store(tmp_path / "store") as store:
        store.feed("news").extend(BLOCKS)
    return tmp_path / "store"


@pytest.mark.parametrize("block", [0, 1, 3, 4])
def test_one_bit_is_turned_and_the_store_does_not_notice(path: Path, block: int) -> None:
    with Store(path) as store:
        key = store.feed("news").key
    flip_bit(path, key, block)
    with Store(path) as store:
        feed = store.feed("news")
        assert [at for at, one in enumerate(feed) if one != BLOCKS[at]] == [block]
        difference = zip(feed[block], BLOCKS[block], strict=True)
        assert [a ^ b for a, b in difference if a != b] == [1]
        with pytest.raises(InvalidProof):
            check_proof(feed.key, feed.prove(blocks=[block]))
        check_proof(feed.key, feed.prove(blocks=[2]))


def test_a_block_that_is_not_there(path: Path) -> None:
    with Store(path) as store:
        key = store.feed("news").key
    with pytest.raises(IndexError, match="past the end"):
        flip_bit(path, key, 6)
    with pytest.raises(CommandError, match="block 2 has no bits"):
        flip_bit(path, key, 2)
