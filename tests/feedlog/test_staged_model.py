"""A replica whose blocks wait in memory, while another process changes what is stored.

Hypothesis drives three: the writer; the replica's object under test, which accepts proofs and
flushes now and then; and a second object on the same storage with caches and a staging of its
own, as another process has them. Proofs are delivered late, and some say that they are of the
present fork when they are not. Whatever the order, the object reads what the stored head says,
or nothing, and an honest proof of the present state is never refused.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass, replace
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

from feedlog import BlockMissing, Feed, InvalidProof, KeyPair, Proof, Snapshot, Store
from feedlog.log import Log
from feedlog.staged import Staging

BLOCKS = st.binary(max_size=12) | st.sampled_from([b"", b"o" * 1100])
SOME = st.data()


@dataclass
class Answer:
    """A proof on its way."""

    proof: Proof
    length: int
    anchors: list[int]


class Model(RuleBasedStateMachine):
    on_disk: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp()) if self.on_disk else None
        self.theirs = Store.memory().feed(key_pair=KeyPair.from_seed(bytes(32)))
        self.blocks: list[bytes] = []
        self.open()
        self.copied: list[bytes] = []
        self.stored: set[int] = set()
        self.waiting: set[int] = set()
        """Blocks accepted, that no flush has written for certain."""
        self.answers: list[Answer] = []
        self.snapshot: tuple[Snapshot, list[bytes], set[int]] | None = None

    def open(self) -> None:
        self.store = Store(self.place, durability="relaxed") if self.place else Store.memory()
        self.copy = self.store.feed(key=self.theirs.key)
        log = Log(self.copy._log.number, dense=False)
        self.other = Feed(
            self.copy._storage,
            log,
            self.theirs.key,
            manifest=self.theirs.manifest,
            signers=(),
            cipher=None,
            staging=Staging(log, self.theirs.key),
            read_only=False,
        )

    def teardown(self) -> None:
        self.let_go()
        self.flush()
        assert self.copy.audit().fault is None
        self.store.close()
        if self.place is not None:
            shutil.rmtree(self.place)

    def let_go(self) -> None:
        if self.snapshot is not None:
            snapshot, blocks, held = self.snapshot
            assert {i for run in snapshot.have for i in run} == held
            assert all(snapshot[i] == blocks[i] for i in held)
            for index in held:
                assert snapshot.prove([index], signed=False, since=len(blocks)).data == (
                    blocks[index],
                )
            snapshot.close()
            self.snapshot = None

    # The writer.

    @rule(blocks=st.lists(BLOCKS, min_size=1, max_size=9))
    def extend(self, blocks: list[bytes]) -> None:
        self.theirs.extend(blocks)
        self.blocks += blocks

    @rule(data=SOME, blocks=st.lists(BLOCKS, min_size=1, max_size=9))
    def rewrite(self, data: st.DataObject, blocks: list[bytes]) -> None:
        length = data.draw(st.integers(0, len(self.blocks)))
        self.theirs.truncate(length)
        self.theirs.extend(blocks)
        self.blocks[length:] = blocks

    # The replica learns of heads, here or in another process.

    @precondition(lambda self: self.blocks)
    @rule(elsewhere=st.booleans())
    def follow(self, elsewhere: bool) -> None:
        feed = self.other if elsewhere else self.copy
        same_fork = feed.fork == self.theirs.fork and bool(self.copied)
        proof = self.theirs.prove(since=len(self.copied) if same_fork else 0)
        feed.apply(Proof.from_bytes(proof.to_bytes()))
        if not elsewhere:
            self.stored |= self.waiting
            self.waiting = set()
        held = {i for run in self.other.have for i in run}
        assert held <= self.stored | self.waiting
        if same_fork:
            assert self.stored <= held
            self.waiting -= held
        else:
            self.waiting = set()
        self.stored = held
        self.copied = list(self.blocks)

    # Proofs of blocks.

    def wanted(self, data: st.DataObject) -> list[int]:
        """Draw blocks: a few scattered ones, or a run."""
        indexes = st.integers(0, len(self.copied) - 1)
        if data.draw(st.booleans()):
            return sorted(data.draw(st.sets(indexes, min_size=1, max_size=3)))
        start, stop = sorted((data.draw(indexes), data.draw(indexes)))
        return list(range(start, stop + 1))

    @precondition(lambda self: self.copied and self.copy.fork == self.theirs.fork)
    @rule(data=SOME)
    def ask(self, data: st.DataObject) -> None:
        length, wanted = len(self.copied), self.wanted(data)
        anchors = self.copy.anchors(wanted)
        proof = self.theirs.prove(
            wanted, since=length, length=length, anchors=anchors, signed=False
        )
        self.answers.append(Answer(proof, length, [int(index) for index in anchors]))

    @precondition(lambda self: self.answers)
    @rule(data=SOME, keep=st.booleans())
    def accept(self, data: st.DataObject, keep: bool) -> None:
        at = data.draw(st.integers(0, len(self.answers) - 1))
        answer = self.answers[at] if keep else self.answers.pop(at)
        proof = answer.proof
        try:
            self.take(proof)
        except InvalidProof:
            assert (proof.fork, answer.length) != (self.copy.fork, len(self.copied))

    def take(self, proof: Proof) -> None:
        waits = proof.question.since == len(self.copied) and proof.fork == self.copy.fork
        if not waits:  # it is applied, if anything
            self.stored |= self.waiting
            self.waiting = set()
        self.copy.accept(Proof.from_bytes(proof.to_bytes()))
        (self.waiting if waits else self.stored).update(proof.question.blocks)

    @precondition(lambda self: self.answers)
    @rule(data=SOME)
    def accept_what_claims_to_be_of_the_present(self, data: st.DataObject) -> None:
        answer = data.draw(st.sampled_from(self.answers))
        with contextlib.suppress(InvalidProof):
            self.take(replace(answer.proof, fork=self.copy.fork))

    @rule()
    def flush(self) -> None:
        self.copy.flush()
        self.stored |= self.waiting
        self.waiting = set()
        assert {i for run in self.other.have for i in run} == self.stored

    @rule(data=SOME, elsewhere=st.booleans())
    def clear(self, data: st.DataObject, elsewhere: bool) -> None:
        start = data.draw(st.integers(0, len(self.copied)))
        stop = data.draw(st.integers(start, len(self.copied)))
        if not elsewhere:
            self.flush()
        (self.other if elsewhere else self.copy).clear(start, stop)
        self.stored -= set(range(start, stop))

    @rule(blocks=st.booleans())
    def fail_in_a_transaction(self, blocks: bool) -> None:
        """A transaction is undone; it has written what waited before it began."""

        def fail() -> None:
            with self.store.transaction():
                self.copy.clear(0, len(self.copied))
                if blocks and self.blocks:
                    self.copy.apply(self.theirs.prove())
                raise KeyError

        with contextlib.suppress(InvalidProof), pytest.raises(KeyError):
            fail()
        self.stored |= self.waiting
        self.waiting = set()

    # Reading.

    @precondition(lambda self: self.copied)
    @rule(data=SOME)
    def prove(self, data: st.DataObject) -> None:
        """What is held is proven, with the nodes that are remembered from earlier proofs."""
        held = sorted(self.stored | self.waiting)
        if held:
            index = data.draw(st.sampled_from(held))
            for feed in (self.copy, self.other):
                if index in self.stored or feed is self.copy:
                    proof = feed.prove([index])
                    assert proof.data == (self.copied[index],)
                    assert self.theirs.key == feed.key
        self.flush()

    @rule()
    def read_what_is_missing(self) -> None:
        missing = set(range(len(self.copied))) - self.stored - self.waiting
        for index in missing:
            with pytest.raises(BlockMissing):
                self.copy[index]
        with pytest.raises(IndexError):
            self.copy[len(self.copied)]
        self.flush()

    @rule(data=SOME)
    def take_a_snapshot(self, data: st.DataObject) -> None:
        self.let_go()
        length = data.draw(st.sampled_from(sorted({0, len(self.copied)})))
        self.flush()
        held = {i for i in self.stored if i < length}
        self.snapshot = (self.copy.snapshot(length), self.copied[:length], held)

    @rule()
    def reopen(self) -> None:
        if self.place is not None:
            self.let_go()
            self.store.close()
            self.stored |= self.waiting
            self.waiting = set()
            self.open()

    @invariant()
    def reads_what_the_head_says(self) -> None:
        assert self.copy.length == len(self.copied) == self.other.length
        held = {i for run in self.copy.have for i in run}
        assert held == self.stored | self.waiting
        for index in held:
            assert self.copy[index] == self.copied[index]
        assert bool(self.copy._staging.batches) >= bool(self.waiting)


class OnDisk(Model):
    on_disk = True


@pytest.mark.parametrize("machine", [Model, OnDisk])
def test_what_waits_reads_as_it_will_be_stored(machine: Any) -> None:
    examples = 8 if machine.on_disk else 25
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=30)
    )
