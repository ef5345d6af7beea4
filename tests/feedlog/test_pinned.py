"""Ten thousand random operations folded into one hash, so that no byte changes unnoticed.

What is folded: indexes, lengths, tree hashes, signatures, encoded proofs, and the kinds of
errors. If a change of a format is intended, the digest changes with it, and the commit says so.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from feedlog import Feed, FeedlogError, KeyPair, Proof, Store, check_proof

OPERATIONS = 10_000
DIGEST = "8157437726efd7e941eccac52a3d0e3cb22ec375426488064a43098cdda93248"


class Run:
    """A writer and a replica under one stream of operations."""

    def __init__(self, ours: Store, theirs: Store) -> None:
        self.rng = Random(20_240_229)
        self.digest = sha256()
        self.feed = ours.feed(key_pair=KeyPair.from_seed(bytes(range(32))))
        self.copy = theirs.feed(key=self.feed.key)
        self.lengths: list[int] = []
        """Of the feed's heads."""

    def note(self, *facts: object) -> None:
        self.digest.update(repr(facts).encode())

    def block(self) -> bytes:
        return self.rng.randbytes(self.rng.choice([0, 1, 7, 40, 40, 40, 300, 1500]))

    def append(self) -> None:
        self.note(self.feed.append(self.block()))
        self.lengths.append(len(self.feed))

    def extend(self) -> None:
        self.note(self.feed.extend([self.block() for _ in range(self.rng.randrange(1, 20))]))
        self.lengths.append(len(self.feed))

    def truncate(self) -> None:
        length = self.rng.randrange(max(len(self.feed) - 100, 0), len(self.feed) + 1)
        self.feed.truncate(length)
        self.lengths = [kept for kept in self.lengths if kept <= length] + [length]

    def clear(self) -> None:
        feed = self.rng.choice([self.feed, self.copy])
        start = self.rng.randrange(len(feed) + 1)
        feed.clear(start, min(start + self.rng.randrange(9), len(feed)))

    def read(self) -> None:
        feed = self.rng.choice([self.feed, self.copy])
        self.note(feed[self.rng.randrange(-9, len(feed) + 9)])

    def read_bytes(self) -> None:
        at = self.rng.randrange(self.feed.byte_length + 9)
        self.note(self.feed.seek(at), self.feed.read(at, 99))

    def prove(self) -> None:
        length = self.rng.choice(self.lengths[-5:])
        wanted = [self.rng.randrange(length) for _ in range(self.rng.randrange(5))]
        proof = self.feed.prove(wanted, length=length)
        self.note(proof.to_bytes(), check_proof(self.feed.key, proof).length)

    def follow(self) -> None:
        wanted = [self.rng.randrange(len(self.feed)) for _ in range(self.rng.randrange(5))]
        since = self.rng.choice([0, len(self.copy), self.rng.randrange(len(self.feed))])
        data = self.feed.prove(wanted, since=since).to_bytes()
        self.note(data, sorted(self.copy.apply(Proof.from_bytes(data)).nodes))

    def fetch(self) -> None:
        length = len(self.copy)
        wanted = [self.rng.randrange(length) for _ in range(self.rng.randrange(1, 5))]
        anchors = self.copy.anchors(wanted)
        proof = self.feed.prove(wanted, since=length, length=length, anchors=anchors, signed=False)
        self.note(anchors, proof.to_bytes())
        self.copy.apply(proof)

    def step(self) -> None:
        action = self.rng.choice(
            [self.append] * 6
            + [self.extend] * 2
            + [self.read] * 4
            + [self.prove, self.read_bytes, self.clear] * 2
            + [self.follow, self.fetch] * 3
        )
        if self.rng.random() < 0.003:
            action = self.truncate
        try:
            action()
        except (FeedlogError, ValueError, IndexError) as error:
            self.note(type(error).__name__)

    def note_state(self, feed: Feed) -> None:
        head = feed.head
        if head is not None:
            self.note(head.fork, head.length, head.tree_hash, head.signatures)
        self.note(feed.length, feed.byte_length, feed.fork, feed.have)


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_nothing_changes_unnoticed(kind: str, tmp_path: Path) -> None:
    def open_store(name: str) -> Store:
        return Store.memory() if kind == "memory" else Store(tmp_path / name, durability="relaxed")

    with open_store("ours") as ours, open_store("theirs") as theirs:
        run = Run(ours, theirs)
        for number in range(OPERATIONS):
            run.step()
            if number % 100 == 0:
                run.note_state(run.feed)
                run.note_state(run.copy)
        assert [head.length for head in run.feed.heads()] == run.lengths
        for feed in (run.feed, run.copy):
            assert feed.audit().fault is None
            for index in range(len(feed)):
                run.note(feed[index] if feed.has(index) else None)
        assert min(len(run.feed), len(run.copy)) > 5000
        assert run.feed.fork > 20
    assert run.digest.hexdigest() == DIGEST
