"""What a replica takes from a proof, what it refuses, and what it keeps as evidence."""

from __future__ import annotations

import random

import pytest

from feedlog import BlockMissing, Feed, InvalidProof, Proof, Store, StoreError

BLOCKS = [b"block %d" % i * (1 + i % 4) for i in range(23)]


@pytest.fixture
def copy(store: Store, theirs: Feed) -> Feed:
    return store.feed(key=theirs.key)


@pytest.fixture
def theirs(elsewhere: Store) -> Feed:
    return elsewhere.feed("theirs")


class TestInATransaction:
    def test_one_proof_builds_on_the_other(self, store: Store, theirs: Feed, copy: Feed) -> None:
        theirs.append(b"a")
        first = theirs.prove([0])
        theirs.append(b"b")
        second = theirs.prove([1], since=1)
        with store.transaction():
            copy.apply(first)
            copy.apply(second)
        assert list(copy) == [b"a", b"b"]

    def test_a_refused_proof_leaves_nothing_of_it(
        self, store: Store, theirs: Feed, copy: Feed
    ) -> None:
        theirs.extend(BLOCKS)
        good = theirs.prove([0])
        wrong = theirs.prove([0], since=12)

        def apply_both() -> None:
            with store.transaction():
                copy.apply(good)
                copy.apply(wrong)

        theirs.truncate(3)
        theirs.extend(BLOCKS)
        wrong = theirs.prove([0], since=12)
        with pytest.raises(InvalidProof):
            apply_both()
        assert len(copy) == 0

    def test_a_purged_or_rolled_back_feed_takes_nothing(self, store: Store, theirs: Feed) -> None:
        theirs.extend(BLOCKS)
        made: list[Feed] = []

        def make_and_fail() -> None:
            with store.transaction():
                made.append(store.feed(key=theirs.key))
                raise RuntimeError("power failure")

        with pytest.raises(RuntimeError):
            make_and_fail()
        with pytest.raises(StoreError, match="not in the store"):
            made[0].apply(theirs.prove())


class TestFollowing:
    def test_blocks_in_any_order(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS)
        order = list(range(23))
        random.Random(1).shuffle(order)
        for done, index in enumerate(order, 1):
            verified = copy.apply(Proof.from_bytes(theirs.prove([index]).to_bytes()))
            assert verified.blocks == {index: BLOCKS[index]}
            assert sum(map(len, copy.have)) == done
        assert list(copy) == BLOCKS
        assert copy.head == theirs.head
        assert copy.byte_length == theirs.byte_length

    @pytest.mark.parametrize("since", [1, 2, 5, 8, 16, 23])
    def test_the_short_way(self, theirs: Feed, copy: Feed, since: int) -> None:
        theirs.extend(BLOCKS[:since])
        copy.apply(theirs.prove())
        theirs.extend(BLOCKS[since:])
        copy.apply(theirs.prove(since=since))
        copy.apply(theirs.prove(range(23), since=23, anchors=copy.anchors(range(23)), signed=False))
        assert list(copy) == BLOCKS
        assert copy.root_hash(since) == theirs.root_hash(since)

    def test_a_replica_serves_what_it_holds(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS)
        copy.apply(theirs.prove(range(4, 9)))
        third = Store.memory().feed(key=theirs.key)
        third.apply(copy.prove([4, 8]))
        assert third.have == [range(4, 5), range(8, 9)]
        with pytest.raises(BlockMissing) as missing:
            copy.prove([3])
        assert missing.value.index == 3
        with pytest.raises(BlockMissing, match="tree node"):
            copy.prove(hashes=[0])

    def test_an_old_head_is_taken_where_ours_extends_it(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS[:9])
        old = theirs.prove([2])
        theirs.extend(BLOCKS[9:])
        copy.apply(theirs.prove(range(23)))
        copy.clear(0, 9)
        copy.apply(old)
        assert len(copy) == 23
        assert copy[2] == BLOCKS[2]
        assert [head.length for head in copy.heads()] == [9, 23]

    def test_an_old_head_whose_roots_are_not_here(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS[:9])
        old = theirs.prove([2])
        theirs.extend(BLOCKS[9:])
        copy.apply(theirs.prove())
        with pytest.raises(InvalidProof, match="head of length 9 cannot be linked to length 23"):
            copy.apply(old)
        assert copy.have == []

    def test_a_longer_head_must_be_shown_to_extend_ours(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS[:11])
        copy.apply(theirs.prove())
        theirs.extend(BLOCKS[11:])
        with pytest.raises(InvalidProof, match="prove it with since=11"):
            copy.apply(theirs.prove([20]))
        copy.apply(theirs.prove(range(8, 11)))
        assert len(copy) == 23

    def test_a_proof_from_the_future(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS)
        for since in (5, 23):
            with pytest.raises(InvalidProof, match=f"length {since}, known here is 0"):
                copy.apply(theirs.prove(since=since))

    def test_what_is_held_is_not_fetched_again(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend([*BLOCKS, bytes(5000)])
        proof = theirs.prove([3, 23])
        for _ in range(2):
            copy.apply(proof)
            assert copy.have == [range(3, 4), range(23, 24)]
            assert copy[23] == bytes(5000)


class TestForks:
    def test_a_newer_fork_replaces_what_differs(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS)
        copy.apply(theirs.prove(range(23)))
        theirs.truncate(10)
        theirs.extend([b"other", b"end"])
        copy.apply(theirs.prove([11], since=10))
        assert (copy.fork, copy.length) == (1, 12)
        assert copy.have == [range(10), range(11, 12)]
        assert copy[:10] == BLOCKS[:10]
        assert copy[11] == b"end"
        with pytest.raises(BlockMissing):
            copy[10]

    def test_an_older_fork_is_refused(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS)
        old = theirs.prove([22])
        theirs.truncate(10)
        copy.apply(theirs.prove())
        with pytest.raises(InvalidProof, match="fork 0, older than fork 1 known here"):
            copy.apply(old)

    def test_blocks_of_an_older_fork_are_refused(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS)
        old = theirs.prove([22], since=23, signed=False)
        theirs.truncate(22)
        theirs.append(b"other")
        copy.apply(theirs.prove())
        with pytest.raises(InvalidProof, match="proof is of fork 0, known here is fork 1"):
            copy.apply(old)
