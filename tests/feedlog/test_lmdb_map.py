"""The map grows: in this process with readers open, in others, and not past what there is."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from feedlog import lmdb_map
from feedlog.errors import StoreError
from feedlog.lmdb_map import DEFAULT_MAP_SIZE
from feedlog.lmdb_storage import LmdbStorage
from feedlog.lmdb_transactions import LmdbReader, LmdbWriter

END = b"\xff" * 8
TINY = 64 * 1024
Entries = list[tuple[bytes, bytes]]


def entries(generation: int, count: int = 100) -> Entries:
    return [(b"%04d" % i, b"%d " % generation * 200) for i in range(count)]


def everything(reader: LmdbReader) -> Entries:
    return list(reader.scan(b"", END))


def map_size(storage: LmdbStorage) -> int:
    return storage._mapped.env.info()["map_size"]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[LmdbStorage]:
    with LmdbStorage(tmp_path / "store", durability="relaxed", map_size=TINY) as storage:
        yield storage


def test_a_transaction_larger_than_the_map_succeeds(tiny: LmdbStorage) -> None:
    with tiny.write() as w:
        w.put(b"first", b"1")
        assert w.get(b"first") == b"1"
        for key, value in entries(1, 1000):
            w.put(key, value)
        assert w.delete(b"0500")
        assert not w.delete(b"0500")
        assert w.delete_range(b"0000", b"0100") == 100
        w.put_many([(b"x%d" % i, bytes(10_000)) for i in range(100)])
        w.put(b"large", bytes(5_000_000))
        assert w.last(b"", b"1") == entries(1, 1000)[-1]
    assert map_size(tiny) >= 8 * 2**20
    with tiny.read() as r:
        want = entries(1, 1000)[100:]
        want.remove((b"0500", b"1 " * 200))
        assert list(r.scan(b"0", b"a")) == want
        assert r.get(b"first") == b"1"
        assert r.get(b"large") == bytes(5_000_000)
        assert len(list(r.scan(b"x", b"y"))) == 100


def test_a_map_that_is_full_only_at_the_commit_grows(tiny: LmdbStorage) -> None:
    """Filled page by page, some commit finds no room for its own list of free pages."""
    for i in range(2000):
        with tiny.write() as w:
            w.put(b"%06d" % i, b"v" * 1000)
    with tiny.read() as r:
        assert len(everything(r)) == 2000


def test_a_transaction_that_outgrew_the_map_can_be_undone(tiny: LmdbStorage) -> None:
    with tiny.write() as w:
        w.put_many(entries(1, 10))

    def grow_and_fail() -> None:
        with tiny.write() as w:
            w.put_many(entries(2, 5000))
            raise KeyError

    with pytest.raises(KeyError):
        grow_and_fail()
    with tiny.read() as r:
        assert everything(r) == entries(1, 10)


def test_snapshots_keep_their_state_while_the_map_grows(tiny: LmdbStorage) -> None:
    """Also those of old commits, whose pages the remapped process could not see any more."""
    with ExitStack() as stack:
        snapshots = []
        sizes = set()
        for generation in range(12):
            with tiny.write() as w:
                w.put_many(entries(generation, 20 * generation))
            snapshots.append(stack.enter_context(tiny.read()))
            sizes.add(map_size(tiny))
            for number, snapshot in enumerate(snapshots):
                assert everything(snapshot) == entries(number, 20 * number)
        assert len(sizes) > 3
        assert tiny.get(b"0000") == entries(11)[0][1]


def test_a_scan_goes_on_over_a_growing_map(tiny: LmdbStorage) -> None:
    with tiny.write() as w:
        w.put_many(entries(1))
    before = map_size(tiny)
    with tiny.read() as r:
        seen = []
        for number, entry in enumerate(r.scan(b"", END)):
            seen.append(entry)
            if number % 10 == 0:
                with tiny.write() as w:
                    w.put_many(entries(number + 2, 150))
        assert seen == entries(1)
    assert map_size(tiny) > before


def test_a_writers_scan_goes_on_over_a_growing_map(tiny: LmdbStorage) -> None:
    with tiny.write() as w:
        w.put_many(entries(1))
        for key, value in w.scan(b"", END):
            w.put(key, value * 20)
    assert tiny.get(b"0099") == entries(1)[99][1] * 20


def test_a_copied_state_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    with LmdbStorage(tmp_path / "store", durability="relaxed", map_size=TINY) as storage:
        with storage.write() as w:
            w.put_many(entries(1, 10))
        with storage.read() as snapshot:
            for generation in range(2, 6):
                with storage.write() as w:
                    w.put_many(entries(generation, 1000))
            assert snapshot.copy is not None
            assert everything(snapshot) == entries(1, 10)
        assert list(copies.iterdir()) == []


def test_a_state_that_cannot_be_copied_is_lost_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with LmdbStorage(tmp_path / "store", durability="relaxed", map_size=TINY) as storage:
        with storage.write() as w:
            w.put_many(entries(1, 10))
        with storage.read() as old, storage.read() as closed:
            closed.close()
            with storage.write() as w:
                w.put(b"next", b"")
            with storage.write() as w:
                w.put_many(entries(2, 1000))
            with pytest.raises(StoreError, match="this state could not be kept"):
                old.get(b"0000")
        assert storage.get(b"0000") == entries(2)[0][1]


def test_a_forgotten_reader_does_not_hold_pages(tiny: LmdbStorage) -> None:
    with tiny.write() as w:
        w.put_many(entries(1))
    tiny.read()
    gc.collect()
    assert tiny._mapped._readers == set()


def test_the_default_map_is_larger_than_any_disk(tmp_path: Path) -> None:
    with LmdbStorage(tmp_path / "store") as storage:
        assert map_size(storage) == DEFAULT_MAP_SIZE
        assert (tmp_path / "store" / "data.mdb").stat().st_size < 2**16


def limited_child(path: Path, script: str) -> str:
    """Run a script whose address space is limited to 2 GiB."""
    prelude = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
        "from feedlog.errors import StoreError\n"
        "from feedlog.lmdb_storage import LmdbStorage\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", prelude + script, path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rationed_address_space_gives_a_smaller_map(tmp_path: Path) -> None:
    out = limited_child(
        tmp_path / "store",
        "with LmdbStorage(sys.argv[1]) as storage:\n"
        "    with storage.write() as w:\n"
        "        w.put(b'a', bytes(10_000_000))\n"
        "    assert storage.get(b'a') == bytes(10_000_000)\n"
        "    print(storage._mapped.env.info()['map_size'])\n",
    )
    assert 2**26 <= int(out) <= 2**30


def test_a_map_that_cannot_grow_is_a_store_error_and_the_store_lives_on(
    tiny: LmdbStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tiny.write() as w:
        w.put(b"kept", b"1")
    with monkeypatch.context() as patch:
        patch.setattr(lmdb_map, "can_map", lambda _: False)
        with pytest.raises(StoreError, match="map of 65536 bytes cannot be grown to 131072"):
            fill(tiny)
    assert (tiny.get(b"kept"), tiny.get(b"0000")) == (b"1", None)
    fill(tiny)
    assert tiny.get(b"0000") == entries(1)[0][1]


def fill(storage: LmdbStorage) -> None:
    with storage.write() as w:
        w.put_many(entries(1, 1000))


def test_address_space_is_probed() -> None:
    assert lmdb_map.can_map(2**30)
    assert not lmdb_map.can_map(2**60)
    assert not lmdb_map.can_map(2**70)


def test_opening_without_address_space_is_a_store_error(tmp_path: Path) -> None:
    out = limited_child(
        tmp_path / "store",
        "try:\n"
        "    LmdbStorage(sys.argv[1], map_size=2**40)\n"
        "except StoreError as error:\n"
        "    print(error)\n",
    )
    assert "memory or address space does not suffice" in out


READER = """
import sys
from feedlog.lmdb_storage import LmdbStorage
storage = LmdbStorage(sys.argv[1], read_only=sys.argv[2] == "reader", map_size=65536)
snapshot = storage.read()
first = snapshot.get(b"0000")
for line in sys.stdin:
    if sys.argv[2] == "writer":
        with storage.write() as w:
            w.put(b"by a child", line.encode())
    with storage.read() as now:
        entries = list(now.scan(b"0", b":"))
    assert snapshot.get(b"0000") == first
    print(len(entries), entries[0][1][:2].decode(), flush=True)
