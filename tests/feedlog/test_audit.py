"""An audit passes what the engine wrote, counts it, and names the first thing that was changed."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable

import msgspec
import pytest

from feedlog import (
    AuditReport,
    CorruptError,
    Feed,
    ForkConflict,
    KeyPair,
    Manifest,
    Store,
    catalog,
    layout,
)
from feedlog.hashing import BLAKE2B
from feedlog.head import Head
from feedlog.layout import Record
from feedlog.ranges import Ranges
from feedlog.storage import Writer

BLOCKS = [b"block %d" % i * (1 + i % 4) for i in range(22)] + [bytes(5000)]


@pytest.fixture
def full(feed: Feed) -> Feed:
    feed.extend(BLOCKS[:9])
    feed.extend(BLOCKS[9:])
    return feed


@pytest.fixture
def copy(full: Feed, elsewhere: Store) -> Feed:
    copy = elsewhere.feed(key=full.key)
    copy.apply(full.prove([3, 4, 17, 22]))
    return copy


class TestSound:
    def test_counts(self, full: Feed) -> None:
        size = sum(map(len, BLOCKS))
        nodes = 2 * 23 - 4  # 23 leaves under four roots
        assert full.audit() == AuditReport(
            heads=2, records=23, nodes=nodes, blocks=23, bytes=size, fault=None
        )

    def test_an_empty_feed(self, feed: Feed) -> None:
        assert feed.audit() == AuditReport()

    def test_a_sparse_replica(self, copy: Feed) -> None:
        report = copy.audit()
        assert report.fault is None
        assert (report.heads, report.blocks) == (1, 4)

    def test_cleared_truncated_and_encrypted(self, store: Store) -> None:
        feed = store.feed("secret", encryption_key=bytes(32))
        feed.extend(BLOCKS)
        feed.clear(2, 7)
        feed.truncate(15)
        feed.append(b"on")
        report = feed.audit()
        assert report.fault is None
        assert (report.blocks, report.heads) == (11, 2)

    def test_another_hash(self, store: Store) -> None:
        pair = KeyPair.generate()
        manifest = Manifest((pair.public_key,), suite=BLAKE2B)
        feed = store.feed(manifest=manifest, key_pair=pair)
        feed.extend(BLOCKS)
        assert feed.audit().fault is None

    def test_evidence(self, store: Store, elsewhere: Store) -> None:
        pair = KeyPair.generate()
        one, other = store.feed(key_pair=pair), elsewhere.feed(key_pair=pair)
        one.append(b"a")
        other.append(b"b")
        with pytest.raises(ForkConflict):
            one.apply(other.prove())
        assert one.audit().fault is None

    def test_replicas_of_every_shape(self, full: Feed) -> None:
        rng = random.Random(2)
        for _ in range(30):
            copy = Store.memory().feed(key=full.key)
            if rng.random() < 0.5:
                copy.apply(full.prove(rng.sample(range(9), 2), length=9))
                copy.apply(full.prove(since=9))
            else:
                copy.apply(full.prove())
            for _ in range(rng.randrange(4)):
                wanted = rng.sample(range(23), rng.randrange(1, 5))
                anchors = copy.anchors(wanted)
                copy.apply(full.prove(wanted, since=23, anchors=anchors, signed=False))
            assert copy.audit().fault is None

    def test_memory_does_not_grow_with_the_feed(self, store: Store) -> None:
        feed = store.feed("large")
        peaks = []
        for _ in range(2):
            for _ in range(20):
                feed.extend([b"x" * 1000] * 100)
            tracemalloc.start()
            assert feed.audit().fault is None
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < peaks[0] * 1.5


def key_of(feed: Feed, block: int) -> bytes:
    return layout.record_key(feed._log.number, block)


def change_record(block: int, change: Callable[[Record], None]) -> Callable[[Feed, Writer], None]:
    def tamper(feed: Feed, writer: Writer) -> None:
        record = feed._log.record(writer, block)
        assert record is not None
        change(record)
        writer.put(key_of(feed, block), record.to_bytes())

    return tamper


def change_head(length: int, **facts: object) -> Callable[[Feed, Writer], None]:
    def tamper(feed: Feed, writer: Writer) -> None:
        found = feed._log.head_at(writer, length)
        assert found is not None
        head, byte_length = found
        byte_length = facts.get("byte_length", byte_length)  # type: ignore[assignment]  # a number
        tree_hash = facts.get("tree_hash", head.tree_hash)
        signatures = facts.get("signatures", head.signatures)
        changed = Head(head.fork, length, tree_hash, signatures)  # type: ignore[arg-type]  # as drawn
        writer.put(*feed._log.head_entry(changed, byte_length))

    return tamper


def set_data(record: Record) -> None:
    record.data = b"forged!!"


def set_node(level: int) -> Callable[[Record], None]:
    def change(record: Record) -> None:
        size, _ = record.nodes[level]
        record.nodes[level] = (size, b"h" * 32)

    return change


def grow_node(level: int) -> Callable[[Record], None]:
    def change(record: Record) -> None:
        size, digest = record.nodes[level]
        record.nodes[level] = (size + 1, digest)

    return change


def put(suffix: bytes, value: bytes, block: int = 5) -> Callable[[Feed, Writer], None]:
    return lambda feed, writer: writer.put(key_of(feed, block) + suffix, value)


def clear_and_change_leaf(feed: Feed, writer: Writer) -> None:
    feed._log.clear(writer, Ranges([(7, 8)]))
    change_record(7, set_node(0))(feed, writer)


FAULTS: dict[str, tuple[Callable[[Feed, Writer], None], str]] = {
    "block": (change_record(5, set_data), "block 5 does not hash to its leaf"),
    "large block": (put(b"\0", b"forged", 22), "block 22 does not hash to its leaf"),
    "leaf": (change_record(6, set_node(0)), "block 6 does not hash to its leaf"),
    "leaf of a cleared block": (
        clear_and_change_leaf,
        "tree node 13 does not hash from 12 and 14",
    ),
    "parent": (change_record(7, set_node(1)), "tree node 13 does not hash from 12 and 14"),
    "root": (change_record(15, set_node(4)), "tree node 15 does not hash from 7 and 23"),
    "size": (change_record(15, grow_node(4)), "tree node 15 does not hash from 7 and 23"),
    "record gone": (
        lambda feed, writer: (writer.delete(key_of(feed, 6)), None)[1],
        "hangs from no signed root",
    ),
    "data gone": (
        lambda feed, writer: (writer.delete(key_of(feed, 22) + b"\0"), None)[1],
        "data of block 22 is gone",
    ),
    "data without its record": (put(b"\0", b"stray"), "data of block 5 belongs to no record"),
    "torn record": (put(b"", b"\x08torn"), "record of block 5 does not parse"),
    "empty record": (put(b"", b"", 0), "record of block 0 does not parse"),
    "foreign entry": (put(b"\2", b""), "is none of a feed"),
    "short head key": (put(b"\1\0", b""), "is none of a feed"),
    "signature": (
        change_head(9, signatures=((0, bytes(64)),)),
        "signature of signer 0 on the head of length 9 is not valid",
    ),
    "no signatures": (change_head(9, signatures=()), "the quorum is 1"),
    "tree hash": (change_head(23, tree_hash=bytes(32)), "signature of signer 0 on the head of"),
    "byte length": (change_head(9, byte_length=7), "length 9 states 7 bytes, its roots"),
    "held but noted as missing": (
        lambda feed, writer: feed._log.have.remove(writer, Ranges([(4, 5)])),
        "block 4 is noted as missing and is here",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_first_fault_is_named(full: Feed, name: str) -> None:
    tamper, message = FAULTS[name]
    with full._storage.write() as writer:
        tamper(full, writer)
    fault = full.audit().fault
    assert isinstance(fault, CorruptError)
    assert message in str(fault)


def test_every_record_counts(full: Feed) -> None:
    for block in range(23):
        with full._storage.write() as writer:
            before = writer.get(key_of(full, block))
            assert before is not None
            writer.delete(key_of(full, block))
        assert full.audit().fault is not None
        with full._storage.write() as writer:
            writer.put(key_of(full, block), before)
    assert full.audit().fault is None


def test_blocks_noted_and_not_held(copy: Feed) -> None:
    for block in (16, 7):
        with copy._storage.write() as writer:
            copy._log.have.add(writer, Ranges([(block, block + 1)]))
        fault = copy.audit().fault
        assert fault is not None
        assert "noted as held" in str(fault)


def test_a_node_that_nothing_vouches_for(copy: Feed) -> None:
    with copy._storage.write() as writer:
        writer.put(key_of(copy, 10), Record(10, {0: (5, b"h" * 32)}).to_bytes())
    assert "tree node 20 hangs from no signed root" in str(copy.audit().fault)


def test_entries_past_the_head(full: Feed) -> None:
    with full._storage.write() as writer:
        writer.put(key_of(full, 23), writer.get(key_of(full, 20)) or b"")
    assert "the feed's last entry is not a head" in str(full.audit().fault)


def test_forged_evidence(full: Feed) -> None:
    head = full.head
    assert head is not None
    fact = (head.length, head.tree_hash, head.signatures)
    forged = (head.length, bytes(32), head.signatures)
    proof = full.prove().to_bytes()
    for right, bytes_, message in (
        (forged, proof, "signature of signer 0"),
        (fact, b"", "the evidence does not parse"),
        (fact, proof, "the evidence does not contradict the feed"),
    ):
        with full._storage.write() as writer:
            writer.delete(catalog.EVIDENCE + full._log.number.to_bytes(3, "big"))
            evidence = catalog.Evidence(0, fact, right, bytes_)
            catalog.save_evidence(writer, full._log.number, evidence)
        assert message in str(full.audit().fault)


def test_a_foreign_manifest(full: Feed) -> None:
    full.manifest = Manifest((KeyPair.generate().public_key,))
    assert "manifest does not hash to the feed's key" in str(full.audit().fault)
    full.manifest = None
    with full._storage.write() as writer:
        meta = catalog.load_feed(writer, full._log.number)
        assert meta is not None
        gone = msgspec.structs.replace(meta, manifest=b"")
        catalog.save_feed(writer, full._log.number, gone)
    assert "without the feed's manifest" in str(full.audit().fault)
