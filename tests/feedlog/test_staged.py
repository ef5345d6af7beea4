"""Verified blocks that wait for their transaction: seen by readers, written by a flush.

Others change the stored feed meanwhile: another process (here: functions that go around the
object, and a real one at the end), another thread, another object of the same feed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import pytest

from feedlog import (
    BlockMissing,
    Feed,
    ForkConflict,
    InvalidProof,
    KeyPair,
    Proof,
    Store,
    flat_tree,
)
from feedlog import staged as module
from feedlog.apply import apply
from feedlog.errors import FeedlogError, StoreError
from feedlog.purge import purge

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
    with pytest.raises(BlockMissing):
        copy[8]
    with pytest.raises(IndexError):
        copy[50]
    assert waits(copy)
    assert copy[-10] == BLOCKS[40]
    assert not waits(copy)


def test_reading_a_large_stored_block_does_not_write(store: Store, elsewhere: Store) -> None:
    theirs = elsewhere.feed("large")
    theirs.extend([b"large" * 1000] * 3)
    copy = store.feed(key=theirs.key)
    copy.apply(theirs.prove([1]))
    accept(copy, theirs, 2)
    assert copy[1] == copy[2] == theirs[1]
    assert waits(copy)


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
    accept(copy, theirs, 3)
    (batch,) = copy._staging.batches
    assert batch.size == len(BLOCKS[3]) + module.ENTRY_SIZE * (1 + len(batch.nodes))
    monkeypatch.setattr(module, "MAX_STAGED", batch.size)
    assert waits(copy)
    accept(copy, theirs, 4)
    assert not waits(copy)


def test_empty_blocks_take_memory_too(
    store: Store, elsewhere: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = elsewhere.feed("empty")
    theirs.extend([b""] * 64)
    copy = store.feed(key=theirs.key)
    copy.apply(theirs.prove())
    monkeypatch.setattr(module, "MAX_STAGED", 100 * module.ENTRY_SIZE)
    accept(copy, theirs, *range(32))
    assert waits(copy)
    accept(copy, theirs, *range(32, 64))
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
        assert len(copy._staging.known[1]) <= 8 + 2 * 8
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


# What others do meanwhile.


def rewritten(theirs: Feed) -> list[bytes]:
    """Truncate the feed and fill it with other blocks to the length that it had."""
    blocks = BLOCKS[:10] + [b"another %d" % i for i in range(40)]
    theirs.truncate(10)
    theirs.extend(blocks[10:])
    return blocks


@pytest.mark.parametrize("ours", [True, False], ids=["here", "in another process"])
@pytest.mark.parametrize("flushed", [True, False], ids=["written", "waiting"])
def test_an_old_forks_nodes_are_not_trusted_in_the_next(
    copy: Feed, theirs: Feed, ours: bool, flushed: bool
) -> None:
    accept(copy, theirs, 40)
    accept(copy, theirs, 30)
    if flushed:
        copy.flush()
    late = theirs.prove([41], since=50, length=50, anchors=[flat_tree.node(0, 40)], signed=False)
    blocks = rewritten(theirs)
    if ours:
        copy.apply(theirs.prove())
    else:
        apply_elsewhere(copy, theirs.prove())
    assert copy.anchors([41]) == []
    with pytest.raises(InvalidProof):
        copy.accept(replace(late, fork=1))  # as somebody might who means harm
    for index in (41, 40, 30):
        accept(copy, theirs, index)
    assert [copy[index] for index in (30, 40, 41)] == [blocks[index] for index in (30, 40, 41)]
    assert copy.have == [range(30, 31), range(40, 42)]
    copy.flush()
    assert copy.audit().fault is None


def test_what_waits_is_not_seen_in_another_fork(copy: Feed, theirs: Feed) -> None:
    accept(copy, theirs, 5, 6)
    accept(copy, theirs, 40)
    rewritten(theirs)
    apply_elsewhere(copy, theirs.prove())
    with pytest.raises(BlockMissing):
        copy[40]
    assert copy.have == []
    theirs.truncate(20)
    apply_elsewhere(copy, theirs.prove())
    with pytest.raises(IndexError):
        copy[40]
    assert copy.length == 20


def test_what_waits_goes_with_its_feed(copy: Feed, theirs: Feed) -> None:
    accept(copy, theirs, 7)
    purge(copy._storage, copy._log, copy.key)  # as another process does
    assert copy.length == 0
    assert copy.have == []
    with pytest.raises(IndexError):
        copy[7]
    assert list(copy) == []
    assert not waits(copy)


def contradicting(theirs: Feed) -> tuple[Feed, Feed]:
    """Return two feeds of one key that its writer signed in different places."""
    pair = KeyPair.from_seed(bytes(32))
    feeds = Store.memory().feed(key_pair=pair), Store.memory().feed(key_pair=pair)
    feeds[0].extend(BLOCKS)
    feeds[1].extend([b"lies"] * len(BLOCKS))
    assert feeds[0].key == feeds[1].key != theirs.key
    return feeds


def test_evidence_against_the_writer_ends_what_waits(store: Store, theirs: Feed) -> None:
    one, other = contradicting(theirs)
    copy = store.feed(key=one.key)
    copy.apply(one.prove())
    accept(copy, one, 7)
    with pytest.raises(ForkConflict):
        apply_elsewhere(copy, other.prove())
    assert copy.length == 50
    assert copy.conflict is not None
    with pytest.raises(ForkConflict):
        accept(copy, one, 8)
    assert not copy.has(7)
    one.truncate(20)
    copy.apply(one.prove())
    accept(copy, one, 8)
    assert copy[8] == BLOCKS[8]


def test_runs_inside_of_runs(copy: Feed, theirs: Feed) -> None:
    accept(copy, theirs, *range(16))
    for blocks in (range(12, 16), range(8, 16), range(15, 16), range(14, 20)):
        proof = theirs.prove(blocks, since=50, length=50, signed=False)
        copy.accept(proof)
    copy.flush()
    assert copy.audit().fault is None
    for index in range(20):
        assert copy.prove([index]).data == (BLOCKS[index],)


def test_another_object_of_the_feed_sees_it_and_writes_it(tmp_path: Path, theirs: Feed) -> None:
    with Store(tmp_path) as store:
        copy = store.feed(key=theirs.key)
        copy.apply(theirs.prove())
        accept(copy, theirs, 7)
        other = store.feed(key=theirs.key, key_pair=KeyPair.generate())
        assert other is not copy
        assert other[7] == BLOCKS[7]
        accept(copy, theirs, 8)
    with Store(tmp_path) as store:
        assert store.feed(key=theirs.key).have == [range(7, 9)]


@pytest.mark.parametrize("index", [3, 20])
def test_what_is_known_does_not_wait_for_ever(copy: Feed, theirs: Feed, index: int) -> None:
    node = flat_tree.node(1, index)
    for _ in range(2):
        copy.accept(theirs.prove(hashes=[node], since=50, length=50, signed=False))
        assert waits(copy)
        copy.flush()
        assert not waits(copy)


class Hooked:
    """A lock before whose acquisitions something may happen once."""

    def __init__(self, acquisitions: int, action: Callable[[], None]) -> None:
        self.left = acquisitions
        self.action = action

    def __enter__(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.action()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Let go."""


