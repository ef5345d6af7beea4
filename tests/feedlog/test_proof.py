"""Proofs on trees small enough to try everything: every length, ranges, node and bit of it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import DecodeError, InvalidProof, KeyPair, Manifest, Proof, Store, check_proof
from feedlog.flat_tree import NodeIndex, roots, span
from feedlog.hashing import BLAKE3
from feedlog.head import Head, sign
from feedlog.merkle import TreeNode
from feedlog.plan import Question, Step, plan
from feedlog.proof import build, verify
from feedlog.proof_codec import MAX_BLOCK_SIZE
from feedlog.ranges import Ranges
from tests.reference import merkle as reference

PAIR = KeyPair.from_seed(bytes(range(32)))
MANIFEST = Manifest((PAIR.public_key,))
KEY = MANIFEST.key()
NOTHING = Ranges()
BLOCKS = [b"block %d" % i * (i % 5) for i in range(65)]


@cache
def tree(length: int) -> dict[int, TreeNode]:
    nodes = reference.nodes(BLAKE3, BLOCKS[:length])
    return {index: (node.size, node.digest) for index, node in nodes.items()}


@cache
def head(length: int, fork: int = 0) -> Head:
    tree_hash = reference.tree_hash(BLAKE3, BLOCKS[:length])
    signatures = sign(KEY, MANIFEST, [PAIR], fork=fork, length=length, tree_hash=tree_hash)
    return Head(fork, length, tree_hash, signatures)


def prove(length: int, ranges: Ranges = NOTHING, seek: int | None = None, **question: Any) -> Proof:
    asked = Question(length=length, blocks=ranges, **question)
    asked.check()
    return build(
        asked,
        0,
        read_nodes=lambda indexes: [tree(length)[index] for index in indexes],
        data=tuple(BLOCKS[i] for i in ranges),
        seek=seek,
        manifest=MANIFEST if asked.signed else None,
        signatures=head(length).signatures if asked.signed else (),
    )


def trusted(proof: Proof) -> dict[NodeIndex, TreeNode]:
    question = proof.question
    known = tree(question.length)
    return {i: known[i] for i in [*roots(question.since), *question.anchors]}


def check(proof: Proof) -> None:
    verified = verify(KEY, proof, manifest=MANIFEST, trusted=trusted(proof))
    assert verified.blocks == {i: BLOCKS[i] for i in proof.question.blocks}
    for index, node in verified.nodes.items():
        assert node == tree(proof.length)[index]
    for run in verified.runs:
        for index, node in run.nodes():
            assert node == tree(proof.length)[index]


ALL_CUTS_TO = 10
"""Up to this length every set of two ranges is tried; the soak run goes on."""


def two_ranges(length: int, all_to: int = ALL_CUTS_TO) -> list[Ranges]:
    """Every set of up to two ranges on a small tree, and a spread of them on a larger one."""
    spread = {0, 1, 2, 5, length // 2, length - 3, length - 1, length}
    cuts = range(length + 1) if length <= all_to else sorted(spread)
    single = [Ranges([pair]) for pair in itertools.combinations(cuts, 2)]
    double = [Ranges([(a, b), (c, d)]) for a, b, c, d in itertools.combinations(cuts, 4)]
    return [Ranges(), *single, *double]


@pytest.mark.parametrize("length", range(65))
def test_every_set_of_two_ranges_is_proven(length: int) -> None:
    for ranges in two_ranges(length):
        proof = Proof.from_bytes(prove(length, ranges).to_bytes())
        check(proof)
        assert check_proof(KEY, proof, blocks=ranges, length=length).head == head(length)


@pytest.mark.parametrize("length", range(1, 65, 3))
def test_every_upgrade_is_proven(length: int) -> None:
    for since in range(length + 1):
        check(prove(length, since=since))
        if since:
            check(prove(length, Ranges([(since - 1, length)]), since=since))
            check(prove(length, Ranges([(0, 1)]), since=since))


@pytest.mark.soak
@pytest.mark.parametrize("length", range(ALL_CUTS_TO + 1, 65))
def test_every_set_of_two_ranges_is_planned_minimally(length: int) -> None:
    for ranges in two_ranges(length, all_to=64):
        steps = plan(Question(length=length, blocks=ranges))
        given = [index for step, index in steps if step is Step.GIVEN]
        assert len(given) == len(set(given)) == minimal(length, ranges)


@pytest.mark.parametrize("length", range(1, 65))
def test_every_node_changed_dropped_or_doubled_is_refused(length: int) -> None:
    for ranges in two_ranges(length, all_to=4)[:: 1 + length // 16]:
        proof = prove(length, ranges)
        nodes = proof.nodes
        for at, (size, digest) in enumerate(nodes):
            flipped = bytes([digest[0] ^ 1]) + digest[1:]
            for forged in (
                (*nodes[:at], (size, flipped), *nodes[at + 1 :]),
                (*nodes[:at], (size + 1, digest), *nodes[at + 1 :]),
                (*nodes[:at], *nodes[at + 1 :]),
                (*nodes[:at], nodes[at], *nodes[at:]),
            ):
                with pytest.raises(InvalidProof):
                    check_proof(KEY, dataclasses.replace(proof, nodes=forged))
        for at, block in enumerate(proof.data):
            forged_data = (*proof.data[:at], block + b"!", *proof.data[at + 1 :])
            with pytest.raises(InvalidProof):
                check_proof(KEY, dataclasses.replace(proof, data=forged_data))


@pytest.mark.parametrize("length", range(1, 40))
def test_no_node_is_sent_twice_and_none_that_the_verifier_can_compute(length: int) -> None:
    for ranges in two_ranges(length):
        given = [
            index
            for step, index in plan(Question(length=length, blocks=ranges))
            if step is Step.GIVEN
        ]
        assert len(given) == len(set(given))
        computable = {
            i for block in ranges for i in tree(length) if span(i)[0] <= block < span(i)[1]
        }
        assert not computable & set(given)
        assert minimal(length, ranges) == len(given)


def minimal(length: int, ranges: Ranges) -> int:
    """Count the maximal subtrees without a wanted block: what any proof must say of the rest."""

    def count(start: int, stop: int) -> int:
        if not any(start <= block < stop for block in ranges):
            return 1
        if stop - start == 1:
            return 0
        middle = (start + stop) // 2
        return count(start, middle) + count(middle, stop)

    return sum(count(*span(root)) for root in roots(length))


@given(st.data())
def test_anchors_shorten_a_proof_and_are_checked(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 64))
    below = sorted(tree(length))
    anchors = sorted(data.draw(st.sets(st.sampled_from(below), max_size=8)))
    pairs = st.tuples(st.integers(0, length), st.integers(0, length))
    ranges = Ranges(data.draw(st.lists(pairs, max_size=4)))
    anchored = prove(length, ranges, since=length, anchors=tuple(anchors), signed=False)
    plain = prove(length, ranges, since=length, signed=False)
    check(anchored)
    check(Proof.from_bytes(anchored.to_bytes()))
    assert len(anchored.nodes) <= len(plain.nodes)
    if anchored.nodes:
        size, digest = anchored.nodes[0]
        forged = ((size, digest[::-1]), *anchored.nodes[1:])
        with pytest.raises(InvalidProof):
            verify(
                KEY,
                dataclasses.replace(anchored, nodes=forged),
                manifest=MANIFEST,
                trusted=trusted(anchored),
            )


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 13])
def test_one_block_is_verified_as_by_a_plan_and_refused_as_by_one(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for block in range(length):
        proof = prove(length, Ranges([(block, block + 1)]), since=length, signed=False)
        known = trusted(proof)
        bad = [dataclasses.replace(proof, data=(b"forged",))]
        for at, (size, digest) in enumerate(proof.nodes):
            for changed in ((size + 1, digest), (size, bytes(32)), (1 << 63, digest)):
                nodes = (*proof.nodes[:at], changed, *proof.nodes[at + 1 :])
                bad.append(dataclasses.replace(proof, nodes=nodes))
        bad.append(dataclasses.replace(proof, nodes=(*proof.nodes, (1, bytes(32)))))
        outcomes = []
        for short in (True, False):
            with monkeypatch.context() as patch:
                if not short:
                    patch.setattr("feedlog.proof.climb", lambda _question: None)
                shown = verify(KEY, proof, manifest=MANIFEST, trusted=known)
                outcomes.append((shown.blocks, shown.nodes))
                for one in bad:
                    with pytest.raises(InvalidProof):
                        verify(KEY, one, manifest=MANIFEST, trusted=known)
                with pytest.raises(InvalidProof, match="not trusted"):
                    verify(KEY, proof, manifest=MANIFEST, trusted={})
        assert outcomes[0] == outcomes[1]


@given(st.data())
def test_hashes_alone_are_proven(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 64))
    wanted = tuple(sorted(data.draw(st.sets(st.sampled_from(sorted(tree(length))), max_size=5))))
    proof = prove(length, hashes=wanted)
    verified = check_proof(KEY, Proof.from_bytes(proof.to_bytes()))
    assert verified.hashes == {index: tree(length)[index][1] for index in wanted}
    for index, node in verified.nodes.items():
        assert node == tree(length)[index]


@given(st.data())
def test_hashes_that_the_reader_trusts_already_are_shown(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 64))
    signed = data.draw(st.booleans())
    since = data.draw(st.integers(1, length)) if signed else length
    anchors = tuple(sorted(data.draw(st.sets(st.sampled_from(sorted(tree(since))), max_size=5))))
    nodes = {*roots(since), *anchors, NodeIndex(0)}
    wanted = tuple(sorted(data.draw(st.sets(st.sampled_from(sorted(nodes))))))
    proof = prove(length, hashes=wanted, since=since, anchors=anchors, signed=signed)
    shown = verify(KEY, proof, manifest=MANIFEST, trusted=trusted(proof)).hashes
    assert shown == {index: tree(length)[index][1] for index in wanted}
    if proof.question.since and wanted:
        with contextlib.suppress(InvalidProof):
            verify(KEY, proof, manifest=MANIFEST, trusted={})


def test_the_size_of_a_bare_hash_is_not_taken_on_trust() -> None:
    """A parent commits to its children's bytes together: moving some over must not be believed."""
    proof = prove(2, hashes=(NodeIndex(0),))
    (left_size, left), (right_size, right) = proof.nodes
    shifted = dataclasses.replace(proof, nodes=((left_size + 3, left), (right_size - 3, right)))
    verified = check_proof(KEY, shifted)
    assert verified.hashes == {0: left}
    assert set(verified.nodes) == {1}


