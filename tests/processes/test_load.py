"""A node under load from outside, while somebody reads from it: crowds and floods.

Nothing here is timed. What is shown is that the reader gets everything, that whoever comes is let
in, and that the node's memory stays where it was.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from net.reaching.admission import SPARE_FILES
from tests.processes.members import ROOT, Process

HOST = "127.0.0.1"
BLOCKS, SIZE = 200, 20_000
COUNT = 1000
CROWD_MEMORY = 150 << 20
"""Bytes by which a thousand connections may make a node grow."""
FLOOD_MEMORY = 32 << 20


class Load:
    """A process that loads a node until the context ends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def says(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "it ended"
        return line


@contextmanager
def load(module: str, *arguments: str) -> Iterator[Load]:
    command = [sys.executable, "-m", f"tests.processes.{module}", *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield Load(process)
    finally:
        process.kill()
        process.communicate()


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(name: str, bootstrap: str = "") -> Process:
            process = Process(tmp_path / name, HOST, bootstrap)
            stack.callback(process.kill)
            return process

        yield start


def read_all(reader: Process, key: str) -> None:
    """Have a process follow the feed and download it to the end."""
    assert reader.ask("follow", key, False)
    reader.tell("download", 0, BLOCKS)
    while reader.answer() != "done":
        pass
    assert reader.ask("state")[2] == BLOCKS


@pytest.mark.parametrize("way", ["tcp", "quic"])
def test_a_thousand_handshakes_at_once(start: Start, way: str) -> None:
    node = start("node")
    key, _ = node.ask("write", [SIZE] * BLOCKS)
    before = node.memory
    begun = time.monotonic()
    with load("crowd", node.address, node.ask("identity"), way, str(COUNT), "50") as crowd:
        read_all(start("reader", node.address), key)
        inside, failures, last = json.loads(crowd.says())
        print(f"{way}: {inside} in after {time.monotonic() - begun:.1f} s;", end=" ")
        print(f"{failures} attempts failed {last}; {(node.memory - before) >> 20} MiB more")
        assert inside == COUNT
        assert node.memory - before < CROWD_MEMORY
        read_all(start("late", node.address), key)


def test_more_come_than_there_are_files(tmp_path: Path) -> None:
    def limited(*words: str) -> list[str]:
        return ["sh", "-c", 'ulimit -n 160; exec "$@"', "sh", *words]

    with ExitStack() as stack:

        def start(name: str, bootstrap: str = "", **options: Any) -> Process:
            process = Process(tmp_path / name, HOST, bootstrap, **options)
            stack.callback(process.kill)
            return process

        node = start("node", command=limited)
        key, _ = node.ask("write", [SIZE] * BLOCKS)
        reader = start("reader", node.address)
        assert reader.ask("follow", key, False)
        reader.ask("get", 0, 30.0)
        with load("crowd", node.address, node.ask("identity"), "tcp", "300", "5") as crowd:
            _, failures, last = json.loads(crowd.says())
            assert failures, "all were let in"
            assert 0 < len(node.ask("ways")) < 160 - SPARE_FILES, last
            read_all(reader, key)
            assert node.ask("follow", "aa" * 32, False), "it can still look for others"


@pytest.mark.parametrize("kind", ["datagrams", "quic", "flights"])
@pytest.mark.parametrize("way", ["tcp", "quic"])
def test_a_flood_while_somebody_reads(start: Start, way: str, kind: str) -> None:
    node = start("node")
    key, _ = node.ask("write", [SIZE] * BLOCKS)
    if way == "quic":
        node.ask("quic_only")
    reader = start("reader", node.address)
    assert reader.ask("follow", key, False)
    reader.ask("get", 0, 30.0)
    assert {name.split()[0] for name in reader.ask("ways")} == {way}
    before = node.memory
    with load("flood", node.address, kind) as flood:
        flood.says()
        begun = time.monotonic()
        reader.tell("download", 0, BLOCKS)
        while reader.answer() != "done":
            pass
        took = time.monotonic() - begun
        print(f"{kind} beside {way}: {BLOCKS * SIZE / took / 1e6:.2f} MB/s, ", end="")
        print(f"{(node.memory - before) >> 10} KiB more")
        assert node.memory - before < FLOOD_MEMORY
        read_all(start("late", node.address), key)
    assert reader.ask("state")[2] == BLOCKS
