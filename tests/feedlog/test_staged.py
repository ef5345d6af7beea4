"""Verified blocks that wait for their transaction: seen by readers, written by a flush."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedlog import BlockMissing, Feed, InvalidProof, Proof, Store, flat_tree
from feedlog import staged as module
from feedlog.apply import apply
from feedlog.errors import StoreError

BLOCKS = [b"block %d" % i * (1 + i % 4) for i in range(50)]


@pytest.fixture
def theirs(elsewhere: Store) -> Feed:
    feed = elsewhere.feed("theirs")
    feed.extend(BLOCKS)
    return feed


@pytest.fixture
def copy(store: Store, theirs: Feed) -> Feed:
    feed = store.feed(key=theirs.key)
    feed.apply(theirs.prove())
    return feed


def accept(copy: Feed, theirs: Feed, *blocks: int) -> None:
    length = copy.length
    anchors = copy.anchors(blocks)
    copy.accept(theirs.prove(blocks, since=length, length=length, anchors=anchors, signed=False))


def waits(feed: Feed) -> bool:
    return bool(feed._staging.batches)


def test_a_block_is_read_while_it_waits(copy: Feed, theirs: Feed) -> None:
    for index in (7, 3, 40):
        accept(copy, theirs, index)
    assert [copy[index] for index in (3, 7, 40)] == [BLOCKS[index] for index in (3, 7, 40)]
    assert waits(copy)
    with pytest.raises(BlockMissing):
        copy[8]


@pytest.mark.parametrize(
    "read",
    [
        lambda feed: feed.has(7),
        lambda feed: feed.has(7, 8) and feed.have == [range(7, 8)] and waits(feed),
        lambda feed: feed[7:8] == [BLOCKS[7]],
        lambda feed: bool(feed.prove([7]).data),
        lambda feed: feed.snapshot()[7] == BLOCKS[7],
        lambda feed: next(feed.follow(7, wait=lambda: True)) == BLOCKS[7],
        lambda feed: feed.audit().fault is None and not waits(feed),
        lambda feed: feed.clear(7, 8) is None and not feed.has(7),
    ],
    ids=["has", "have", "slice", "prove", "snapshot", "follow", "audit", "clear"],
)
def test_every_way_of_reading_sees_it(copy: Feed, theirs: Feed, read: object) -> None:
    accept(copy, theirs, 7)
    assert callable(read)
    assert read(copy)


def test_proving_what_is_stored_does_not_write(copy: Feed, theirs: Feed) -> None:
    accept(copy, theirs, 7)
    copy.flush()
    accept(copy, theirs, 9)
    assert copy.prove([7]).data == (BLOCKS[7],)
    assert waits(copy)


def test_a_flush_stores_everything(copy: Feed, theirs: Feed) -> None:
    for index in range(0, 50, 3):
        accept(copy, theirs, index)
    accept(copy, theirs, 13, 14, 20, 21, 22)
    copy.flush()
    copy.flush()
    assert not waits(copy)
    held = [i for part in copy.have for i in part]
    assert held == sorted({*range(0, 50, 3), 13, 14, 20, 21, 22})
    assert all(copy[index] == BLOCKS[index] for index in held)
    assert copy.audit().fault is None


def test_closing_the_store_flushes(tmp_path: Path, theirs: Feed) -> None:
    with Store(tmp_path) as store:
        copy = store.feed(key=theirs.key)
        copy.apply(theirs.prove())
        accept(copy, theirs, 7)
    with Store(tmp_path) as store:
        assert store.feed(key=theirs.key)[7] == BLOCKS[7]


def test_a_false_proof_is_refused_at_once(copy: Feed, theirs: Feed, elsewhere: Store) -> None:
    other = elsewhere.feed("other")
    other.extend([b"forged"] * 50)
    with pytest.raises(InvalidProof):
        copy.accept(other.prove([7], since=50, length=50, signed=False))
    assert not waits(copy)
    accept(copy, theirs, 7)
    assert copy[7] == BLOCKS[7]


def test_what_brings_a_head_is_applied_at_once(copy: Feed, theirs: Feed) -> None:
    accept(copy, theirs, 7)
    theirs.append(b"new")
    copy.accept(theirs.prove([50], since=50))
    assert not waits(copy)
    assert copy.length == 51
    assert (copy[7], copy[50]) == (BLOCKS[7], b"new")


def apply_elsewhere(copy: Feed, proof: Proof) -> None:
    """Change the stored feed as another process does: behind the object's back."""
    apply(copy._storage, copy._log, copy.key, copy.manifest, proof)


def test_the_feed_may_grow_meanwhile(copy: Feed, theirs: Feed) -> None:
    accept(copy, theirs, 7)
    theirs.append(b"new")
    apply_elsewhere(copy, theirs.prove([50], since=50))
    assert waits(copy)
    copy.flush()
    assert (copy[7], copy[50]) == (BLOCKS[7], b"new")
    assert copy.have == [range(7, 8), range(50, 51)]


def test_it_goes_with_its_fork(copy: Feed, theirs: Feed) -> None:
    accept(copy, theirs, 20)
    theirs.truncate(10)
    apply_elsewhere(copy, theirs.prove())
    copy.flush()
    assert not waits(copy)
    assert copy.have == []
    assert copy.anchors([20]) == []
    accept(copy, theirs, 5)
    assert copy[5] == BLOCKS[5]


def test_a_transaction_that_fails_takes_nothing(store: Store, copy: Feed, theirs: Feed) -> None:
    accept(copy, theirs, 7)

    def give_up() -> None:
        with store.transaction():
            assert copy.has(7) or True
            raise KeyError

    with pytest.raises(KeyError):
        give_up()
    assert copy[7] == BLOCKS[7]
    copy.flush()
    assert copy.have == [range(7, 8)]


def test_what_the_disk_refuses_is_told_and_forgotten(
    copy: Feed, theirs: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(copy, theirs, 7)

    def full(*_: object) -> None:
        raise StoreError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(copy._log.__class__, "merge", full)
        with pytest.raises(StoreError, match="no space"):
            copy.flush()
    with pytest.raises(BlockMissing):
        copy[7]
    accept(copy, theirs, 7)
    copy.flush()
    assert copy.have == [range(7, 8)]


def test_much_is_written_at_once(copy: Feed, theirs: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STAGED", len(BLOCKS[3]))
    accept(copy, theirs, 3)
    assert waits(copy)
    accept(copy, theirs, 4)
    assert not waits(copy)


def test_anchors_are_found_among_what_waits(copy: Feed, theirs: Feed) -> None:
    accept(copy, theirs, 20)
    assert copy.anchors([21]) == [flat_tree.node(0, 21)]
    copy.flush()
    assert copy.anchors([21]) == [flat_tree.node(0, 21)]


def test_few_nodes_are_remembered(
    copy: Feed, theirs: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 8)
    for index in range(50):
        accept(copy, theirs, index)
        copy.flush()
        assert len(copy._staging.known) <= 8 + 2 * 8
    assert list(copy) == BLOCKS


def test_an_encrypted_feed(store: Store, elsewhere: Store) -> None:
    key = bytes(range(32))
    theirs = elsewhere.feed("secret", encryption_key=key)
    theirs.extend(BLOCKS)
    copy = store.feed(key=theirs.key, encryption_key=key)
    copy.apply(theirs.prove())
    accept(copy, theirs, 7)
    assert waits(copy)
    assert copy[7] == BLOCKS[7]
    copy.flush()
    assert copy[7] == BLOCKS[7]
