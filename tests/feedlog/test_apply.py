"""What a replica takes from a proof, what it refuses, and what it keeps as evidence."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from feedlog import (
    BlockMissing,
    Feed,
    ForkConflict,
    Head,
    InvalidProof,
    KeyPair,
    Proof,
    Store,
    StoreError,
    check_proof,
    flat_tree,
)

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


class Forger:
    """A writer that signs two histories: two stores, one key pair."""

    def __init__(self) -> None:
        self.pair = KeyPair.generate()
        self.honest = Store.memory().feed(key_pair=self.pair)
        self.forged = Store.memory().feed(key_pair=self.pair)
        self.key = self.honest.key


@pytest.fixture
def forger() -> Forger:
    forger = Forger()
    forger.honest.extend(BLOCKS[:11])
    forger.forged.extend([*BLOCKS[:10], b"forged"])
    return forger


class TestEvidence:
    def check_conflict(self, feed: Feed, right: Head | None) -> None:
        """The conflict is raised for whatever is done in this fork, with both heads."""
        before = (feed.head, feed.have)
        conflict = feed.conflict
        assert conflict is not None
        assert (conflict.left, conflict.right) == (feed.head, right)
        assert str(conflict).startswith("the feed was signed twice in fork 0")
        if feed.writable:
            for change in (lambda: feed.append(b"on"), lambda: feed.truncate(1)):
                with pytest.raises(ForkConflict) as raised:
                    change()
                assert raised.value.right == right
        assert (feed.head, feed.have) == before

    def test_two_heads_of_one_length(self, store: Store, forger: Forger) -> None:
        copy = store.feed(key=forger.key)
        copy.apply(forger.honest.prove(range(3)))
        for _ in range(2):
            with pytest.raises(ForkConflict) as raised:
                copy.apply(forger.forged.prove([10]))
            assert raised.value.left == forger.honest.head
            assert raised.value.right == forger.forged.head
        self.check_conflict(copy, forger.forged.head)
        with pytest.raises(ForkConflict):
            copy.apply(forger.honest.prove([5]))
        assert copy[:3] == BLOCKS[:3]

    @pytest.mark.parametrize("ours_is_longer", [True, False])
    def test_a_head_that_does_not_extend_the_other(
        self, store: Store, forger: Forger, ours_is_longer: bool
    ) -> None:
        copy = store.feed(key=forger.key)
        if ours_is_longer:
            forger.honest.extend(BLOCKS[11:])
            copy.apply(forger.honest.prove(range(23)))
            with pytest.raises(ForkConflict):
                copy.apply(forger.forged.prove())
        else:
            forger.forged.extend(BLOCKS[11:])
            copy.apply(forger.honest.prove())
            with pytest.raises(InvalidProof, match="prove it with since=11"):
                copy.apply(forger.forged.prove())
            with pytest.raises(InvalidProof):
                copy.apply(forger.forged.prove(since=11))
            assert copy.conflict is None
            with pytest.raises(ForkConflict):
                copy.apply(forger.forged.prove(hashes=flat_tree.roots(11)))
        self.check_conflict(copy, forger.forged.head)

    def test_a_block_that_contradicts(self, store: Store, forger: Forger) -> None:
        copy = store.feed(key=forger.key)
        copy.apply(forger.honest.prove())
        forger.forged.extend(BLOCKS[11:])
        with pytest.raises(ForkConflict):
            copy.apply(forger.forged.prove([10]))
        self.check_conflict(copy, forger.forged.head)

    def test_against_the_writer_itself(self, forger: Forger) -> None:
        for feed, other in (
            (forger.honest, forger.forged),
            (forger.forged, forger.honest),
        ):
            with pytest.raises(ForkConflict):
                feed.apply(other.prove(range(3)))
            self.check_conflict(feed, other.head)
            assert feed.have == [range(11)]

    @pytest.mark.parametrize("longer", [True, False])
    def test_it_survives_a_restart(
        self, reopen: Callable[..., Store], forger: Forger, longer: bool
    ) -> None:
        if longer:
            forger.forged.extend(BLOCKS[11:])
        copy = reopen().feed(key=forger.key)
        copy.apply(forger.honest.prove([0]))
        with pytest.raises(ForkConflict):
            copy.apply(forger.forged.prove([10]))
        copy = reopen().feed(key=forger.key)
        self.check_conflict(copy, forger.forged.head)
        with pytest.raises(ForkConflict) as raised:
            copy.apply(forger.honest.prove([1]))
        assert (raised.value.left, raised.value.right) == (copy.head, forger.forged.head)
        copy = reopen(read_only=True).feed(key=forger.key)
        self.check_conflict(copy, forger.forged.head)

    def test_it_is_part_of_the_transaction_that_finds_it(
        self, store: Store, forger: Forger
    ) -> None:
        copy = store.feed(key=forger.key)
        copy.apply(forger.honest.prove())

        def let_it_through() -> None:
            with store.transaction():
                copy.apply(forger.forged.prove())

        with pytest.raises(ForkConflict):
            let_it_through()
        assert copy.conflict is None
        with store.transaction(), pytest.raises(ForkConflict):
            copy.apply(forger.forged.prove())
        self.check_conflict(copy, forger.forged.head)

    def test_the_first_evidence_stays(self, store: Store, forger: Forger) -> None:
        copy = store.feed(key=forger.key)
        copy.apply(forger.honest.prove())
        third = Store.memory().feed(key_pair=forger.pair)
        third.extend([b"third"] * 11)
        for other in (forger.forged, third):
            with pytest.raises(ForkConflict) as raised:
                copy.apply(other.prove())
            assert raised.value.right == forger.forged.head

    def test_a_newer_fork_settles_it(self, store: Store, forger: Forger) -> None:
        copy = store.feed(key=forger.key)
        copy.apply(forger.honest.prove(range(11)))
        with pytest.raises(ForkConflict):
            copy.apply(forger.forged.prove())
        forger.honest.truncate(10)
        copy.apply(forger.honest.prove())
        assert copy.conflict is None
        assert (copy.fork, copy.have) == (1, [range(10)])
        forger.honest.append(b"on")
        copy.apply(forger.honest.prove([10], since=10))


class TestKeepingWhatIsCommon:
    @pytest.mark.parametrize("length", range(1, 24))
    def test_with_a_proof_from_scratch(self, theirs: Feed, copy: Feed, length: int) -> None:
        """The head's own roots are enough for all but the last few blocks."""
        theirs.extend(BLOCKS)
        copy.apply(theirs.prove(range(23)))
        theirs.truncate(length)
        copy.apply(theirs.prove())
        assert copy.have == [range(length)]
        theirs.append(b"other")
        copy.apply(theirs.prove([length]))
        assert list(copy) == [*BLOCKS[:length], b"other"]
        assert check_proof(copy.key, copy.prove(range(length + 1))).fork == 1

    def test_as_far_as_it_is_shown(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS)
        copy.apply(theirs.prove(range(23)))
        theirs.truncate(21)
        theirs.extend([b"other"] * 4)
        copy.apply(theirs.prove())  # its roots are those of 25 blocks: 16, 8 and 1
        assert copy.have == [range(16)]

    def test_blocks_show_more(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS)
        copy.apply(theirs.prove(range(23)))
        theirs.truncate(21)
        theirs.extend([b"other"] * 4)
        copy.apply(theirs.prove(range(16, 21)))
        assert copy.have == [range(21)]

    def test_sparse_replicas_keep_what_they_had(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS)
        copy.apply(theirs.prove([2, 17, 22]))
        theirs.truncate(20)
        theirs.append(b"other")
        copy.apply(theirs.prove())
        assert copy.have == [range(2, 3), range(17, 18)]
        assert copy[17] == BLOCKS[17]
        copy.apply(theirs.prove(range(21), since=21, signed=False))
        assert list(copy) == list(theirs)

    def test_nothing_is_common(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS)
        copy.apply(theirs.prove(range(23)))
        theirs.truncate(0)
        theirs.extend([b"all", b"new"])
        copy.apply(theirs.prove([1]))
        assert copy.have == [range(1, 2)]
        assert [head.length for head in copy.heads()] == [2]

    def test_the_same_blocks_appended_again_are_common(self, theirs: Feed, copy: Feed) -> None:
        theirs.extend(BLOCKS)
        copy.apply(theirs.prove(range(23)))
        theirs.truncate(5)
        theirs.extend([*BLOCKS[5:20], b"other"])
        copy.apply(theirs.prove(since=5))
        assert copy.have == [range(20)]
        assert copy[:20] == BLOCKS[:20]
        assert copy.audit().fault is None


class TestWritersWithoutTheirBlocks:
    """A writer whose store is older than its feed holds only what it is given."""

    def test_a_backup_catches_up(self, store: Store, elsewhere: Store) -> None:
        pair = KeyPair.generate()
        backup, feed = store.feed(key_pair=pair), elsewhere.feed(key_pair=pair)
        feed.extend(BLOCKS[:5])
        backup.apply(feed.prove([3]))
        assert backup.have == [range(3, 4)]
        feed.extend(BLOCKS[5:])
        backup.apply(feed.prove([20], since=5))
        assert backup.have == [range(3, 4), range(20, 21)]
        assert backup.append(b"on") == 23
        assert backup.have == [range(3, 4), range(20, 21), range(23, 24)]

    def test_a_newer_fork(self, store: Store, elsewhere: Store) -> None:
        pair = KeyPair.generate()
        backup, feed = store.feed(key_pair=pair), elsewhere.feed(key_pair=pair)
        for one in (backup, feed):
            one.extend(BLOCKS)
        feed.truncate(8)
        feed.extend([b"other"] * 9)
        backup.apply(feed.prove([16], since=8))
        assert backup.have == [range(8), range(16, 17)]
        with pytest.raises(BlockMissing):
            backup[8]
