"""What replication asks of a feed: its nodes as anchors, its changes, proofs while it reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from feedlog import BlockMissing, Feed, NotWritable, Store, flat_tree
from feedlog.apply import apply

BLOCKS = [b"block %d" % i for i in range(40)]


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


def test_the_lowest_node_above_a_block_is_its_anchor(copy: Feed, theirs: Feed) -> None:
    assert copy.anchors([3]) == []  # the roots are known anyway
    copy.apply(theirs.prove([3], since=40, length=40, signed=False))
    assert copy.anchors([2]) == [flat_tree.node(0, 2)]
    assert copy.anchors([7]) == [flat_tree.node(2, 1)]
    assert copy.anchors(range(4, 8)) == [flat_tree.node(2, 1)]
    assert copy.anchors([39, 40, 10**9]) == []


def test_anchors_shorten_a_proof(copy: Feed, theirs: Feed) -> None:
    copy.apply(theirs.prove([3], since=40, length=40, signed=False))
    anchors = copy.anchors([2])
    proof = theirs.prove([2], since=40, length=40, anchors=anchors, signed=False)
    assert not proof.nodes
    assert copy.accept(proof).blocks == {2: BLOCKS[2]}


def test_observers_hear_of_what_is_applied_and_accepted(copy: Feed, theirs: Feed) -> None:
    seen: list[int] = []
    stop = copy.observe(lambda: seen.append(copy.length))
    copy.accept(theirs.prove([3], since=40, length=40, signed=False))
    theirs.append(b"new")
    copy.apply(theirs.prove(since=40))
    stop()
    copy.apply(theirs.prove([40], since=41, length=41, signed=False))
    assert seen == [40, 41]


def test_what_waits_is_proven_and_what_is_not_here_is_missed(copy: Feed, theirs: Feed) -> None:
    copy.accept(theirs.prove([3], since=40, length=40, signed=False))
    assert copy.prove([3], since=40, length=40, signed=False).data == (BLOCKS[3],)
    copy.accept(theirs.prove([5], since=40, length=40, signed=False))
    with pytest.raises(BlockMissing):
        copy.prove(iter([6]), since=40, length=40, signed=False)


def test_a_read_only_store_accepts_nothing(tmp_path: object, theirs: Feed) -> None:
    path = str(tmp_path)
    with Store(path) as store:
        store.feed(key=theirs.key).apply(theirs.prove())
    with Store(path, read_only=True) as store:
        copy = store.feed(key=theirs.key)
        with pytest.raises(NotWritable):
            copy.accept(theirs.prove([3], since=40, length=40, signed=False))
        with pytest.raises(NotWritable):
            copy.apply(theirs.prove([3]))


@pytest.mark.parametrize(
    "use",
    [
        lambda copy, _: copy.prove([3], signed=False, since=copy.length).data == (copy[3],),
        lambda copy, theirs: copy.root_hash() == theirs.root_hash(),
        lambda copy, _: copy.audit().fault is None,
        lambda copy, theirs: copy.snapshot().root_hash(2) == theirs.root_hash(2),
        lambda copy, theirs: bool(
            copy.apply(
                theirs.prove([4], signed=False, since=theirs.length, length=theirs.length)
            ).blocks
        ),
    ],
    ids=["prove", "root_hash", "audit", "snapshot", "apply"],
)
def test_a_manifest_that_another_process_learned_is_known(
    store: Store, theirs: Feed, use: Callable[[Feed, Feed], bool]
) -> None:
    copy = store.feed(key=theirs.key)
    assert copy.manifest is None
    apply(copy._storage, copy._log, copy.key, None, theirs.prove(range(6)))  # behind its back
    assert use(copy, theirs)
    assert copy.manifest == theirs.manifest