@pytest.mark.parametrize("length", [1, 5, 16, 33])
def test_a_byte_is_found_in_its_block(length: int) -> None:
    starts = list(itertools.accumulate(map(len, BLOCKS[:length]), initial=0))
    for block in range(length):
        for offset in range(len(BLOCKS[block])):
            proof = prove(length, Ranges([(block, block + 1)]), seek=starts[block] + offset)
            assert check_proof(KEY, proof).seek == (block, offset)
        wrong = prove(length, Ranges([(block, block + 1)]), seek=starts[block + 1])
        with pytest.raises(InvalidProof, match="in none of the blocks"):
            check_proof(KEY, wrong)


# Negative vectors by name.

PROOF = prove(21, Ranges([(3, 5), (17, 18)]))


def refused(proof: Proof, why: str, key: bytes = KEY, **asked: Any) -> None:
    with pytest.raises(InvalidProof, match=why):
        check_proof(key, proof, **asked)


def test_swapped_uncles() -> None:
    nodes = (PROOF.nodes[1], PROOF.nodes[0], *PROOF.nodes[2:])
    refused(dataclasses.replace(PROOF, nodes=nodes), "signature")


def test_left_over_node() -> None:
    refused(dataclasses.replace(PROOF, nodes=(*PROOF.nodes, PROOF.nodes[0])), "expected")