def test_two_threads_that_flush_drop_nothing_that_came_between(
    copy: Feed, theirs: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(copy, theirs, 7)

    def another_thread() -> None:
        copy.flush()
        accept(copy, theirs, 8)

    monkeypatch.setattr(copy._staging, "_lock", Hooked(2, another_thread))
    copy.flush()
    assert copy[8] == BLOCKS[8]
    assert waits(copy)
    copy.flush()
    assert copy.have == [range(7, 9)]


def test_nothing_is_kept_that_builds_on_what_was_lost(
    copy: Feed, theirs: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(copy, theirs, 40)
    late = theirs.prove([41], since=50, length=50, anchors=copy.anchors([41]), signed=False)
    monkeypatch.setattr(copy._staging, "_lock", Hooked(1, copy._staging.forget))
    with pytest.raises(StoreError, match="could not be written"):
        copy.accept(late)
    assert not waits(copy)
    with pytest.raises(InvalidProof):
        copy.accept(late)


def test_closing_writes_of_every_feed_what_it_can(
    tmp_path: Path, elsewhere: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = [elsewhere.feed(name) for name in "abc"]
    store = Store(tmp_path)
    copies = []
    for feed in theirs:
        feed.extend(BLOCKS)
        copies.append(store.feed(key=feed.key))
        copies[-1].apply(feed.prove())
        accept(copies[-1], feed, 7)

    def full(*_: object) -> None:
        raise StoreError("no space left")

    monkeypatch.setattr(copies[1]._staging, "_write", full)
    with pytest.raises(StoreError, match="no space"):
        store.close()
    with Store(tmp_path) as store:
        held = [store.feed(key=feed.key).have for feed in theirs]
    assert held == [[range(7, 8)], [], [range(7, 8)]]


def test_what_is_cleared_in_a_transaction_stays_cleared(
    store: Store, copy: Feed, theirs: Feed
) -> None:
    accept(copy, theirs, 7, 9)
    with store.transaction():
        copy.clear(7, 8)
    copy.flush()
    assert copy.have == [range(9, 10)]


def test_observers_learn_of_a_loss(
    copy: Feed, theirs: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(copy, theirs, 7)
    seen: list[list[range]] = []
    copy.observe(lambda: seen.append(copy.have))

    def full(*_: object) -> None:
        raise StoreError("no space left")

    monkeypatch.setattr(copy._staging, "_write", full)
    with pytest.raises(StoreError, match="no space"):
        copy.has(7)
    assert seen == [[]]


def test_a_store_that_is_read_only_takes_nothing(
    reopen: Callable[..., Store], theirs: Feed
) -> None:
    reopen().feed(key=theirs.key).apply(theirs.prove())
    copy = reopen(read_only=True).feed(key=theirs.key)
    with pytest.raises(FeedlogError, match="read-only"):
        accept(copy, theirs, 7)
    assert copy.have == []


KILLED = """
import os, signal, sys
from feedlog import Store
with Store.memory() as elsewhere, Store(sys.argv[1]) as store:
    theirs = elsewhere.import_feed(sys.argv[2])
    copy = store.feed(key=theirs.key)
    for batch in ((7, 3), (20, 21)):
        for index in batch:
            anchors = copy.anchors([index])
            copy.accept(
                theirs.prove([index], since=50, length=50, anchors=anchors, signed=False)
            )
        if batch[0] == 7:
            copy.flush()
    assert copy[20] and copy._staging.batches
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_what_was_flushed(tmp_path: Path, theirs: Feed) -> None:
    theirs.export(tmp_path / "theirs.feedlog")
    with Store(tmp_path / "store") as store:
        copy = store.feed(key=theirs.key)
        copy.apply(theirs.prove())
        accept(copy, theirs, 40)  # waits here while the other process writes
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, tmp_path / "store", tmp_path / "theirs.feedlog"],
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert killed.returncode == -9
        assert (copy[3], copy[7], copy[40]) == (BLOCKS[3], BLOCKS[7], BLOCKS[40])
        assert copy.have == [range(3, 4), range(7, 8), range(40, 41)]
        with pytest.raises(BlockMissing):
            copy[20]
        assert copy.audit().fault is None
    with Store(tmp_path / "store") as store:
        assert store.feed(key=theirs.key).have == [range(3, 4), range(7, 8), range(40, 41)]
