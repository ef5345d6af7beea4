"""Many proofs in one transaction, and one bad one among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from feedlog import InvalidProof, Proof, Store
from feedlog.errors import StoreError
from feedlog.proof import Verified
from net.replicate.storing import store_proofs


def proofs(store: Store) -> list[Proof]:
    feed = store.feed("log")
    feed.extend(b"block %d" % i for i in range(20))
    base = feed.prove()
    return [
        base,
        *(
            feed.prove(blocks=range(at, at + 5), since=20, length=20, signed=False)
            for at in range(0, 20, 5)
        ),
    ]


def test_all_are_stored_in_order(stores: Callable[[], Store]) -> None:
    ours, theirs = stores(), stores()
    given = proofs(ours)
    copy = theirs.feed(key=ours.feed("log").key)
    outcomes = store_proofs(copy, given, theirs.transaction)
    assert all(isinstance(outcome, Verified) for outcome in outcomes)
    assert list(copy) == list(ours.feed("log"))


@pytest.mark.parametrize("bad", range(1, 5))
def test_a_bad_one_is_found_and_the_others_are_stored(
    stores: Callable[[], Store], bad: int
) -> None:
    ours, theirs = stores(), stores()
    given = proofs(ours)
    given[bad] = replace(given[bad], data=(b"forged", *given[bad].data[1:]))
    copy = theirs.feed(key=ours.feed("log").key)
    outcomes = store_proofs(copy, given, theirs.transaction)
    assert [isinstance(outcome, InvalidProof) for outcome in outcomes] == [
        place == bad for place in range(5)
    ]
    assert sum(map(len, copy.have)) == 15


def test_the_disk_fails_for_all(
    stores: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = stores(), stores()
    given = proofs(ours)
    copy = theirs.feed(key=ours.feed("log").key)

    def full(_proof: Proof) -> None:
        raise StoreError("no space left")

    monkeypatch.setattr(copy, "apply", full)
    outcomes = store_proofs(copy, given, theirs.transaction)
    assert all(isinstance(outcome, StoreError) for outcome in outcomes)
    assert len(outcomes) == 5
