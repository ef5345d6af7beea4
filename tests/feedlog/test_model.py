"""A feed and a replica against plain lists, driven by Hypothesis.

The model of the feed is a list of blocks and the set of those held; that of the replica is the
list that the writer had when they last met. Whatever is done, in whatever order, on whichever
storage, both must read as their models do.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from feedlog import (
    BlockMissing,
    Feed,
    InvalidProof,
    KeyPair,
    Proof,
    Snapshot,
    Store,
    check_proof,
)
from feedlog.encryption import OVERHEAD
from feedlog.hashing import BLAKE3
from feedlog.layout import INLINE_SIZE
from tests.reference import merkle as reference

BLOCKS = st.binary(max_size=20) | st.sampled_from([b"", b"i" * INLINE_SIZE, b"o" * 1500])
SOME = st.data()


def outcome(feed: Feed | Snapshot, index: int) -> bytes | None:
    with contextlib.suppress(BlockMissing):
        return feed[index]
    return None


def check(feed: Feed | Snapshot, blocks: list[bytes], held: set[int]) -> None:
    assert feed.length == len(blocks)
    assert [outcome(feed, i) for i in range(len(blocks))] == [
        block if i in held else None for i, block in enumerate(blocks)
    ]
    assert {i for run in feed.have for i in run} == held
    assert all(feed.has(i) == (i in held) for i in range(len(blocks)))
    with pytest.raises(IndexError):
        feed[len(blocks)]


class Model(RuleBasedStateMachine):
    on_disk: ClassVar[bool] = False
    encryption_key: ClassVar[bytes | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.pair = KeyPair.from_seed(bytes(32))
        self.place = Path(tempfile.mkdtemp()) if self.on_disk else None
        self.open()
        self.blocks: list[bytes] = []
        self.held: set[int] = set()
        self.fork = 0
        self.heads: list[int] = []
        self.copied: list[bytes] = []
        self.copy_held: set[int] = set()
        self.copy_fork = 0
        self.common = 0
        """How many blocks of the replica's list are the feed's."""
        self.snapshots: list[tuple[Snapshot, list[bytes], set[int]]] = []

    def open(self) -> None:
        if self.place is None:
            self.store, self.elsewhere = Store.memory(), Store.memory()
        else:
            self.store = Store(self.place / "ours", durability="relaxed")
            self.elsewhere = Store(self.place / "theirs", durability="relaxed")
        self.feed = self.store.feed(key_pair=self.pair, encryption_key=self.encryption_key)
        self.copy = self.elsewhere.feed(key=self.feed.key, encryption_key=self.encryption_key)

    def teardown(self) -> None:
        for snapshot, blocks, held in self.snapshots:
            check(snapshot, blocks, held)
            snapshot.close()
        self.store.close()
        self.elsewhere.close()
        if self.place is not None:
            shutil.rmtree(self.place)

    # The writer.

    @rule(blocks=st.lists(BLOCKS, min_size=1, max_size=9))
    def extend(self, blocks: list[bytes]) -> None:
        start = len(self.blocks)
        if len(blocks) == 1:
            assert self.feed.append(blocks[0]) == start
        else:
            assert self.feed.extend(blocks) == range(start, start + len(blocks))
        self.held |= set(range(start, start + len(blocks)))
        self.blocks += blocks
        self.heads.append(len(self.blocks))

    @rule(data=SOME)
    def truncate(self, data: st.DataObject) -> None:
        length = data.draw(st.integers(0, len(self.blocks)))
        self.feed.truncate(length)
        self.fork += 1
        del self.blocks[length:]
        self.held &= set(range(length))
        self.common = min(self.common, length)
        self.heads = [head for head in self.heads if head <= length] + [length]

    @rule(data=SOME, ours=st.booleans())
    def clear(self, data: st.DataObject, ours: bool) -> None:
        feed, blocks, held = (
            (self.feed, self.blocks, self.held)
            if ours
            else (self.copy, self.copied, self.copy_held)
        )
        start = data.draw(st.integers(0, len(blocks)))
        stop = data.draw(st.integers(start, len(blocks)))
        feed.clear(start, stop)
        held -= set(range(start, stop))

    @rule(blocks=st.lists(BLOCKS, max_size=3))
    def fail_in_the_middle(self, blocks: list[bytes]) -> None:
        def change_and_fail() -> None:
            with self.store.transaction():
                self.feed.extend(blocks)
                self.feed.truncate(0)
                raise RuntimeError("no")

        with pytest.raises(RuntimeError):
            change_and_fail()

    # The replica.

    def wanted(self, data: st.DataObject, below: int) -> set[int]:
        have = sorted(i for i in self.held if i < below)
        return data.draw(st.sets(st.sampled_from(have), max_size=6)) if have else set()

    def meet(self, wanted: set[int], kept: set[int]) -> None:
        self.copied = list(self.blocks)
        self.copy_fork = self.fork
        self.copy_held = kept | wanted
        self.common = len(self.blocks)

    def kept(self, wanted: set[int], since: int) -> set[int]:
        """Return what the replica holds now: what the feed still has, as far as it was shown.

        That is at least what lies below `since`; and it may be more than was never
        truncated, where the same blocks were appended again.
        """
        now = {i for run in self.copy.have for i in run}
        same = {
            i
            for i, (old, new) in enumerate(zip(self.copied, self.blocks, strict=False))
            if old == new
        }
        assert wanted <= now <= wanted | (self.copy_held & same)
        assert {i for i in self.copy_held if i < since} <= now
        if self.fork == self.copy_fork:
            assert self.copy_held <= now
        return now

    def carried(self, proof: Proof) -> Proof:
        return Proof.from_bytes(proof.to_bytes())

    @precondition(lambda self: self.heads)
    @rule(data=SOME)
    def follow(self, data: st.DataObject) -> None:
        wanted = self.wanted(data, len(self.blocks))
        since = self.common if self.fork != self.copy_fork else len(self.copied)
        proof = self.carried(self.feed.prove(wanted, since=since))
        try:
            self.copy.apply(proof)
        except InvalidProof:  # a sparse replica may lack the roots of `since`
            assert self.fork != self.copy_fork
            assert not self.copy_held.issuperset(range(since))
            return
        self.meet(wanted, self.kept(wanted, since))

    @precondition(lambda self: self.heads)
    @rule(data=SOME)
    def follow_from_nothing(self, data: st.DataObject) -> None:
        wanted = self.wanted(data, len(self.blocks))
        proof = self.carried(self.feed.prove(wanted))
        plain = check_proof(self.feed.key, proof, blocks=wanted, length=len(self.blocks))
        assert set(plain.blocks) == wanted
        try:
            self.copy.apply(proof)
        except InvalidProof:
            assert self.fork == self.copy_fork
            assert 0 < len(self.copied) < len(self.blocks)
            return
        self.meet(wanted, self.kept(wanted, 0))

    @precondition(lambda self: self.copied and self.fork == self.copy_fork)
    @rule(data=SOME)
    def fetch(self, data: st.DataObject) -> None:
        length = len(self.copied)
        wanted = self.wanted(data, length)
        proof = self.feed.prove(
            wanted, since=length, length=length, anchors=self.copy.anchors(wanted), signed=False
        )
        self.copy.apply(self.carried(proof))
        self.copy_held |= wanted

    @precondition(lambda self: self.heads)
    @rule(data=SOME)
    def prove_an_old_length(self, data: st.DataObject) -> None:
        length = data.draw(st.sampled_from(self.heads))
        wanted = self.wanted(data, length)
        verified = check_proof(self.feed.key, self.feed.prove(wanted, length=length))
        assert verified.length == length
        assert set(verified.blocks) == wanted

    # Both.

    @rule()
    def reopen(self) -> None:
        if self.place is None:
            return
        for snapshot, blocks, held in self.snapshots:
            check(snapshot, blocks, held)
            snapshot.close()
        self.snapshots.clear()
        self.store.close()
        self.elsewhere.close()
        self.open()

    @rule(data=SOME, ours=st.booleans())
    def snapshot(self, data: st.DataObject, ours: bool) -> None:
        if len(self.snapshots) >= 3:
            snapshot, blocks, held = self.snapshots.pop(0)
            check(snapshot, blocks, held)
            snapshot.close()
        feed, blocks, held = (
            (self.feed, self.blocks, self.held)
            if ours
            else (self.copy, self.copied, self.copy_held)
        )
        length = data.draw(st.integers(0, len(blocks)))
        with contextlib.suppress(BlockMissing):  # a replica may lack the roots of a length
            snapshot = feed.snapshot(length)
            self.snapshots.append((snapshot, blocks[:length], {i for i in held if i < length}))

    @invariant()
    def both_read_as_their_models(self) -> None:
        check(self.feed, self.blocks, self.held)
        check(self.copy, self.copied, self.copy_held)
        assert self.feed.fork == self.fork
        if self.copied:
            assert self.copy.fork == self.copy_fork

    @invariant()
    def the_tree_is_the_reference_tree(self) -> None:
        if self.encryption_key is None:
            assert self.feed.root_hash() == reference.tree_hash(BLAKE3, self.blocks)
            assert self.feed.byte_length == sum(map(len, self.blocks))
            if self.copied:
                assert self.copy.root_hash() == reference.tree_hash(BLAKE3, self.copied)
        else:
            assert self.feed.byte_length == sum(OVERHEAD + len(block) for block in self.blocks)

    @invariant()
    def both_pass_their_audit(self) -> None:
        for feed, held, heads in (
            (self.feed, self.held, len(self.heads)),
            (self.copy, self.copy_held, len(self.copy.heads())),
        ):
            report = feed.audit()
            assert report.fault is None
            assert (report.blocks, report.heads) == (len(held), heads)

    @invariant()
    def every_batch_has_its_head(self) -> None:
        heads = self.feed.heads()
        assert [head.length for head in heads] == self.heads
        for head in heads[-3:]:
            assert self.feed.manifest is not None
            head.check(self.feed.key, self.feed.manifest)


class Encrypted(Model):
    encryption_key = b"k" * 32


class OnDisk(Model):
    on_disk = True


class EncryptedOnDisk(Encrypted):
    on_disk = True


@pytest.mark.parametrize("machine", [Model, Encrypted, OnDisk, EncryptedOnDisk])
def test_a_feed_and_a_replica_are_lists(machine: Any) -> None:
    examples = 15 if machine.on_disk else 40
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=30)
    )
