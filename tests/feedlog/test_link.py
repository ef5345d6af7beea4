"""How two heads go together, on every pair of small lengths."""

from __future__ import annotations

import pytest

from feedlog import Feed, ForkConflict, InvalidProof, KeyPair, Store, flat_tree
from feedlog.link import kept_length
from feedlog.proof import Proof, check_proof

PAIR = KeyPair.from_seed(bytes(32))
BLOCKS = [b"block %d" % i for i in range(18)]


def written(length: int, common: int | None = None, fork: int = 0) -> Feed:
    """Make a feed whose blocks from `common` on are other ones."""
    feed = Store.memory().feed(key_pair=PAIR)
    common = length if common is None else common
    for _ in range(fork):
        feed.truncate(0)
    feed.extend([*BLOCKS[:common], *[b"other"] * (length - common)])
    return feed


def linked(ours: Feed, proof: Proof) -> int:
    verified = check_proof(ours.key, proof)
    assert ours.head is not None
    assert verified.head is not None
    with ours._reading() as reader:
        return kept_length(reader, ours._log, ours.head, verified.head, verified, 0)


@pytest.mark.parametrize("length", range(1, 17))
def test_honest_heads(length: int) -> None:
    ours = written(length)
    for other in range(1, 18):
        assert linked(ours, written(other).prove(range(min(length, other)))) == length


@pytest.mark.parametrize("length", range(1, 17))
def test_contradicting_heads(length: int) -> None:
    ours = written(length)
    for other in range(1, 18):
        for common in range(min(length, other)):
            proof = written(other, common).prove(hashes=flat_tree.roots(min(length, other)))
            with pytest.raises(ForkConflict):
                linked(ours, proof)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 13])
def test_newer_forks_keep_the_longest_prefix_that_all_blocks_show(length: int) -> None:
    ours = written(length)
    for other in range(1, 17):
        for common in range(min(length, other) + 1):
            feed = written(other, common, fork=1)
            assert linked(ours, feed.prove(range(other))) == common
            assert linked(ours, feed.prove()) <= common


def test_bare_hashes_do_not_link() -> None:
    """They are not stored, and without them what is below our roots could not be proven on."""
    proof = written(12).prove(hashes=flat_tree.roots(5))
    with pytest.raises(InvalidProof, match="prove it with since=5"):
        linked(written(5), proof)


def test_older_forks() -> None:
    with pytest.raises(InvalidProof, match="fork 0, older than fork 2 known here"):
        linked(written(3, fork=2), written(5).prove())
