"""The storage on disk against what happens to processes and disks.

What may kill an interpreter happens in child processes, so that a crash is a result.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from feedlog.errors import CorruptError, NotWritable, StoreError
from feedlog.lmdb_storage import LmdbStorage

END = b"\xff" * 8
PAGE = 4096
META_WRITE = 120
"""Bytes of a meta page that LMDB writes at each commit."""


def run(script: str, *arguments: object) -> str:
    """Run a program of its own, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


# Opening and options


def test_a_store_is_found_again(tmp_path: Path) -> None:
    with LmdbStorage(tmp_path / "a" / "b") as storage, storage.write() as w:
        w.put(b"k", b"v")
    for read_only in (False, True):
        with LmdbStorage(tmp_path / "a" / "b", read_only=read_only, create=False) as storage:
            assert storage.get(b"k") == b"v"


@pytest.mark.parametrize(
    "options", [{"durability": "eventual"}, {"map_size": 0}, {"map_size": -4096}]
)
def test_options_that_make_no_sense_are_misuse(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"durability is|map_size is"):
        LmdbStorage(tmp_path / "store", **options)  # type: ignore[arg-type]  # the point of it
    assert not (tmp_path / "store").exists()


def test_a_read_only_store_refuses_to_write_and_follows_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "store"
    LmdbStorage(path).close()
    with LmdbStorage(path, read_only=True) as storage:
        with pytest.raises(NotWritable, match="read-only"), storage.write():
            pass
        assert storage.get(b"k") is None
        writer = (
            "import sys\n"
            "from feedlog.lmdb_storage import LmdbStorage\n"
            "with LmdbStorage(sys.argv[1]) as storage, storage.write() as w:\n"
            "    w.put(b'k', b'v')\n"
        )
        run(writer, path)
        assert storage.get(b"k") == b"v"
        storage.sync()
        storage.check_pages()


# Damage


