"""The walk accepts what LMDB writes, and finds what `lmdb.verify`, slow and complete, finds."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lmdb.verify import VerifyError, verify

from feedlog.errors import CorruptError
from feedlog.lmdb_file import latest_meta
from feedlog.lmdb_storage import LmdbStorage
from feedlog.lmdb_walk import walk

PAGE = 4096


def busy_store(path: Path, seed: int = 1, commits: int = 60) -> Path:
    """Make a store with deep trees, values of their own pages, free pages, and holes."""
    rng = Random(seed)
    with LmdbStorage(path, durability="relaxed") as storage:
        for _ in range(commits):
            with storage.write() as w:
                for _ in range(rng.randrange(1, 40)):
                    key = rng.randrange(5000).to_bytes(2, "big") * rng.choice([1, 4, 20])
                    w.put(key, rng.randbytes(rng.choice([0, 30, 300, 1500, 5000, 40_000])))
                if rng.random() < 0.3:
                    low = rng.randrange(5000)
                    w.delete_range(low.to_bytes(2, "big"), (low + 500).to_bytes(2, "big"))
    return path / "data.mdb"


@pytest.fixture(scope="module")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return busy_store(tmp_path_factory.mktemp("walk") / "store", commits=12)


def findings(path: Path) -> list[str]:
    """What the reference finds.

    It does not know that LMDB, which puts a shorter value in the place of one with
    several pages, keeps all of them: this is no fault.
    """
    try:
        found = verify(os.fspath(path), subdir=False)  # type: ignore[no-untyped-call]  # it has no annotations
    except VerifyError as error:
        return [str(error)]
    kept = ("!= OVPAGES(", "overflow pages, record says", "-- a leak")
    return [str(finding) for finding in found if not any(words in str(finding) for words in kept)]


@pytest.mark.parametrize("seed", range(6))
def test_what_lmdb_writes_is_sound(tmp_path: Path, seed: int) -> None:
    path = busy_store(tmp_path / "store", seed, commits=20 * seed + 1)
    assert not findings(path)
    walk(path)


def test_an_empty_store_is_sound(tmp_path: Path) -> None:
    LmdbStorage(tmp_path / "store").close()
    walk(tmp_path / "store" / "data.mdb")


def test_a_deep_tree_with_a_long_list_of_free_pages_is_sound(tmp_path: Path) -> None:
    with LmdbStorage(tmp_path / "store", durability="relaxed") as storage:
        with storage.write() as w:
            w.put_many([(b"%0100d" % i, b"v" * 100) for i in range(50_000)])
        with storage.write() as w:
            assert w.delete_range(b"%0100d" % 5000, b"%0100d" % 45_000) == 40_000
    meta = latest_meta(tmp_path / "store" / "data.mdb")
    assert meta.main.depth >= 3
    assert meta.free.overflow_pages > 0
    walk(tmp_path / "store" / "data.mdb")


def test_pages_freed_at_the_end_need_not_be_in_the_file(tmp_path: Path) -> None:
    """LMDB gives out pages, takes them back in the same transaction, and never writes them."""
    with LmdbStorage(tmp_path / "store", durability="relaxed") as storage, storage.write() as w:
        w.put(b"kept", b"")
        w.put(b"gone", bytes(100_000))
        w.delete(b"gone")
    walk(tmp_path / "store" / "data.mdb")
    with LmdbStorage(tmp_path / "store") as storage:
        assert storage.get(b"kept") == b""


@settings(max_examples=300)
@given(st.data())
def test_a_flipped_bit_that_the_reference_finds_is_found(
    data_file: Path, data: st.DataObject
) -> None:
    good = data_file.read_bytes()
    page = data.draw(st.integers(2, len(good) // PAGE - 1))
    # Half of the flips go where most of a page's structure is: to its head.
    offset = data.draw(st.one_of(st.integers(0, 63), st.integers(0, PAGE - 1)))
    bad = bytearray(good)
    bad[page * PAGE + offset] ^= 1 << data.draw(st.integers(0, 7))
    damaged = data_file.with_name("damaged")
    damaged.write_bytes(bad)
    if findings(damaged):
        with pytest.raises(CorruptError, match="damaged"):
            walk(damaged)


def test_a_file_cut_anywhere_is_found(data_file: Path) -> None:
    good = data_file.read_bytes()
    cut = data_file.with_name("cut")
    needed = (latest_meta(data_file).last_page + 1) * PAGE
    rng = Random(1)
    for size in [rng.randrange(needed) for _ in range(100)] + [needed - PAGE, needed - 1]:
        cut.write_bytes(good[:size])
        if findings(cut):
            with pytest.raises(CorruptError):
                walk(cut)
