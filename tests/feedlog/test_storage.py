"""One suite that every storage passes: what feedlog/storage.py promises."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, precondition, rule

from feedlog.errors import StoreError
from feedlog.lmdb_storage import LmdbStorage
from feedlog.memory_storage import MemoryStorage
from feedlog.storage import MAX_KEY_SIZE, Reader, Storage, Writer

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


def test_readers_of_one_commit_have_its_number(storage: Storage) -> None:
    fill(storage)
    with storage.read() as first, storage.read() as second:
        assert first.generation == second.generation == storage.generation()
        with storage.write() as w:
            assert w.generation is None
            w.put_many([(b"k%d" % i, bytes(1000)) for i in range(1000)])  # a tiny map grows here
            with storage.read() as third:
                assert third.generation == first.generation
        with storage.read() as fourth:
            assert fourth.generation == storage.generation() != first.generation
        assert first.generation == second.generation


def test_a_writer_knows_the_commit_before_it_and_its_own(storage: Storage) -> None:
    before = storage.generation()
    with storage.write() as w:
        assert (w.base, w.committed) == (before, None)
        with storage.write() as joined:
            assert (joined.base, joined.committed) == (before, None)
            joined.put(b"a", b"1")
        assert (w.base, w.committed) == (None, None)
    assert w.committed == storage.generation() != before
    undone: list[Writer] = []
    with pytest.raises(Rollback):
        put_and_leave(storage, undone)
    assert undone[0].committed is None
    with storage.write() as w:
        assert w.base == storage.generation()
        w.delete(b"a")
        assert w.base != storage.generation()
    assert w.committed == storage.generation()


def put_and_leave(storage: Storage, seen: list[Writer]) -> None:
    with storage.write() as w:
        seen.append(w)
        w.put(b"b", b"2")
        raise Rollback


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


KEYS = st.binary(min_size=1, max_size=2) | st.sampled_from([b"k" * MAX_KEY_SIZE, b"k" * 100])
VALUES = st.binary(max_size=20) | st.integers(0, 12_000).map(lambda size: b"v" * size)
State = dict[bytes, bytes]


def cut(state: State, low: bytes, high: bytes) -> list[tuple[bytes, bytes]]:
    return [(key, state[key]) for key in sorted(state) if low <= key < high]


class StorageMachine(RuleBasedStateMachine):
    """A storage against dicts: transactions that nest and roll back, readers that stay open."""

    readers = Bundle("readers")

    def __init__(self) -> None:
        super().__init__()
        self.resources = ExitStack()
        self.storage = self.open()
        self.committed: State = {}
        self.changed: State | None = None
        self.blocks: list[ExitStack] = []
        self.writer: Writer | None = None

    def open(self) -> Storage:
        raise NotImplementedError

    def teardown(self) -> None:
        while self.blocks:
            self.leave(fail=True)
        self.storage.close()
        self.resources.close()

    # Write blocks

    @rule()
    def enter(self) -> None:
        block = ExitStack()
        self.writer = block.enter_context(self.storage.write())
        if not self.blocks:
            self.changed = dict(self.committed)
        self.blocks.append(block)

    @precondition(lambda self: self.blocks)
    @rule()
    def commit(self) -> None:
        self.leave(fail=False)

    @precondition(lambda self: self.blocks)
    @rule()
    def roll_back(self) -> None:
        while self.blocks:
            self.leave(fail=True)

    def leave(self, *, fail: bool) -> None:
        block = self.blocks.pop()
        block.__exit__(*(Rollback, Rollback(), None) if fail else (None, None, None))
        if not self.blocks:
            if not fail:
                assert self.changed is not None
                self.committed = self.changed
            self.changed, self.writer = None, None

    @precondition(lambda self: self.blocks)
    @rule(key=KEYS, value=VALUES)
    def put(self, key: bytes, value: bytes) -> None:
        assert self.writer is not None
        assert self.changed is not None
        self.writer.put(key, value)
        self.changed[key] = value

    @precondition(lambda self: self.blocks)
    @rule(items=st.dictionaries(KEYS, VALUES, max_size=30))
    def put_many(self, items: State) -> None:
        assert self.writer is not None
        assert self.changed is not None
        self.writer.put_many(sorted(items.items()))
        self.changed.update(items)

    @precondition(lambda self: self.blocks)
    @rule(first=st.integers(0, 60_000), count=st.integers(200, 600))
    def put_a_run(self, first: int, count: int) -> None:
        assert self.writer is not None
        assert self.changed is not None
        items = [((first + i).to_bytes(2, "big") + b"run", b"r" * 40) for i in range(count)]
        self.writer.put_many(items)
        self.changed.update(items)

    @precondition(lambda self: self.blocks)
    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        assert self.writer is not None
        assert self.changed is not None
        assert self.writer.delete(key) == (self.changed.pop(key, None) is not None)

    @precondition(lambda self: self.blocks)
    @rule(low=KEYS, high=KEYS)
    def delete_range(self, low: bytes, high: bytes) -> None:
        assert self.writer is not None
        assert self.changed is not None
        gone = cut(self.changed, low, high)
        assert self.writer.delete_range(low, high) == len(gone)
        for key, _ in gone:
            del self.changed[key]

    # Readers

    @rule(target=readers)
    def read(self) -> tuple[Reader, ExitStack, State]:
        stack = ExitStack()
        return stack.enter_context(self.storage.read()), stack, dict(self.committed)

    @rule(reader=consumes(readers))
    def close_reader(self, reader: tuple[Reader, ExitStack, State]) -> None:
        reader[1].close()

    @rule(reader=readers, low=KEYS, high=KEYS, reverse=st.booleans())
    def look(
        self, reader: tuple[Reader, ExitStack, State], low: bytes, high: bytes, reverse: bool
    ) -> None:
        self.compare(reader[0], reader[2], low, high, reverse)

    @precondition(lambda self: self.blocks)
    @rule(low=KEYS, high=KEYS, reverse=st.booleans())
    def look_into_the_transaction(self, low: bytes, high: bytes, reverse: bool) -> None:
        assert self.writer is not None
        assert self.changed is not None
        self.compare(self.writer, self.changed, low, high, reverse)

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        assert self.storage.get(key) == self.committed.get(key)

    def compare(self, reader: Reader, state: State, low: bytes, high: bytes, reverse: bool) -> None:
        want = cut(state, low, high)
        assert reader.last(low, high) == (want[-1] if want else None)
        assert list(reader.scan(low, high, reverse=reverse)) == (want[::-1] if reverse else want)
        assert reader.get(low) == state.get(low)


class LmdbMachine(StorageMachine):
    """On disk, in a map that grows all the time."""

    def open(self) -> Storage:
        self.path = self.resources.enter_context(tempfile.TemporaryDirectory())
        return LmdbStorage(self.path, durability="relaxed", map_size=64 * 1024)

    @precondition(lambda self: not self.blocks)
    @rule()
    def check_pages(self) -> None:
        assert isinstance(self.storage, LmdbStorage)
        self.storage.check_pages()


class MemoryMachine(StorageMachine):
    def open(self) -> Storage:
        return MemoryStorage()


TestLmdbMachine = LmdbMachine.TestCase
TestMemoryMachine = MemoryMachine.TestCase
TestLmdbMachine.settings = settings(max_examples=40, stateful_step_count=40)
TestMemoryMachine.settings = settings(max_examples=40, stateful_step_count=40)
