"""Batches that several have to sign: 2 of 3, in any order, on their own machines."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import (
    DecodeError,
    Draft,
    Feed,
    InvalidProof,
    KeyPair,
    Manifest,
    NotWritable,
    Store,
    check_proof,
)
from feedlog.hashing import BLAKE2B, head_signable

PAIRS = [KeyPair.from_seed(bytes([i]) * 32) for i in range(4)]
FOREIGN = PAIRS[3]
MANIFEST = Manifest(tuple(pair.public_key for pair in PAIRS[:3]), quorum=2)


@pytest.fixture
def shared(store: Store) -> Feed:
    return store.feed("shared", manifest=MANIFEST)


def signed_by(draft: Draft, *signers: int) -> Draft:
    """Send the draft to each signer in turn, as bytes."""
    for signer in signers:
        received = Draft.from_bytes(draft.to_bytes())
        received.sign(PAIRS[signer])
        draft = Draft.from_bytes(received.to_bytes())
    return draft


class TestQuorum:
    def test_two_of_three(self, shared: Feed) -> None:
        assert not shared.writable
        with pytest.raises(NotWritable, match="2 of its signers' secret keys"):
            shared.append(b"alone")
        for start, signers in enumerate([(0, 1), (2, 0), (1, 2), (2, 1, 0)]):
            draft = signed_by(shared.draft([b"block %d" % start]), *signers)
            assert draft.complete
            assert shared.commit(draft) == range(start, start + 1)
            assert shared.head is not None
            assert len(shared.head.signatures) == 2
        assert list(shared) == [b"block %d" % i for i in range(4)]
        assert [head.length for head in shared.heads()] == [1, 2, 3, 4]
        assert check_proof(shared.key, shared.prove([2])).blocks == {2: b"block 2"}
        assert shared.audit().fault is None

    def test_a_batch(self, shared: Feed) -> None:
        shared.commit(signed_by(shared.draft([b"a", b"", bytes(5000)]), 0, 1))
        assert shared.commit(signed_by(shared.draft(iter([b"b"] * 9)), 1, 2)) == range(3, 12)
        assert shared[2:5] == [bytes(5000), b"b", b"b"]
        assert shared.have == [range(12)]

    def test_collecting_from_signers_apart(self, shared: Feed) -> None:
        draft = shared.draft([b"a"])
        sent = draft.to_bytes()
        for signer in (2, 0):
            received = Draft.from_bytes(sent)
            received.sign(PAIRS[signer])
            ((place, signature),) = received.signatures
            draft.add(place, signature)
        assert [place for place, _ in draft.signatures] == [0, 2]
        shared.commit(draft)

    def test_too_few(self, shared: Feed) -> None:
        draft = shared.draft([b"a"])
        for signers in ((), (1,)):
            signed = signed_by(draft, *signers)
            assert not signed.complete
            message = f"draft has {len(signers)} signatures, the quorum is 2"
            with pytest.raises(InvalidProof, match=message):
                shared.commit(signed)
        assert shared.head is None

    def test_one_signer_counts_once(self, shared: Feed) -> None:
        draft = signed_by(shared.draft([b"a"]), 1, 1)
        ((place, signature),) = draft.signatures
        draft.add(place, signature)
        assert not draft.complete

    def test_two_signers_in_one_store_write_as_one(self, store: Store) -> None:
        for pair in PAIRS[:2]:
            feed = store.feed(manifest=MANIFEST, key_pair=pair)
        assert feed.writable
        feed.append(b"a")
        feed.truncate(0)
        feed.append(b"b")
        assert feed.commit(signed_by(feed.draft([b"c"]), 2, 1)) == range(1, 2)
        assert list(feed) == [b"b", b"c"]
        feed.truncate(0)
        assert feed.commit(signed_by(feed.draft([b"d"]), 0, 1)) == range(1)
        assert feed.fork == 2


class TestSigning:
    def test_foreign_signers(self, shared: Feed) -> None:
        draft = shared.draft([b"a"])
        with pytest.raises(ValueError, match="not one of the feed's signers"):
            draft.sign(FOREIGN)
        with pytest.raises(InvalidProof, match="signature of signer 1 on the draft is not valid"):
            draft.add(1, FOREIGN.sign(draft.signable))
        with pytest.raises(InvalidProof, match="signature of signer 1"):
            draft.add(1, PAIRS[0].sign(draft.signable))
        for place in (3, -1):
            with pytest.raises(ValueError, match=f"signer {place} is not one of 3"):
                draft.add(place, bytes(64))
        assert draft.signatures == ()

    def test_what_is_signed(self, shared: Feed) -> None:
        shared.commit(signed_by(shared.draft([b"a"]), 0, 1))
        draft = Draft.from_bytes(shared.draft([b"b", b"c"]).to_bytes())
        assert (draft.key, draft.start, draft.length, draft.fork) == (shared.key, 1, 3, 0)
        assert draft.blocks == (b"b", b"c")
        assert draft.base_head == shared.head
        assert draft.signable == head_signable(shared.key, draft.tree_hash, 3, 0)
        shared.commit(signed_by(draft, 0, 1))
        assert shared.root_hash() == draft.tree_hash

    def test_another_hash(self, store: Store) -> None:
        manifest = Manifest(MANIFEST.signers, quorum=1, suite=BLAKE2B)
        feed = store.feed(manifest=manifest)
        for block in (b"a", b"b", b"c"):
            feed.commit(signed_by(feed.draft([block]), 1))
        assert feed.audit().fault is None

    def test_a_key_that_is_elsewhere(self, store: Store) -> None:
        pair = KeyPair.generate()
        feed = store.feed(manifest=Manifest((pair.public_key,)))
        assert not feed.writable
        draft = feed.draft([b"a"])
        draft.add(0, pair.sign(draft.signable))
        feed.commit(draft)
        assert list(feed) == [b"a"]

    def test_an_encrypted_feed_is_signed_unread(self, store: Store) -> None:
        feed = store.feed(manifest=MANIFEST, encryption_key=b"k" * 32)
        draft = feed.draft([b"hidden"])
        assert b"hidden" not in draft.to_bytes()
        feed.commit(signed_by(draft, 0, 2))
        assert feed[0] == b"hidden"

    def test_it_shows_how_far_it_is(self, shared: Feed) -> None:
        draft = signed_by(shared.draft([b"a", b"b"]), 2)
        assert repr(draft) == "<Draft of blocks 0..2 fork=0 signatures=1/2>"


class TestCommitting:
    def test_a_stale_draft(self, shared: Feed) -> None:
        first = signed_by(shared.draft([b"a"]), 0, 1)
        second = signed_by(shared.draft([b"b", b"c"]), 0, 1)
        shared.commit(first)
        for draft in (first, second):
            with pytest.raises(InvalidProof, match="follows length 0 of fork 0; the feed has 1"):
                shared.commit(draft)
        assert shared.conflict is None
        assert list(shared) == [b"a"]
        shared.commit(signed_by(shared.draft([b"b"]), 0, 1))

    def test_a_draft_of_another_fork(self, store: Store) -> None:
        for pair in PAIRS[:2]:
            feed = store.feed(manifest=MANIFEST, key_pair=pair)
        feed.append(b"a")
        draft = signed_by(feed.draft([b"b"]), 0, 1)
        feed.truncate(1)
        with pytest.raises(InvalidProof, match="the feed has 1 blocks of fork 1"):
            feed.commit(draft)

    def test_a_draft_of_another_feed(self, store: Store, shared: Feed) -> None:
        other = store.feed(manifest=Manifest(MANIFEST.signers, quorum=1))
        with pytest.raises(ValueError, match=other.id):
            shared.commit(signed_by(other.draft([b"a"]), 0, 1))

    def test_on_a_replica_that_is_up_to_date(self, shared: Feed, elsewhere: Store) -> None:
        shared.commit(signed_by(shared.draft([b"a", b"b", b"c"]), 0, 1))
        copy = elsewhere.feed(key=shared.key)
        with pytest.raises(ValueError, match="manifest, which names its signers"):
            copy.draft([b"d"])
        copy.apply(shared.prove([1]))
        copy.commit(signed_by(copy.draft([b"d"]), 0, 1))
        assert copy.have == [range(1, 2), range(3, 4)]
        shared.apply(copy.prove([3], since=3))
        assert shared[3] == b"d"

    def test_in_a_transaction(self, store: Store, shared: Feed) -> None:
        draft = signed_by(shared.draft([b"a"]), 0, 1)
        with store.transaction():
            shared.commit(draft)
            assert len(shared) == 0
        assert len(shared) == 1

    def test_blocks_that_are_none(self, shared: Feed) -> None:
        with pytest.raises(ValueError, match="1 to 65536 blocks, not 0"):
            shared.draft([])
        with pytest.raises(ValueError, match="not 65537"):
            shared.draft([b""] * 65537)
        with pytest.raises(TypeError, match="a block is bytes, not str"):
            shared.draft(["text"])  # type: ignore[list-item]  # that is the point


def sent_draft() -> bytes:
    with Store.memory() as store:
        feed = store.feed(manifest=MANIFEST)
        feed.commit(signed_by(feed.draft([b"a", b"b", b"c"]), 0, 1))
        return signed_by(feed.draft([b"d", b"e"]), 2).to_bytes()


SENT = sent_draft()


class TestBytes:
    def test_every_truncation(self) -> None:
        for cut in range(len(SENT)):
            with pytest.raises(DecodeError):
                Draft.from_bytes(SENT[:cut])
        with pytest.raises(DecodeError):
            Draft.from_bytes(SENT + b"\0")

    @given(st.data())
    def test_a_mutated_draft_is_refused_or_asks_for_what_it_shows(
        self, data: st.DataObject
    ) -> None:
        raw = bytearray(SENT)
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= data.draw(st.integers(1, 255))
        with contextlib.suppress(DecodeError, InvalidProof):
            draft = Draft.from_bytes(bytes(raw))
            assert draft.base_head is not None
            assert draft.blocks == (b"d", b"e")
            assert draft.key == MANIFEST.key()

    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        for candidate in (data, b"\1" + data, b"\1\x95" + data):
            with contextlib.suppress(DecodeError, InvalidProof):
                Draft.from_bytes(candidate)

    def test_a_base_that_shows_more(self) -> None:
        with Store.memory() as store:
            feed = store.feed(key_pair=PAIRS[0])
            feed.append(b"a")
            assert feed.manifest is not None
            fields = (feed.manifest.to_bytes(), 0, feed.prove([0]).to_bytes(), (b"b",), ())
            with pytest.raises(InvalidProof, match="shows more than a head"):
                Draft.from_bytes(b"\1" + msgspec.msgpack.encode(fields))

    def test_forged_bases(self) -> None:
        manifest, fork, base, blocks, signatures = msgspec.msgpack.decode(SENT[1:])
        for forged, message in (
            ((manifest, 1, base, blocks, signatures), "proof is of fork 0, not 1"),
            ((manifest, 1, b"", blocks, ()), "first batch is of fork 0, not 1"),
            ((manifest, fork, b"", blocks, signatures), "signature of signer 2 on the draft"),
            ((manifest, fork, base, blocks, [(7, bytes(64))]), "signer 7 is not one of 3"),
            (
                (Manifest(MANIFEST.signers).to_bytes(), fork, base, blocks, ()),
                "manifest that hashes to the feed's key",
            ),
        ):
            with pytest.raises(InvalidProof, match=message):
                Draft.from_bytes(b"\1" + msgspec.msgpack.encode(forged))
