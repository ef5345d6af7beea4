"""One suite that every storage passes: what feedlog/storage.py promises."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from feedlog.errors import StoreError
from feedlog.lmdb_storage import LmdbStorage
from feedlog.memory_storage import MemoryStorage
from feedlog.storage import MAX_KEY_SIZE, Storage

END = b"\xff" * 8


class Rollback(Exception):
    pass


@pytest.fixture(params=["lmdb", "lmdb-tiny-map", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    made: Storage
    if request.param == "memory":
        made = MemoryStorage()
    else:
        size = 64 * 1024 if request.param == "lmdb-tiny-map" else None
        made = LmdbStorage(tmp_path / "store", durability="relaxed", map_size=size)
    yield made
    made.close()


def fill(storage: Storage, count: int = 1000) -> list[tuple[bytes, bytes]]:
    items = [(b"k%06d" % i, b"v%d" % i * (i % 7)) for i in range(count)]
    with storage.write() as w:
        w.put_many(items)
    return items


def test_a_value_is_read_back(storage: Storage) -> None:
    with storage.write() as w:
        w.put(b"a", b"1")
        w.put(b"b", b"")
        w.put(b"c" * MAX_KEY_SIZE, b"\0" * 70_000)
    assert storage.get(b"a") == b"1"
    assert storage.get(b"b") == b""
    assert storage.get(b"c" * MAX_KEY_SIZE) == b"\0" * 70_000
    assert storage.get(b"d") is None
    with storage.read() as r:
        assert r.get(b"a") == b"1"
        assert r.get(b"d") is None


def test_keys_that_do_not_fit_are_misuse(storage: Storage) -> None:
    for key in (b"", b"x" * (MAX_KEY_SIZE + 1)):
        with pytest.raises(ValueError, match="1 to 511"), storage.write() as w:
            w.put(key, b"")
        with pytest.raises(ValueError, match="1 to 511"), storage.write() as w:
            w.put_many([(b"fine", b""), (key, b"")])
    with pytest.raises(ValueError, match="1 to 511"):
        storage.get(b"")
    assert storage.get(b"fine") is None


def test_misuse_inside_a_block_leaves_the_transaction_usable(storage: Storage) -> None:
    with storage.write() as w:
        w.put(b"a", b"1")
        with pytest.raises(ValueError, match="1 to 511"):
            w.put(b"", b"")
        w.put(b"b", b"2")
    assert (storage.get(b"a"), storage.get(b"b")) == (b"1", b"2")


def test_scan_is_half_open_and_in_order(storage: Storage) -> None:
    items = fill(storage)
    with storage.read() as r:
        assert list(r.scan(b"", END)) == items
        assert list(r.scan(b"", END, reverse=True)) == items[::-1]
        assert list(r.scan(b"k000010", b"k000020")) == items[10:20]
        assert list(r.scan(b"k000010", b"k000020", reverse=True)) == items[19:9:-1]
        assert list(r.scan(b"k000010\0", b"k000020\0")) == items[11:21]
        assert list(r.scan(b"k000020", b"k000010")) == []
        assert list(r.scan(b"x", END)) == []
        assert list(r.scan(b"", b"a", reverse=True)) == []


def test_scan_of_the_longest_keys(storage: Storage) -> None:
    keys = [b"k" * (MAX_KEY_SIZE - 1) + bytes([i]) for i in range(100)]
    with storage.write() as w:
        w.put_many([(key, b"") for key in keys])
        assert [key for key, _ in w.scan(b"", END)] == keys
    with storage.read() as r:
        assert [key for key, _ in r.scan(b"", END, reverse=True)] == keys[::-1]


def test_last_finds_the_greatest_key_below(storage: Storage) -> None:
    items = fill(storage)
    with storage.read() as r:
        assert r.last(b"", END) == items[-1]
        assert r.last(b"", b"k000500") == items[499]
        assert r.last(b"", b"k000500\0") == items[500]
        assert r.last(b"k000500", b"k000500\0") == items[500]
        assert r.last(b"k0005001", b"k000501") is None
        assert r.last(b"l", END) is None
        assert r.last(b"", b"a") is None


def test_a_writer_reads_its_own_writes_and_others_do_not(storage: Storage) -> None:
    fill(storage, 3)
    with storage.write() as w:
        w.put(b"new", b"1")
        assert w.delete(b"k000000")
        assert not w.delete(b"absent")
        assert w.get(b"new") == b"1"
        assert w.get(b"k000000") is None
        assert [key for key, _ in w.scan(b"", END)] == [b"k000001", b"k000002", b"new"]
        assert w.last(b"", END) == (b"new", b"1")
        assert storage.get(b"new") is None
        assert storage.get(b"k000000") == b""
        with storage.read() as r:
            assert [key for key, _ in r.scan(b"", END)] == [b"k00000%d" % i for i in range(3)]
            assert r.last(b"", END) == (b"k000002", b"v2v2")
    assert storage.get(b"new") == b"1"


def test_delete_range_counts(storage: Storage) -> None:
    items = fill(storage)
    with storage.write() as w:
        assert w.delete_range(b"k000100", b"k000900") == 800
        assert w.delete_range(b"k000100", b"k000900") == 0
        assert w.delete_range(b"k000950", END) == 50
    with storage.read() as r:
        assert list(r.scan(b"", END)) == items[:100] + items[900:950]


def test_an_error_in_the_block_leaves_nothing(storage: Storage) -> None:
    items = fill(storage)

    def fail() -> None:
        with storage.write() as w:
            w.delete_range(b"", END)
            w.put(b"new", b"1")
            w.put(b"k000001", b"changed")
            raise Rollback

    with pytest.raises(Rollback):
        fail()
    with storage.read() as r:
        assert list(r.scan(b"", END)) == items


def test_blocks_of_one_thread_join(storage: Storage) -> None:
    first, second = storage.write(), storage.write()
    with first as outer:
        outer.put(b"a", b"1")
        with second as inner:
            assert inner.get(b"a") == b"1"
            inner.put(b"b", b"2")
        assert storage.get(b"b") is None
        outer.put(b"c", b"3")
    assert [storage.get(key) for key in (b"a", b"b", b"c")] == [b"1", b"2", b"3"]


def test_an_error_in_an_inner_block_undoes_the_whole(storage: Storage) -> None:
    def inner() -> None:
        with storage.write() as w:
            w.put(b"b", b"2")
            raise Rollback

    def outer() -> None:
        with storage.write() as w:
            w.put(b"a", b"1")
            with pytest.raises(Rollback):
                inner()

    with pytest.raises(StoreError, match="nothing was written"):
        outer()
    assert (storage.get(b"a"), storage.get(b"b")) == (None, None)
    fill(storage, 1)
    assert storage.get(b"k000000") == b""


def test_a_reader_keeps_its_state_while_others_commit(storage: Storage) -> None:
    items = fill(storage)
    readers = []
    states = []
    stack = ExitStack()
    for step in range(5):
        readers.append(stack.enter_context(storage.read()))
        with storage.read() as now:
            states.append(list(now.scan(b"", END)))
        with storage.write() as w:
            w.delete_range(b"k000%d" % step, b"k000%d" % (step + 1))
            w.put_many([(b"n%d%03d" % (step, i), b"x" * 500) for i in range(100)])
            w.put(b"k000900", b"%d" % step)
    assert states[0] == items
    for reader, state in zip(readers, states, strict=True):
        assert list(reader.scan(b"", END)) == state
        assert list(reader.scan(b"", END, reverse=True)) == state[::-1]
        assert reader.last(b"", END) == state[-1]
        assert [reader.get(key) for key, _ in items] == [dict(state).get(key) for key, _ in items]
    stack.close()


def test_a_scan_goes_on_while_others_commit(storage: Storage) -> None:
    items = fill(storage)
    with storage.read() as r:
        scan = r.scan(b"", END)
        seen = [next(scan)]
        with storage.write() as w:
            w.delete_range(b"", END)
            w.put_many([(b"k%06d!" % i, b"y" * 300) for i in range(2000)])
        seen.extend(scan)
        assert seen == items


@pytest.mark.parametrize("reverse", [False, True])
def test_a_writers_scan_sees_what_changes_ahead_of_it(storage: Storage, reverse: bool) -> None:
    items = fill(storage, 100)
    if reverse:
        items.reverse()
    with storage.write() as w:
        seen = []
        for key, _ in w.scan(b"", END, reverse=reverse):
            seen.append(key)
            if key == items[20][0]:
                w.delete(items[21][0])
                w.delete(items[20][0])
                w.put(items[22][0], b"changed" * 100)
                w.put(items[30][0] + b"!", b"")
        want = [key for key, _ in items]
        want.insert(want.index(items[30][0]) + (0 if reverse else 1), items[30][0] + b"!")
        want.remove(items[21][0])
        assert seen == want


def test_writers_of_several_threads_take_turns(storage: Storage) -> None:
    def count() -> None:
        for _ in range(50):
            with storage.write() as w:
                w.put(b"n", b"%d" % (int(w.get(b"n") or b"0") + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.get(b"n") == b"200"


def test_readers_of_several_threads_see_whole_commits(storage: Storage) -> None:
    """Two keys change together; no reader ever sees them differ, nor a value go back."""
    done = threading.Event()
    faults: list[str] = []

    def watch() -> None:
        newest = -1
        while not done.is_set():
            with storage.read() as r:
                left, right = r.get(b"left"), r.get(b"right")
                again = dict(r.scan(b"", END)).get(b"left")
            if not left == right == again:
                faults.append(f"{left!r} {right!r} {again!r}")
            if int(left or b"0") < newest:
                faults.append(f"{left!r} after {newest}")
            newest = int(left or b"0")

    threads = [threading.Thread(target=watch) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for n in range(300):
            with storage.write() as w:
                w.put(b"left", b"%d" % n)
                w.put(b"middle%05d" % n, b"x" * 2000)  # makes the tiny map grow
                w.put(b"right", b"%d" % n)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not faults


def test_what_is_over_cannot_be_used(storage: Storage) -> None:
    fill(storage, 20)
    with storage.read() as r:
        scan = r.scan(b"", END)
        next(scan)
    with storage.write() as w:
        w.put(b"a", b"")
    uses: list[Callable[[], object]] = [
        lambda: r.get(b"a"),
        lambda: r.last(b"", END),
        lambda: list(scan),
        lambda: w.get(b"a"),
        lambda: w.put(b"a", b""),
        lambda: w.delete(b"a"),
    ]
    for use in uses:
        with pytest.raises(StoreError, match="closed"):
            use()
    open_reader = storage.read().__enter__()
    storage.close()
    storage.close()
    for use in (
        lambda: storage.get(b"a"),
        lambda: storage.read().__enter__(),
        lambda: storage.write().__enter__(),
        lambda: open_reader.get(b"a"),
    ):
        with pytest.raises(StoreError, match="closed"):
            use()


def test_close_inside_a_write_block_is_misuse(storage: Storage) -> None:
    with storage.write() as w:
        w.put(b"a", b"1")
        with pytest.raises(ValueError, match="inside"):
            storage.close()
    assert storage.get(b"a") == b"1"


def test_the_generation_grows_with_each_commit_and_with_nothing_else(storage: Storage) -> None:
    def change_and_roll_back() -> None:
        with storage.write() as w:
            w.put(b"a", b"1")
            raise Rollback

    before = storage.generation()
    with pytest.raises(Rollback):
        change_and_roll_back()
    with storage.read() as r:
        r.get(b"a")
    assert storage.generation() == before
    with storage.write() as w:
        w.put(b"a", b"1")
        assert storage.generation() == before
    assert storage.generation() > before
