"""A feed read as one file, by Python's own users of files and by offset."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedlog import BlockMissing, Feed, Store, StoreError
from feedlog.byte_file import ByteReader, open_file

BLOCKS = [b"block %d" % i * (i % 4) for i in range(23)]
BYTES = b"".join(BLOCKS)
KEYS = st.sampled_from([None, b"k" * 32])


@pytest.fixture(params=["plain", "encrypted"])
def full(request: pytest.FixtureRequest, store: Store) -> Feed:
    key = b"k" * 32 if request.param == "encrypted" else None
    feed = store.feed("log", encryption_key=key)
    feed.extend(BLOCKS)
    return feed


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(BYTES) + 10), st.integers(0, len(BYTES) + 10))
def test_every_range_of_bytes(full: Feed, offset: int, length: int) -> None:
    assert full.read(offset, length) == BYTES[offset : offset + length]
    with full.snapshot(11) as snapshot:
        expected = b"".join(BLOCKS[:11])[offset : offset + length]
        assert snapshot.read(offset, length) == expected


def test_ranges_start_at_the_start(full: Feed) -> None:
    for offset, length in ((-1, 5), (0, -1)):
        with pytest.raises(ValueError, match="before the start of the feed"):
            full.read(offset, length)


FILE_STEPS = st.lists(
    st.tuples(st.just("read"), st.integers(-1, 300))
    | st.tuples(st.sampled_from(["set", "end"]), st.integers(0, len(BYTES) + 20))
    | st.tuples(st.just("cur"), st.integers(-60, 60)),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILE_STEPS, st.sampled_from([1, 7, 4096]))
def test_behaves_as_a_file_in_memory(full: Feed, steps: list[tuple[str, int]], buffer: int) -> None:
    model = io.BytesIO(BYTES)
    with full.open() as opened:
        file = opened if buffer == 4096 else io.BufferedReader(opened.raw, buffer)
        for what, number in steps:
            if what == "read":
                assert file.read(number) == model.read(number)
            elif what == "cur":
                if model.tell() + number < 0:
                    continue
                assert file.seek(number, io.SEEK_CUR) == model.seek(number, io.SEEK_CUR)
            elif what == "set":
                assert file.seek(number) == model.seek(number)
            elif number <= len(BYTES):
                assert file.seek(-number, io.SEEK_END) == model.seek(-number, io.SEEK_END)
            assert file.tell() == model.tell()


def test_it_is_a_readable_seekable_file(full: Feed) -> None:
    with full.open() as file:
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        for whence in (io.SEEK_SET, io.SEEK_CUR):
            with pytest.raises(ValueError, match="is before the start"):
                file.seek(-5, whence)
        raw: Any = file.raw
        with pytest.raises(ValueError, match="whence"):
            raw.seek(0, 9)
    for use in (file.read, file.tell, lambda: raw.seek(0), raw.tell):
        with pytest.raises(ValueError, match="closed"):
            use()
    file.close()


def test_lines(store: Store) -> None:
    feed = store.feed("text")
    feed.extend([b"one\ntw", b"o\n", b"", b"three"])
    with feed.open() as file:
        assert list(file) == [b"one\n", b"two\n", b"three"]


def test_the_place_of_each_byte(full: Feed) -> None:
    places = [(i, at) for i, block in enumerate(BLOCKS) for at in range(len(block))]
    assert full.size == len(BYTES)
    assert [full.locate(offset) for offset in range(full.size)] == places
    for past in (-1, full.size):
        with pytest.raises(IndexError, match=f"byte {past} is not in a feed of {full.size}"):
            full.locate(past)


def test_copying(full: Feed) -> None:
    copied = io.BytesIO()
    with full.open() as file:
        shutil.copyfileobj(file, copied, 13)
    assert copied.getvalue() == BYTES


def cut(feed: Feed, data: bytes) -> None:
    feed.extend(data[at : at + 1000] for at in range(0, len(data), 1000))


FILES = {f"dir/{i}.txt": b"content %d " % i * (i * 50) for i in range(9)}


@pytest.mark.parametrize("key", [None, b"k" * 32])
def test_a_zip_archive(store: Store, key: bytes | None) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    feed = store.feed("zip", encryption_key=key)
    cut(feed, written.getvalue())
    with feed.open() as file, zipfile.ZipFile(file) as read:
        assert read.testzip() is None
        assert {name: read.read(name) for name in read.namelist()} == FILES


@pytest.mark.parametrize("mode", ["r:", "r:gz", "r|gz"])
def test_a_tar_archive(store: Store, mode: str) -> None:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz" if "gz" in mode else "w") as archive:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    feed = store.feed("tar")
    cut(feed, written.getvalue())
    with feed.open() as file, tarfile.open(fileobj=file, mode=mode) as read:  # type: ignore[call-overload]  # a mode from a list
        found = {}
        for member in read:
            content = read.extractfile(member)
            assert content is not None
            found[member.name] = content.read()
    assert found == FILES


class TestWhatItHolds:
    def test_its_bytes_stay_while_the_feed_changes(self, full: Feed) -> None:
        with full.open() as file:
            start = file.read(10)
            full.truncate(1)
            full.extend([b"other"] * 30)
            assert start + file.read() == BYTES
        assert full.read(0, 7) == (BLOCKS[0] + b"otherother")[:7]

    def test_closing_it_closes_its_snapshot(self, full: Feed) -> None:
        closed = []
        file = full.open(on_close=lambda: closed.append(True))
        file.close()
        file.close()
        assert closed == [True]

    def test_a_snapshot_outlives_its_file(self, full: Feed) -> None:
        with full.snapshot() as snapshot:
            with snapshot.open() as file:
                assert file.read() == BYTES
            assert len(snapshot) == 23
            late = snapshot.open()
        with pytest.raises(StoreError, match="the snapshot is closed"):
            late.read()

    def test_missing_blocks_are_named(self, full: Feed, elsewhere: Store) -> None:
        copy = elsewhere.feed(key=full.key, encryption_key=b"k" * 32 if full._cipher else None)
        copy.apply(full.prove(range(5, 9)))
        start = sum(map(len, BLOCKS[:5]))
        inside = b"".join(BLOCKS[5:9])
        assert copy.read(start, len(inside)) == inside
        with copy.open() as file:
            file.seek(start + len(inside) - 5)
            with pytest.raises(BlockMissing) as missing:
                file.read(50)
            assert missing.value.index == 9
        with pytest.raises(BlockMissing):
            copy.read(0, 3)

    def test_an_empty_feed_is_an_empty_file(self, feed: Feed) -> None:
        assert feed.read(0, 10) == b""
        with feed.open() as file:
            assert file.read() == b""

    def test_without_the_key_the_bytes_are_the_stored_ones(
        self, store: Store, elsewhere: Store
    ) -> None:
        feed = store.feed("secret", encryption_key=b"k" * 32)
        feed.extend([b"one", b"", b"two"])
        blind = elsewhere.feed(key=feed.key)
        blind.apply(feed.prove(range(3)))
        assert blind.read(0, 1000) == b"".join(blind)
        assert len(blind.read(0, 1000)) == feed.byte_length
        assert feed.read(0, 1000) == b"onetwo"


def test_reading_on_finds_no_place_twice() -> None:
    located = []

    def locate(offset: int) -> tuple[int, int]:
        located.append(offset)
        return offset // 10, offset % 10

    reader = ByteReader(1000, locate, lambda index: bytes([index]) * 10)
    with open_file(reader, lambda: None) as file:
        file.read(500)
        file.read(300)
    assert located == []
    assert reader.read(15, 3) == b"\1\1\1"
    assert located == [15]
