"""Meta pages: what LMDB wrote is read, and what it could not have written is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedlog.errors import CorruptError
from feedlog.lmdb_file import META_SIZE, latest_meta, reaches_its_last_page
from feedlog.lmdb_storage import LmdbStorage

PAGE = 4096


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    with LmdbStorage(tmp_path / "store", durability="relaxed") as storage:
        for i in range(50):
            with storage.write() as w:
                w.put_many([(b"%d %d" % (i, j), b"v" * 50) for j in range(20)])
    return tmp_path / "store" / "data.mdb"


def test_the_latest_commit_is_found(data_file: Path) -> None:
    meta = latest_meta(data_file)
    assert meta.transaction == 50
    assert meta.main.entries == 1000
    assert meta.main.depth == 2
    assert reaches_its_last_page(data_file, meta)


def test_each_commit_goes_to_the_other_page(tmp_path: Path) -> None:
    with LmdbStorage(tmp_path / "store", durability="relaxed") as storage:
        for number in range(1, 5):
            with storage.write() as w:
                w.put(b"n", b"%d" % number)
            assert latest_meta(tmp_path / "store" / "data.mdb").transaction == number


def test_a_new_store_and_a_compacted_copy_are_sound(tmp_path: Path, data_file: Path) -> None:
    LmdbStorage(tmp_path / "new").close()
    assert latest_meta(tmp_path / "new" / "data.mdb").transaction == 0
    with LmdbStorage(data_file.parent) as storage:
        storage.copy_to(tmp_path / "copy")
    assert latest_meta(tmp_path / "copy" / "data.mdb").main.entries == 1000


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptError, match="gone"):
        latest_meta(tmp_path / "data.mdb")


@pytest.mark.parametrize("size", [0, 1, 151, 152, PAGE - 1, PAGE, PAGE + 151])
def test_a_file_that_ends_inside_its_meta_pages_is_refused(data_file: Path, size: int) -> None:
    data_file.write_bytes(data_file.read_bytes()[:size])
    with pytest.raises(CorruptError, match=r"ends after|not a meta page|page size"):
        latest_meta(data_file)


def test_a_file_shorter_than_its_last_page_is_noticed(data_file: Path) -> None:
    meta = latest_meta(data_file)
    needed = (meta.last_page + 1) * PAGE
    data_file.write_bytes(data_file.read_bytes()[: needed - 1])
    assert latest_meta(data_file) == meta
    assert not reaches_its_last_page(data_file, meta)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"SQLite format 3\0" * 1000)
    with pytest.raises(CorruptError, match="damaged"):
        latest_meta(tmp_path / "x")


@pytest.mark.parametrize("page", [0, 1])
@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0, 7),  # the page's own number
        (10, 0),  # its flags
        (16, 0),  # magic
        (20, 3),  # the version: LMDB 1.0
        (40, 5000),  # page size
        (46, 99),  # depth of the free-page tree
        (80, 2**40),  # root of the free-page tree
        (92, 4),  # flags of the main database
        (94, 40),  # its depth
        (104, 2**40),  # its leaf pages
        (128, 1),  # its root
        (136, 2**60),  # last page
        (144, 1000),  # transaction
        (144, 1001),
    ],
)
def test_a_field_that_cannot_be_is_refused(
    data_file: Path, page: int, offset: int, value: int
) -> None:
    data = bytearray(data_file.read_bytes())
    width = 8 if offset in {0, 80, 104, 128, 136, 144} else 4 if offset in {16, 20, 40} else 2
    at = page * PAGE + offset
    data[at : at + width] = value.to_bytes(width, "little")
    data_file.write_bytes(data)
    with pytest.raises(CorruptError, match="damaged"):
        latest_meta(data_file)


@pytest.mark.parametrize("page", [0, 1])
def test_no_flipped_bit_makes_another_error(data_file: Path, page: int) -> None:
    """Every single bit: refused, or without effect on where LMDB may read."""
    good = data_file.read_bytes()
    sound = latest_meta(data_file)
    for bit in range(8 * META_SIZE):
        data = bytearray(good)
        data[page * PAGE + bit // 8] ^= 1 << bit % 8
        data_file.write_bytes(data)
        try:
            meta = latest_meta(data_file)
        except CorruptError:
            continue
        assert meta.last_page < 2 * len(good) // PAGE or not reaches_its_last_page(data_file, meta)
        assert meta.main.root <= meta.last_page
        assert abs(meta.transaction - sound.transaction) <= 1
