"""A feed carried in a file: all of it arrives, verified, or nothing does."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import (
    BlockMissing,
    DecodeError,
    Feed,
    ForkConflict,
    InvalidProof,
    KeyPair,
    Manifest,
    NotWritable,
    Store,
    check_proof,
)
from feedlog.archive import GROUP_SIZE, MAGIC, MAX_ITEM_SIZE
from feedlog.hashing import BLAKE2B

BLOCKS = [b"block %d" % i * (1 + i % 4) for i in range(23)]


def state(feed: Feed) -> object:
    blocks = [feed[i] if feed.has(i) else None for i in range(len(feed))]
    return (feed.key, feed.heads(), feed.head, feed.byte_length, feed.have, blocks)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.archive"


@pytest.fixture
def full(feed: Feed) -> Feed:
    for length in (1, 9, 10, 23):
        feed.extend(BLOCKS[len(feed) : length])
    return feed


class TestThereAndBack:
    def test_a_whole_feed(self, full: Feed, elsewhere: Store, path: Path) -> None:
        full.export(path)
        copy = elsewhere.import_feed(path)
        assert state(copy) == state(full)
        assert copy.audit().fault is None
        assert not copy.writable
        assert elsewhere.feed(key=full.key) is copy
        assert check_proof(full.key, copy.prove([4], length=9)).length == 9

    def test_sparse_replicas(self, full: Feed, path: Path) -> None:
        for wanted in ([], [0], [22], [3, 4, 17], range(5, 20)):
            with Store.memory() as one, Store.memory() as other:
                copy = one.feed(key=full.key)
                copy.apply(full.prove(wanted, length=23))
                copy.export(path)
                again = other.import_feed(path)
                assert state(again) == state(copy)
                assert again.audit().fault is None

    def test_a_replica_that_grew(self, full: Feed, elsewhere: Store, path: Path) -> None:
        copy = elsewhere.feed(key=full.key)
        copy.apply(full.prove([2], length=9))
        copy.apply(full.prove([20], since=9))
        copy.apply(full.prove([7], length=23, since=23, anchors=copy.anchors([7]), signed=False))
        copy.export(path)
        assert state(Store.memory().import_feed(path)) == state(copy)

    def test_truncated_and_cleared(self, full: Feed, elsewhere: Store, path: Path) -> None:
        full.truncate(9)
        full.truncate(9)
        full.append(b"on")
        full.clear(3, 5)
        full.export(path)
        copy = elsewhere.import_feed(path)
        assert state(copy) == state(full)
        assert [(head.fork, head.length) for head in copy.heads()] == [
            (0, 1),
            (0, 9),
            (1, 9),
            (2, 9),
            (2, 10),
        ]

    def test_an_encrypted_feed_stays_encrypted(
        self, store: Store, elsewhere: Store, path: Path
    ) -> None:
        feed = store.feed("secret", encryption_key=b"k" * 32)
        feed.append(b"hidden")
        feed.export(path)
        assert b"hidden" not in path.read_bytes()
        copy = elsewhere.import_feed(path)
        assert copy[0] != b"hidden"
        assert elsewhere.feed(key=feed.key, encryption_key=b"k" * 32)[0] == b"hidden"

    def test_more_than_a_group(self, feed: Feed, elsewhere: Store, path: Path) -> None:
        blocks = [bytes([i]) * (GROUP_SIZE // 3) for i in range(8)] + [bytes(2 * GROUP_SIZE)]
        feed.extend(blocks)
        feed.extend([b""] * 70_000)
        feed.export(path)
        copy = elsewhere.import_feed(path)
        assert copy[:9] == blocks
        assert copy.have == [range(70_009)]

    def test_many_ranges(self, feed: Feed, elsewhere: Store, path: Path) -> None:
        feed.extend([b"x"] * 9000)
        copy = elsewhere.feed(key=feed.key)
        copy.apply(feed.prove(range(0, 8000, 2)))
        copy.apply(feed.prove(range(8000, 9000, 2)))
        copy.export(path)
        assert Store.memory().import_feed(path).have == copy.have

    def test_several_signers_and_another_hash(
        self, store: Store, elsewhere: Store, path: Path
    ) -> None:
        pairs = [KeyPair.generate() for _ in range(3)]
        manifest = Manifest(tuple(pair.public_key for pair in pairs), 2, BLAKE2B)
        for pair in pairs[:2]:
            feed = store.feed(manifest=manifest, key_pair=pair)
        feed.extend(BLOCKS)
        feed.export(path)
        assert state(elsewhere.import_feed(path)) == state(feed)

    def test_a_writer_gets_its_feed_back(self, reopen: Callable[..., Store], path: Path) -> None:
        store = reopen()
        feed = store.feed("log")
        feed.extend(BLOCKS)
        feed.clear(0, 3)
        feed.export(path)
        feed.purge()
        feed = store.feed("log")
        assert store.import_feed(path) is feed
        assert feed.have == [range(3, 23)]
        assert feed.append(b"on") == 23
        assert feed.audit().fault is None


class TestFiles:
    def test_a_file_that_was_there_is_replaced_whole(self, full: Feed, path: Path) -> None:
        path.write_bytes(b"precious")
        with pytest.MonkeyPatch.context() as patch:

            def fail(_: int) -> None:
                raise OSError("disk full")

            patch.setattr("os.fsync", fail)
            with pytest.raises(OSError, match="disk full"):
                full.export(path)
        assert path.read_bytes() == b"precious"
        assert list(path.parent.glob(".*")) == []
        full.export(str(path))
        assert path.read_bytes().startswith(MAGIC)
        assert list(path.parent.glob(".*")) == []

    def test_no_such_file(self, full: Feed, store: Store, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            store.import_feed(tmp_path / "absent")
        with pytest.raises(FileNotFoundError):
            full.export(tmp_path / "absent" / "file")

    def test_nothing_to_export(self, feed: Feed, path: Path) -> None:
        with pytest.raises(ValueError, match="nothing to export"):
            feed.export(path)
        assert not path.exists()

    def test_a_feed_that_is_here_already(self, full: Feed, store: Store, path: Path) -> None:
        full.export(path)
        with pytest.raises(ValueError, match=f"has 23 blocks of the feed {full.id}"):
            store.import_feed(path)
        assert list(full) == BLOCKS

    def test_a_read_only_store(self, reopen: Callable[..., Store], path: Path) -> None:
        feed = reopen().feed("log")
        feed.append(b"a")
        store = reopen(read_only=True)
        store.feed("log").export(path)
        with pytest.raises(NotWritable):
            store.import_feed(path)

    def test_a_missing_node_is_not_left_out(self, full: Feed, path: Path) -> None:
        with full._storage.write() as writer:
            writer.delete(full._log.low + (8).to_bytes(5, "big"))
        with pytest.raises(BlockMissing):
            full.export(path)
        assert not path.exists()


def written() -> bytes:
    with Store.memory() as store, tempfile.TemporaryDirectory() as place:
        feed = store.feed("log")
        feed.extend(BLOCKS[:5])
        feed.extend(BLOCKS[5:])
        feed.clear(3, 6)
        feed.export(Path(place) / "archive")
        return (Path(place) / "archive").read_bytes()


ARCHIVE = written()


def imported(data: bytes) -> object:
    """Import bytes; a refusal must leave the store as it was."""
    with Store.memory() as store, tempfile.TemporaryDirectory() as place:
        path = Path(place) / "archive"
        path.write_bytes(data)
        try:
            return state(store.import_feed(path))
        except (DecodeError, InvalidProof):
            assert store.feeds() == []
            raise


def items(data: bytes) -> list[bytes]:
    found, at = [], 49
    while size := int.from_bytes(data[at : at + 4], "little"):
        found.append(data[at : at + 4 + size])
        at += 4 + size
    return found


class TestDamage:
    def test_the_layout(self) -> None:
        assert ARCHIVE.startswith(MAGIC + b"\1")
        assert len(items(ARCHIVE)) == 3
        assert ARCHIVE.endswith(bytes(4) + (2).to_bytes(8, "little") + (20).to_bytes(8, "little"))

    def test_every_truncation(self) -> None:
        for cut in range(len(ARCHIVE)):
            with pytest.raises(DecodeError):
                imported(ARCHIVE[:cut])
        with pytest.raises(DecodeError, match="bytes after its end"):
            imported(ARCHIVE + b"\0")

    def test_every_byte_changed(self) -> None:
        for place in range(len(ARCHIVE)):
            with pytest.raises((DecodeError, InvalidProof)):
                imported(ARCHIVE[:place] + bytes([ARCHIVE[place] ^ 1]) + ARCHIVE[place + 1 :])

    @given(st.data())
    def test_mutations(self, data: st.DataObject) -> None:
        raw = bytearray(ARCHIVE)
        for _ in range(data.draw(st.integers(1, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        try:
            found = imported(bytes(raw))
        except (DecodeError, InvalidProof):
            return
        assert found == imported(ARCHIVE)

    @given(st.binary(max_size=120))
    def test_any_bytes(self, data: bytes) -> None:
        for candidate in (data, ARCHIVE[:49] + data):
            with pytest.raises((DecodeError, InvalidProof)):
                imported(candidate)

    def test_items_dropped_doubled_or_moved(self) -> None:
        parts, end = items(ARCHIVE), ARCHIVE[-20:]
        for order in ([0, 2], [1, 2], [0, 1], [0, 1, 2, 2], [1, 0, 2], [2, 0, 1], []):
            with pytest.raises((DecodeError, InvalidProof)):
                imported(ARCHIVE[:49] + b"".join(parts[i] for i in order) + end)

    def test_named_faults(self) -> None:
        oversized = (MAX_ITEM_SIZE + 1).to_bytes(4, "little")
        for data, message in (
            (b"PK\3\4" + ARCHIVE[4:], "not an archive of a feed"),
            (MAGIC + b"\2" + ARCHIVE[17:], "version b'\\\\x02' is not known"),
            (ARCHIVE[:49] + oversized + bytes(99), f"the limit is {MAX_ITEM_SIZE}"),
            (ARCHIVE[:-1] + b"\1", "states other numbers than it has"),
            (ARCHIVE[:-3], "it ends 3 bytes early"),
        ):
            with pytest.raises(DecodeError, match=message):
                imported(data)
        other_key = ARCHIVE[:17] + bytes(32) + ARCHIVE[49:]
        with pytest.raises(InvalidProof, match="manifest that hashes to the feed's key"):
            imported(other_key)

    def test_two_histories(self) -> None:
        pair = KeyPair.generate()
        one, other = (Store.memory().feed(key_pair=pair) for _ in range(2))
        one.extend([b"a", b"b"])
        other.extend([b"a", b"c"])
        parts = [proof.prove().to_bytes() for proof in (one, other)]
        data = MAGIC + b"\1" + one.key
        data += b"".join(len(part).to_bytes(4, "little") + part for part in parts)
        with pytest.raises(ForkConflict):
            imported(data + bytes(4) + b"\2" + bytes(15))


def test_the_worked_example_of_the_specification(store: Store, path: Path) -> None:
    feed = store.feed(key_pair=KeyPair.from_seed(bytes(range(32))))
    feed.extend([b"one", b"two"])
    feed.append(b"three")
    feed.clear(1, 2)
    feed.export(path)
    data = path.read_bytes()
    text = (Path(__file__).parents[2] / "docs/spec/archive.md").read_text()
    rows = re.findall(r"^\| (\d+) \| `([0-9a-f]+)` \|", text, re.MULTILINE)
    at = 0
    for offset, bytes_ in rows:
        assert int(offset) == at
        assert data[at : at + len(bytes_) // 2].hex() == bytes_
        at += len(bytes_) // 2
    assert at == len(data) == 457
    assert f"{MAX_ITEM_SIZE:,}" in text
