"""What a replica takes from a proof, what it refuses, and what it keeps as evidence."""

from __future__ import annotations

import pytest

from feedlog import Feed, InvalidProof, Store

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