def test_wrong_fork() -> None:
    refused(dataclasses.replace(PROOF, fork=1), "signature")
    refused(PROOF, "fork 0, not 1", fork=1)


def test_wrong_length() -> None:
    longer = dataclasses.replace(PROOF.question, length=22)
    refused(dataclasses.replace(PROOF, question=longer), "expected|signature")
    refused(PROOF, "length 21, not 20", length=20)


def test_other_blocks_than_asked() -> None:
    refused(PROOF, "not the blocks asked for", blocks=[3, 4])


def test_another_feed() -> None:
    other = Manifest((KeyPair.from_seed(bytes(32)).public_key,))
    refused(PROOF, "manifest", key=other.key())
    refused(dataclasses.replace(PROOF, manifest=other), "signature", key=other.key())


def test_no_manifest_or_signature() -> None:
    refused(dataclasses.replace(PROOF, manifest=None), "manifest")
    refused(dataclasses.replace(PROOF, signatures=()), "quorum")


def test_a_proof_that_builds_on_trust_does_not_stand_alone() -> None:
    refused(prove(21, since=3), "does not stand alone")
    refused(prove(21, Ranges([(1, 2)]), since=21, signed=False), "does not stand alone")


def test_truncated_and_trailing_bytes() -> None:
    data = PROOF.to_bytes()
    for cut in range(len(data)):
        with pytest.raises(DecodeError):
            Proof.from_bytes(data[:cut])
    with pytest.raises(DecodeError):
        Proof.from_bytes(data + b"\x00")


def test_oversized_block() -> None:
    huge = dataclasses.replace(prove(1, Ranges([(0, 1)])), data=(bytes(MAX_BLOCK_SIZE + 1),))
    with pytest.raises(DecodeError):
        Proof.from_bytes(huge.to_bytes())


@given(st.binary(max_size=300))
def test_any_bytes_are_a_proof_or_a_decode_error(data: bytes) -> None:
    for candidate in (data, b"\x01" + data):
        with contextlib.suppress(DecodeError):
            Proof.from_bytes(candidate)


@given(st.data())
def test_a_mutated_proof_never_shows_anything_false(data: st.DataObject) -> None:
    raw = bytearray(PROOF.to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        verified = check_proof(KEY, Proof.from_bytes(bytes(raw)))
    except (DecodeError, InvalidProof):
        return
    assert verified.head is not None
    assert verified.head.tree_hash == head(21).tree_hash
    for index, block in verified.blocks.items():
        assert block == BLOCKS[index]


def test_a_proof_in_another_form_is_misuse() -> None:
    with Store.memory() as store:
        feed = store.feed("x")
        feed.append(b"block")
        proof = feed.prove(blocks=[0])
    for key, shown in ((feed.id, proof), (feed.key, proof.to_bytes())):
        with pytest.raises(TypeError, match="checked with a key of bytes and a Proof, not "):
            check_proof(key, shown)  # type: ignore[arg-type]  # misuse
