"""Sizes in a proof that no feed could have: the sums must not leave the numbers' range."""

from __future__ import annotations

import dataclasses

import pytest

from feedlog import DecodeError, InvalidProof, KeyPair, Manifest, Proof, Store, check_proof
from feedlog.head import sign
from feedlog.merkle import Roots
from feedlog.plan import Question
from feedlog.proof_codec import MAX_BYTES


@pytest.mark.parametrize("length", [3, 4, 8, 21])
@pytest.mark.parametrize("size", [MAX_BYTES, MAX_BYTES // 2, MAX_BYTES // 3])
def test_sums_past_the_largest_feed_are_refused(length: int, size: int) -> None:
    with Store.memory() as store:
        feed = store.feed("log")
        feed.extend([b"block"] * length)
        proof = feed.prove([0])
        forged = dataclasses.replace(proof, nodes=tuple((size, node) for _, node in proof.nodes))
        copy = Store.memory().feed(key=feed.key)
        for attempt in (lambda p: check_proof(feed.key, p), copy.apply):
            with pytest.raises(InvalidProof, match=r"bytes|signature"):
                attempt(Proof.from_bytes(forged.to_bytes()))
        assert len(copy) == 0


def test_a_signer_cannot_vouch_for_more_bytes_than_there_can_be() -> None:
    """The writer itself signs roots whose sizes add up to more than a store can count."""
    with Store.memory() as store:
        feed = store.feed("log")
        feed.extend([b"block"] * 7)
        proof = feed.prove()
        nodes = tuple((MAX_BYTES, digest) for _, digest in proof.nodes)
        assert feed.manifest is not None
        tree_hash = Roots(feed.manifest.suite, 7, nodes).tree_hash()
        signatures = sign(
            feed.key, feed.manifest, feed._signers, fork=0, length=7, tree_hash=tree_hash
        )
        forged = dataclasses.replace(proof, nodes=nodes, signatures=signatures)
        copy = Store.memory().feed(key=feed.key)
        with pytest.raises(InvalidProof, match="bytes"):
            copy.apply(Proof.from_bytes(forged.to_bytes()))
        assert copy.head is None


def test_a_signer_cannot_write_into_the_next_feeds_keys() -> None:
    """A head of 2^40 blocks would have the key of the next feed's head of none."""
    pair = KeyPair.generate()
    manifest = Manifest((pair.public_key,))
    question = Question(length=2**40)
    root = (1, bytes(32))
    tree_hash = Roots(manifest.suite, 2**40, [root]).tree_hash()
    signatures = sign(manifest.key(), manifest, [pair], fork=0, length=2**40, tree_hash=tree_hash)
    proof = Proof(question, 0, (root,), manifest=manifest, signatures=signatures)
    check_proof(manifest.key(), proof)
    with pytest.raises(DecodeError, match="1099511627775"):
        Proof.from_bytes(proof.to_bytes())
