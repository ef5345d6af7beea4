"""Proofs that were altered on the way, or that answer another question."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest

from feedlog import DecodeError, Feed, InvalidProof, Store
from trie import Trie, TrieError, TrieProof, check_trie_proof, check_trie_range


@pytest.fixture
def feed() -> Feed:
    feed = Store.memory().feed("trie")
    trie = Trie(feed, hash_key=bytes(32))
    trie.update({f"pkg/{number}": b"%d" % number for number in range(200)})
    trie["pkg/7"] = b"seven"
    trie["long"] = b"x" * 3000
    return feed


def with_blocks(feed: Feed, proof: TrieProof, blocks: Iterable[int]) -> TrieProof:
    return replace(proof, proof=feed.prove(blocks=blocks, length=proof.version))


def test_a_proof_of_another_feed_or_question(feed: Feed) -> None:
    trie = Trie(feed)
    proof = trie.prove("pkg/7")
    other = Store.memory().feed("other")
    with pytest.raises(InvalidProof):
        check_trie_proof(other.key, "pkg/7", proof)
    with pytest.raises(InvalidProof, match="another key"):
        check_trie_proof(feed.key, "pkg/8", proof)
    with pytest.raises(InvalidProof, match="another listing"):
        check_trie_range(feed.key, "", proof)
    with pytest.raises(InvalidProof, match="another listing"):
        check_trie_range(feed.key, "pkg/7/", trie.prove_range("pkg/7"))
    with pytest.raises(InvalidProof, match="another key"):
        check_trie_proof(feed.key, "pkg", trie.prove_range("pkg"))


def test_relabelling_a_proof_does_not_help(feed: Feed) -> None:
    """The proof of an absent key's path, presented for a key that is there."""
    trie = Trie(feed)
    for number in range(200):
        lie = replace(trie.prove(f"none/{number}"), key=b"pkg/7")
        with pytest.raises(InvalidProof):
            check_trie_proof(feed.key, "pkg/7", lie)


def test_a_block_left_out(feed: Feed) -> None:
    trie = Trie(feed)
    for key in ("pkg/9", "long", "absent"):
        proof = trie.prove(key)
        for index in proof.proof.blocks:
            lacking = with_blocks(feed, proof, [i for i in proof.proof.blocks if i != index])
            with pytest.raises(InvalidProof, match=f"lacks block {index}"):
                check_trie_proof(feed.key, key, lacking)


def test_a_key_left_out_of_a_listing(feed: Feed) -> None:
    trie = Trie(feed)
    proof = trie.prove_range("pkg/")
    for index in list(proof.proof.blocks)[::20]:
        lacking = with_blocks(feed, proof, [i for i in proof.proof.blocks if i != index])
        with pytest.raises(InvalidProof, match=f"lacks block {index}"):
            check_trie_range(feed.key, "pkg/", lacking)


def test_a_block_too_many(feed: Feed) -> None:
    trie = Trie(feed)
    proof = trie.prove("pkg/9")
    spare = next(i for i in range(1, feed.length) if i not in proof.proof.blocks)
    padded = with_blocks(feed, proof, [*proof.proof.blocks, spare])
    with pytest.raises(InvalidProof, match="1 blocks that the lookup does not read"):
        check_trie_proof(feed.key, "pkg/9", padded)


def test_the_head_of_another_version(feed: Feed) -> None:
    """The blocks of the old version under the new head: the root is not among them."""
    trie = Trie(feed)
    old = trie.at(201).prove("pkg/7")
    assert check_trie_proof(feed.key, "pkg/7", old) == b"7"
    mixed = replace(old, proof=feed.prove(blocks=old.proof.blocks))
    with pytest.raises(InvalidProof, match="lacks block"):
        check_trie_proof(feed.key, "pkg/7", mixed)


def test_a_head_inside_a_batch(feed: Feed) -> None:
    """A writer that signs a length at which its own batch is not done."""
    inner = Store.memory().feed("inner")
    inner.extend(feed[0:50])
    with pytest.raises(InvalidProof, match="inside a batch"):
        check_trie_proof(inner.key, "pkg/7", TrieProof(inner.prove(blocks=[0, 49]), key=b"pkg/7"))


def test_any_byte_changed(feed: Feed) -> None:
    data = Trie(feed).prove("pkg/9").to_bytes()
    rng = Random(1)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        with pytest.raises((InvalidProof, DecodeError, TrieError)):
            check_trie_proof(feed.key, "pkg/9", TrieProof.from_bytes(bytes(changed)))