def test_values_of_a_damaged_page_are_not_handed_out(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with LmdbStorage(path) as storage, storage.write() as w:
        w.put_many([(b"%04d" % i, b"value of %04d" % i) for i in range(500)])
    data = (path / "data.mdb").read_bytes()
    (path / "data.mdb").write_bytes(data.replace(b"value of 0123", b"value of 0124"))
    with LmdbStorage(path) as storage:
        assert storage.get(b"0122") == b"value of 0122"
        with pytest.raises(CorruptError, match="30313233 does not match its checksum"):
            storage.get(b"0123")
        with storage.read() as r, pytest.raises(CorruptError, match="checksum"):
            list(r.scan(b"", END))


def test_a_check_finds_what_happens_to_an_open_store(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with LmdbStorage(path) as storage:
        with storage.write() as w:
            w.put_many([(b"%04d" % i, b"v" * 100) for i in range(500)])
        storage.check_pages()
        with storage.write() as w:
            w.put(b"k", b"v")
            storage.check_pages()
        data = bytearray((path / "data.mdb").read_bytes())
        data[5 * PAGE + 8 * 2 + 1] ^= 0x80  # an offset of a node, or a free page
        data[6 * PAGE + 8 * 2 + 1] ^= 0x80
        (path / "data.mdb").write_bytes(data)
        with pytest.raises(CorruptError, match="nodes outside of it"):
            storage.check_pages()


DAMAGE = """
import json, os, pathlib, signal, sys
from random import Random
from feedlog.errors import CorruptError, StoreError
from feedlog.lmdb_storage import LmdbStorage

path, kind, first, last = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
END = b"\\xff" * 8
good = (path / "data.mdb").read_bytes()
record = (path / "writer.lock").read_bytes()
with LmdbStorage(path) as storage, storage.read() as r:
    want = dict(r.scan(b"", END))
results = {"refused": 0, "right": 0, "wrong": 0, "crashed": 0, "hung": 0}

def damage(rng):
    data = bytearray(good)
    if kind == "cut":
        size = rng.randrange(len(data))
        return data[: rng.choice([size, size // 4096 * 4096])]
    for _ in range(rng.choice([1, 1, 1, 20])):
        at = rng.randrange(len(data))
        if kind == "heads":
            at = at // 4096 * 4096 + rng.randrange(64)
        data[at] ^= 1 << rng.randrange(8)
    return data

def use(rng):
    with LmdbStorage(path, durability="relaxed") as storage:
        refused = 0
        for key in rng.sample(sorted(want), 50):
            try:
                if storage.get(key) != want[key]:
                    return "wrong"
            except CorruptError:
                refused = 1
        for reverse in (False, True):
            try:
                with storage.read() as r:
                    if dict(r.scan(b"", END, reverse=reverse)) != want:
                        return "wrong"
            except CorruptError:
                refused = 1
        for number in range(10):
            with storage.write() as w:
                w.delete(rng.choice(sorted(want)))
                w.put(b"new%d" % number, bytes(rng.choice([10, 3000, 9000])))
    return "refused" if refused else "right"

for seed in range(first, last):
    rng = Random(seed)
    (path / "data.mdb").write_bytes(damage(rng))
    (path / "writer.lock").write_bytes(record)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            result = use(rng)
        except StoreError:
            result = "refused"
        os._exit(list(results).index(result))
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        result = "hung" if os.WTERMSIG(status) == signal.SIGALRM else "crashed"
        print(f"seed {seed}: signal {os.WTERMSIG(status)}", file=sys.stderr)
    else:
        result = list(results)[os.WEXITSTATUS(status)]
        assert result in results
    results[result] += 1
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def varied_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two levels of branches, values in pages of their own, and free pages."""
    path = tmp_path_factory.mktemp("damage") / "store"
    with LmdbStorage(path, durability="relaxed") as storage:
        with storage.write() as w:
            w.put_many([(b"%05d" % i, os.urandom(60)) for i in range(3000)])
            w.put_many([(b"large%03d" % i, os.urandom(3000 * i)) for i in range(30)])
        for i in range(20):
            with storage.write() as w:
                w.delete_range(b"%05d" % (100 * i), b"%05d" % (100 * i + 50))
                w.put(b"large%03d" % i, os.urandom(5000))
    return path


@pytest.mark.parametrize("kind", ["cut", "flips", "heads"])
def test_damage_is_refused_or_without_effect(varied_store: Path, tmp_path: Path, kind: str) -> None:
    results = damaged(varied_store, tmp_path, kind, range(60))
    assert results["refused"] >= 5
    assert kind == "cut" or results["right"] >= 1


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["cut", "flips", "heads"])
def test_much_damage_is_refused_or_without_effect(
    varied_store: Path, tmp_path: Path, kind: str
) -> None:
    damaged(varied_store, tmp_path, kind, range(1000, 4000))


def damaged(store: Path, tmp_path: Path, kind: str, seeds: range) -> dict[str, int]:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("data.mdb", "writer.lock"):
        (copy / name).write_bytes((store / name).read_bytes())
    results: dict[str, int] = json.loads(run(DAMAGE, copy, kind, seeds.start, seeds.stop))
    assert sum(results.values()) == len(seeds)
    assert results["wrong"] == results["crashed"] == results["hung"] == 0, results
    return results


# Killed


KILLS = """
import os, signal, sys
from random import Random
from feedlog.lmdb_storage import LmdbStorage

path, durability, kills, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
rng = Random(seed)
END = b"\\xff" * 8

def write_for_ever(pipe, rng, options):
    with LmdbStorage(path, durability=durability, **options) as storage:
        while True:
            with storage.write() as w:
                n = int(w.get(b"count") or b"0") + 1
                w.put(b"count", b"%d" % n)
                w.put(b"left%08d" % n, b"%d " % n * rng.choice([1, 10, 100, 1000]))
                w.put_many([(b"%04d" % rng.randrange(3000), b"%d" % n * 50) for _ in range(20)])
                if rng.random() < 0.2:
                    low = rng.randrange(3000)
                    w.delete_range(b"%04d" % low, b"%04d" % (low + 300))
                w.put(b"right%08d" % n, b"%d " % n)
            os.write(pipe, n.to_bytes(8, "big"))

acknowledged = 0
for kill in range(kills):
    options = {"map_size": 65536} if rng.random() < 0.5 else {}
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        write_for_ever(theirs, Random(rng.random()), options)
    os.close(theirs)
    for _ in range(rng.randrange(1, 40)):
        acknowledged = int.from_bytes(os.read(ours, 8), "big")
    for _ in range(rng.randrange(20_000)):
        pass  # into the next transaction, or its commit
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while said := os.read(ours, 8):
        acknowledged = int.from_bytes(said, "big")
    os.close(ours)
    checker = os.fork()
    if checker == 0:
        with LmdbStorage(path) as storage:
            storage.check_pages()
            count = int(storage.get(b"count"))
            assert acknowledged <= count <= acknowledged + 1, (acknowledged, count)
            with storage.read() as r:
                left = [int(k[4:]) for k, v in r.scan(b"left", b"lefu")]
                right = [int(k[5:]) for k, v in r.scan(b"right", b"righu")]
                assert left == right == list(range(1, count + 1)), kill
                assert all(int(v.split()[0]) == int(k[4:]) for k, v in r.scan(b"left", b"lefu"))
                list(r.scan(b"", END))
        os._exit(0)
    assert os.waitpid(checker, 0)[1] == 0, kill
print(acknowledged)
"""


@pytest.mark.parametrize("durability", ["durable", "relaxed"])
def test_a_killed_writer_leaves_whole_transactions(tmp_path: Path, durability: str) -> None:
    assert int(run(KILLS, tmp_path / "store", durability, 15, 1)) > 50


@pytest.mark.soak
@pytest.mark.parametrize("durability", ["durable", "relaxed"])
def test_a_writer_killed_two_hundred_times_leaves_whole_transactions(
    tmp_path: Path, durability: str
) -> None:
    assert int(run(KILLS, tmp_path / "store", durability, 200, 2)) > 1000


# Full disks


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """Mount a file system of limited size."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


FILL = """
import os, pathlib, sys
from feedlog.errors import StoreError
from feedlog.lmdb_storage import LmdbStorage
disk = pathlib.Path(sys.argv[1])
ballast = disk / "ballast"
ballast.write_bytes(bytes(500_000))
storage = LmdbStorage(disk / "store", durability=sys.argv[2])
count, refused = 0, 0
while refused < 3:
    try:
        with storage.write() as w:
            w.put_many([(b"%06d %d" % (count, i), b"%d" % count * 100) for i in range(20)])
        count += 1
    except StoreError as error:
        refused += 1
        assert "is full" in str(error), error

def check():
    with storage.read() as r:
        entries = list(r.scan(b"", b"\\xff"))
    assert len(entries) == 20 * count, (len(entries), count)
    assert all(value == b"%d" % int(key[:6]) * 100 for key, value in entries)
    storage.check_pages()

check()
storage.close()
storage = LmdbStorage(disk / "store", durability=sys.argv[2])
check()
ballast.unlink()
for _ in range(20):
    with storage.write() as w:
        w.put_many([(b"%06d %d" % (count, i), b"%d" % count * 100) for i in range(20)])
    count += 1
check()
storage.close()
print(count)
"""
OPEN_ON_A_FULL_DISK = """
import pathlib, sys
from feedlog.errors import StoreError
from feedlog.lmdb_storage import LmdbStorage
disk = pathlib.Path(sys.argv[1])
LmdbStorage(disk / "old").close()
(disk / "old" / "lock.mdb").unlink()
room = 3_000_000
with (disk / "ballast").open("wb", buffering=0) as file:
    while room:
        try:
            file.write(bytes(room))
        except OSError:
            room //= 2
for name in ("old", "new"):
    try:
        LmdbStorage(disk / name)
    except StoreError as error:
        print(error)
(disk / "ballast").unlink()
for name in ("old", "new"):
    with LmdbStorage(disk / name) as storage, storage.write() as w:
        w.put(b"k", b"v")
"""


@pytest.mark.parametrize("durability", ["durable", "relaxed"])
def test_a_full_disk_is_said_and_survived(tmp_path: Path, durability: str) -> None:
    assert os.getuid() == 0, "this test mounts a small file system, so it needs root"
    with small_disk(tmp_path / "disk", "3m") as disk:
        assert int(run(FILL, disk, durability)) > 40


def test_opening_on_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    """LMDB writes its lock file through a map: without care this is a SIGBUS."""
    assert os.getuid() == 0, "this test mounts a small file system, so it needs root"
    with small_disk(tmp_path / "disk", "2m") as disk:
        assert run(OPEN_ON_A_FULL_DISK, disk).count("is full") == 2


# Several processes


COUNT = """
import sys
from feedlog.lmdb_storage import LmdbStorage
with LmdbStorage(sys.argv[1], durability="relaxed", map_size=65536) as storage:
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(200):
        with storage.write() as w:
            total = int(w.get(b"total") or b"0") + 1
            w.put(b"total", b"%d" % total)
            w.put(b"%d by %d" % (total, int(sys.argv[2])), bytes(1000))
"""


def test_writers_of_two_processes_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "store"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", COUNT, path, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.flush()
    for child in children:
        child.communicate()
        assert child.returncode == 0
    with LmdbStorage(path) as storage, storage.read() as r:
        assert r.get(b"total") == b"400"
        numbers = sorted(int(key.split()[0]) for key, _ in r.scan(b"1", b":"))
        assert numbers == list(range(1, 401))


WATCH = """
import sys
from feedlog.lmdb_storage import LmdbStorage
with LmdbStorage(sys.argv[1], read_only=True, map_size=65536) as storage:
    print("ready", flush=True)
    newest = 0
    while newest < 300:
        with storage.read() as r:
            left, right = int(r.get(b"left") or b"0"), int(r.get(b"right") or b"0")
            assert left == right >= newest, (left, right, newest)
            assert len(list(r.scan(b"middle", b"middlf"))) == left
            newest = left
"""


def test_four_reading_processes_never_see_a_torn_state(tmp_path: Path) -> None:
    with LmdbStorage(tmp_path / "store", durability="relaxed", map_size=65536) as storage:
        children = [
            subprocess.Popen(
                [sys.executable, "-c", WATCH, tmp_path / "store"], stdout=subprocess.PIPE
            )
            for _ in range(4)
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
        for number in range(1, 301):
            with storage.write() as w:
                w.put(b"left", b"%d" % number)
                w.put(b"middle%d" % number, bytes(500))
                w.put(b"right", b"%d" % number)
        for child in children:
            child.communicate()
            assert child.returncode == 0


# What it costs


COST = """
import sys
from feedlog.lmdb_storage import LmdbStorage

def written():
    with open("/proc/self/io") as file:
        return int(dict(line.split(": ") for line in file)["wchar"])

with LmdbStorage(sys.argv[1], durability=sys.argv[2]) as storage:
    with storage.write() as w:
        w.put_many([(b"%08d" % i, bytes(300)) for i in range(int(sys.argv[3]))])
    costs = []
    for i in range(50):
        before = written()
        with storage.write() as w:
            w.put_many([(b"%08d" % (90 + n), bytes(300)) for n in (2 * i, 2 * i + 1)])
        costs.append(written() - before)
    print(storage._mapped.env.stat()["depth"], sorted(costs)[25])
"""


@pytest.mark.parametrize("durability", ["durable", "relaxed"])
@pytest.mark.parametrize(("entries", "depth"), [(200, 2), (6000, 3)])
def test_a_commit_writes_one_page_a_level_and_one_for_free_pages(
    tmp_path: Path, durability: str, entries: int, depth: int
) -> None:
    found, cost = map(int, run(COST, tmp_path / "store", durability, entries).split())
    assert found == depth
    assert cost == (depth + 1) * PAGE + META_WRITE


def test_freed_pages_are_used_again_and_a_copy_gives_them_back(tmp_path: Path) -> None:
    path = tmp_path / "store"
    batch = [(b"%06d" % i, bytes(100)) for i in range(5000)]
    with LmdbStorage(path, durability="relaxed") as storage:
        with storage.write() as w:
            w.put_many(batch)
        for _ in range(10):
            with storage.write() as w:
                w.delete_range(b"", END)
            with storage.write() as w:
                w.put_many(batch)
        grown = (path / "data.mdb").stat().st_size
        assert grown < 3 * 5000 * 130
        with storage.write() as w:
            w.delete_range(batch[100][0], END)
        assert (path / "data.mdb").stat().st_size >= grown
        storage.copy_to(tmp_path / "copy")
        with pytest.raises(StoreError, match="is not empty"):
            storage.copy_to(tmp_path / "copy")
    assert (tmp_path / "copy" / "data.mdb").stat().st_size < 50_000
    assert (tmp_path / "copy" / "data.mdb").stat().st_mode & 0o777 == 0o600
    with LmdbStorage(tmp_path / "copy") as copy, copy.read() as r:
        assert list(r.scan(b"", END)) == batch[:100]
        copy.check_pages()
