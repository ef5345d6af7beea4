"""What a feed keeps through kills, full disks and rivals: real processes on real files."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

import pytest

from feedlog import Feed, Store, StoreError

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["feedlog"])

KILLS = 200
KILLS_OF_ONE_STORE = 20
"""Then a new store is begun: opening one after a kill walks all its pages."""
TINY_MAP = 1 << 17


def block_of(index: int) -> bytes:
    """Blocks of many sizes, each different, so that a torn or misplaced one shows."""
    return b"%d:" % index + bytes([index % 251]) * (index * 37 % 3000)


def holds_its_blocks(feed: Feed) -> None:
    report = feed.audit()
    assert report.fault is None, report
    for index, block in enumerate(feed):
        assert block == block_of(index)


def start(target: Callable[..., None], *arguments: object) -> BaseProcess:
    process = PROCESSES.Process(target=target, args=arguments)
    process.start()
    return process


def write_until_killed(
    path: Path, durability: Literal["durable", "relaxed"], acknowledged: Connection[int, int]
) -> None:
    with Store(path, durability=durability) as store:
        feed = store.feed("log")
        while True:
            length = len(feed)
            if length % 5:
                feed.append(block_of(length))
            else:
                feed.extend([block_of(i) for i in range(length, length + 7)])
            acknowledged.send(len(feed))


def kill_a_writer(path: Path, durability: str, after: float) -> int:
    """Let a process append for some seconds, kill it, and return the length it had reported."""
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = start(write_until_killed, path, durability, theirs)
    theirs.close()
    reported: int = ours.recv()
    time.sleep(after)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with contextlib.suppress(EOFError):
        while True:
            reported = ours.recv()
    ours.close()
    return reported


@pytest.mark.parametrize("durability", ["durable", "relaxed"])
def test_a_killed_writer_leaves_every_append_that_had_returned(
    tmp_path: Path, durability: str
) -> None:
    """A killed process loses nothing that the kernel has: so `relaxed` keeps all of it, too."""
    rng = random.Random(1)
    for kill in range(KILLS):
        path = tmp_path / str(kill // KILLS_OF_ONE_STORE)
        reported = kill_a_writer(path, durability, rng.random() * 0.02)
        with Store(path, durability="relaxed") as store:
            feed = store.feed("log")
            assert len(feed) >= reported
            assert feed.head is not None
            assert feed.root_hash() == feed.head.tree_hash
            if kill % KILLS_OF_ONE_STORE == KILLS_OF_ONE_STORE - 1:
                holds_its_blocks(feed)


def read_live(path: Path, total: int, ready: Connection[bool, bool]) -> None:
    with Store(path, read_only=True) as store:
        feed = store.feed("log")
        ready.send(True)
        seen = 0
        while seen < total:
            length = len(feed)
            assert length >= seen
            for index in range(max(seen, length - 3), length):
                assert feed[index] == block_of(index)
            seen = length


def test_four_processes_read_what_one_appends(tmp_path: Path) -> None:
    path = tmp_path / "store"
    total = 600
    with Store(path, durability="relaxed", map_size=TINY_MAP) as store:
        feed = store.feed("log")
        feed.append(block_of(0))
        pipes = [PROCESSES.Pipe(duplex=False) for _ in range(4)]
        readers = [start(read_live, path, total, theirs) for _, theirs in pipes]
        for ours, _ in pipes:
            ours.recv()
        while len(feed) < total:
            feed.append(block_of(len(feed)))
        for reader in readers:
            reader.join()
        assert [reader.exitcode for reader in readers] == [0] * 4
        assert (path / "data.mdb").stat().st_size > TINY_MAP, "the map had to grow"
        holds_its_blocks(feed)


def append_in_turn(path: Path, mark: int, count: int) -> None:
    with Store(path, durability="relaxed") as store:
        feed = store.feed("log")
        for number in range(count):
            index = feed.append(b"%d %d" % (mark, number))
            assert feed[index] == b"%d %d" % (mark, number)


def test_two_writers_take_turns_and_do_not_fork_the_feed(tmp_path: Path) -> None:
    path = tmp_path / "store"
    Store(path).close()
    writers = [start(append_in_turn, path, mark, 300) for mark in range(2)]
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    with Store(path) as store:
        feed = store.feed("log")
        assert len(feed) == 600
        assert feed.fork == 0
        assert feed.audit().fault is None
        for mark in range(2):
            mine = [block for block in feed if block.startswith(b"%d " % mark)]
            assert mine == [b"%d %d" % (mark, number) for number in range(300)]


def fill(feed: Feed) -> None:
    while True:
        feed.append(block_of(len(feed)))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB. Mounting one takes root: without it these tests fail, loudly."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_fails_the_append_and_nothing_else(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(300_000))
    with Store(small_disk / "store") as store:
        feed = store.feed("log")
        with pytest.raises(StoreError, match="full"):
            fill(feed)
        full = len(feed)
        assert full > 10
        holds_its_blocks(feed)
        ballast.unlink()
        feed.append(block_of(full))
        assert len(feed) == full + 1
    with Store(small_disk / "store") as store:
        holds_its_blocks(store.feed("log"))
