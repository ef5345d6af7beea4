"""What may be opened, and what is checked before LMDB sees it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from feedlog import lmdb_directory
from feedlog.errors import CorruptError, StoreError
from feedlog.lmdb_storage import LmdbStorage
from feedlog.lmdb_walk import walk

PAGE = 4096


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with LmdbStorage(tmp_path / "store", durability="relaxed") as storage, storage.write() as w:
        w.put_many([(b"%05d" % i, b"v" * 100) for i in range(500)])
    return tmp_path / "store"


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The data files that were walked."""
    walked: list[Path] = []

    def noted(path: Path) -> None:
        walked.append(path)
        walk(path)

    monkeypatch.setattr(lmdb_directory, "walk", noted)
    return walked


@pytest.mark.parametrize(
    "open_it",
    [
        lambda path: LmdbStorage(path, read_only=True),
        lambda path: LmdbStorage(path, create=False),
    ],
)
def test_a_missing_store_is_not_made_up(
    tmp_path: Path, open_it: Callable[[Path], LmdbStorage]
) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(StoreError, match="there is no store at"):
            open_it(path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="is a file; a store is a directory"):
        LmdbStorage(tmp_path / "file")


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_data_file_that_is_gone_or_empty_is_not_replaced(
    store: Path, damage: Callable[[Path], object]
) -> None:
    damage(store / "data.mdb")
    with pytest.raises(CorruptError, match=r"gone|ends after 0 bytes"):
        LmdbStorage(store)


def test_a_creation_that_was_interrupted_is_done_again(tmp_path: Path) -> None:
    """Killed between making the files and noting it, nothing can have been written yet."""
    path = tmp_path / "store"
    path.mkdir()
    for name in ("data.mdb", "writer.lock"):
        (path / name).write_bytes(b"")
    with LmdbStorage(path) as storage, storage.write() as w:
        w.put(b"a", b"1")
    with LmdbStorage(path) as storage:
        assert storage.get(b"a") == b"1"


def test_only_the_owner_may_read_a_store(store: Path) -> None:
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    for name in ("data.mdb", "lock.mdb", "writer.lock"):
        assert stat.S_IMODE((store / name).stat().st_mode) == 0o600


def test_the_lock_file_has_its_room_on_the_disk(store: Path) -> None:
    lock = (store / "lock.mdb").stat()
    assert lock.st_blocks * 512 >= lock.st_size > 0


def test_permission_denied_is_said(store: Path) -> None:
    """As another user: root may open everything."""
    script = (
        "import os, sys\n"
        "from feedlog.errors import StoreError\n"
        "from feedlog.lmdb_storage import LmdbStorage\n"
        "os.setuid(65534)\n"
        "try:\n"
        "    LmdbStorage(sys.argv[1])\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    assert os.getuid() == 0, "this test changes the user of a child process, so it needs root"
    done = subprocess.run(
        [sys.executable, "-c", script, store], capture_output=True, text=True, check=True
    )
    assert "permission to use the store" in done.stdout


def test_a_store_opens_once_in_a_process(store: Path) -> None:
    with LmdbStorage(store) as storage:
        with pytest.raises(StoreError, match="already open in this process"):
            LmdbStorage(store)
        with storage.write() as w:
            w.put(b"a", b"1")
    with LmdbStorage(store) as storage:
        assert storage.get(b"a") == b"1"


def test_a_store_that_was_closed_is_not_walked(store: Path, walks: list[Path]) -> None:
    LmdbStorage(store).close()
    with LmdbStorage(store) as storage, storage.write() as w:
        w.put(b"a", b"1")
    LmdbStorage(store).close()
    LmdbStorage(store, read_only=True).close()
    assert walks == []


def test_a_changed_file_is_walked_once(store: Path, walks: list[Path]) -> None:
    os.utime(store / "data.mdb", ns=(1, 1))
    LmdbStorage(store).close()
    assert walks == [store / "data.mdb"]
    LmdbStorage(store).close()
    assert len(walks) == 1


def test_a_store_without_its_lock_files_is_walked_and_opens(store: Path, walks: list[Path]) -> None:
    for name in ("lock.mdb", "writer.lock"):
        (store / name).unlink()
    with LmdbStorage(store) as storage:
        assert storage.get(b"00042") == b"v" * 100
    assert len(walks) == 1


def test_a_large_file_is_not_walked(
    store: Path, walks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(store / "data.mdb", ns=(1, 1))
    monkeypatch.setattr(lmdb_directory, "MAX_WALK_SIZE", (store / "data.mdb").stat().st_size - 1)
    LmdbStorage(store).close()
    assert walks == []


def test_a_large_file_that_is_too_short_is_walked(
    store: Path, walks: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lmdb_directory, "MAX_WALK_SIZE", 0)
    data = store / "data.mdb"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(CorruptError, match="the file ends before it does"):
        LmdbStorage(store)
    assert len(walks) == 1


def test_a_refused_store_can_be_opened_after_its_repair(store: Path) -> None:
    """A failed opening leaves no lock and no open environment behind."""
    good = (store / "data.mdb").read_bytes()
    for _ in range(3):
        (store / "data.mdb").write_bytes(good[: len(good) // 2])
        with pytest.raises(CorruptError):
            LmdbStorage(store)
        (store / "data.mdb").write_bytes(good)
        with LmdbStorage(store) as storage, storage.write() as w:
            w.put(b"00042", b"v" * 100)
        good = (store / "data.mdb").read_bytes()


def test_many_processes_may_create_one_store(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from feedlog.lmdb_storage import LmdbStorage\n"
        "sys.stdin.readline()\n"
        "with LmdbStorage(sys.argv[1]) as storage, storage.write() as w:\n"
        "    w.put(sys.argv[2].encode(), b'')\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, tmp_path / "store", str(i)], stdin=subprocess.PIPE
        )
        for i in range(4)
    ]
    for child in children:
        child.communicate(b"go\n")
    assert [child.returncode for child in children] == [0] * 4
    with LmdbStorage(tmp_path / "store") as storage:
        assert [storage.get(b"%d" % i) for i in range(4)] == [b""] * 4