"""


def test_readers_and_writers_of_other_processes_follow(tiny: LmdbStorage) -> None:
    """Each with a snapshot open over all of it."""
    with tiny.write() as w:
        w.put_many(entries(0, 10))
    children = [
        subprocess.Popen(
            [sys.executable, "-c", READER, tiny.path, role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for role in ("reader", "reader", "writer")
    ]
    try:
        for generation in range(1, 8):
            count = 100 * 2**generation
            with tiny.write() as w:
                w.put_many(entries(generation, count))
            for child in children:
                assert child.stdin is not None
                assert child.stdout is not None
                child.stdin.write("go on\n")
                child.stdin.flush()
                assert child.stdout.readline() == f"{count} {generation} \n"
        assert tiny.get(b"by a child") == b"go on\n"
        assert map_size(tiny) > 20 * TINY
    finally:
        for child in children:
            child.communicate()
    assert [child.returncode for child in children] == [0, 0, 0]


def in_a_fork(storage: LmdbStorage, reader: LmdbReader, said: object) -> None:
    attempts = (
        lambda: storage.get(b"0000"),
        storage.read,
        lambda: reader.get(b"0000"),
        lambda: storage.write().__enter__(),
    )
    for attempt in attempts:
        try:
            attempt()
        except StoreError as error:
            said.put(str(error))  # type: ignore[attr-defined]  # a queue, whose class is private
    storage.close()


def test_a_forked_child_cannot_use_its_parents_store(tiny: LmdbStorage) -> None:
    """It would share the parent's reader slots and locks, and both would take them for theirs."""
    with tiny.write() as w:
        w.put_many(entries(1))
    with tiny.read() as reader:
        context = multiprocessing.get_context("fork")
        said = context.SimpleQueue()
        child = context.Process(target=in_a_fork, args=(tiny, reader, said))
        child.start()
        child.join()
        assert child.exitcode == 0
        sentences = [said.get() for _ in range(4)]
        assert sum("was open when this process was forked" in words for words in sentences) == 3
        assert everything(reader) == entries(1)
    with tiny.write() as w:
        w.put_many(entries(2))
    assert tiny.get(b"0000") == entries(2)[0][1]


def test_a_fork_inside_a_write_block_leaves_the_transaction_to_the_parent(
    tiny: LmdbStorage,
) -> None:
    with tiny.write() as w:
        w.put(b"a", b"1")
        child = os.fork()
        if child == 0:
            os._exit(0 if _is_closed(w) else 1)
        assert os.waitpid(child, 0)[1] == 0
        w.put(b"b", b"2")
    assert (tiny.get(b"a"), tiny.get(b"b")) == (b"1", b"2")


def _is_closed(writer: LmdbWriter) -> bool:
    try:
        writer.put(b"c", b"3")
    except StoreError:
        return True
    return False
