"""Random kills, restarts, cuts, delays and silences of real processes; in the end all are equal.

`FEEDLOG_SOAK_SECONDS` sets the length, five minutes by default, and `FEEDLOG_SOAK_SEED` the
order of what happens. A router process that nobody touches keeps the DHT alive.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes.members import Process

SECONDS = float(os.environ.get("FEEDLOG_SOAK_SECONDS", "300"))
SEED = int(os.environ.get("FEEDLOG_SOAK_SEED", "1"))
FOLLOWERS = 4
MAX_BLOCK = 20_000
CALM = 120.0
"""Seconds after the last trouble in which everyone has to be equal: searches back off to 30."""

HOST = "127.0.0.1"


class Network:
    """A writer and its followers, each of which may be down or silent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rng = random.Random(SEED)
        self.router = Process(path / "router", HOST)
        self.up: dict[str, Process] = {}
        self.silent: set[str] = set()
        self.names = ["writer", *(f"follower{i}" for i in range(FOLLOWERS))]
        self.key = ""
        self.happened: Counter[str] = Counter()
        for name in self.names:
            self.start(name)

    def start(self, name: str) -> None:
        process = self.up[name] = Process(self.path / name, HOST, self.router.address)
        if name == "writer":
            key, _ = process.ask("write", [100])
            assert self.key in {"", key}
            self.key = key
        else:
            process.ask("follow", self.key, True)

    def trouble(self) -> None:
        """Do one random thing."""
        name = self.rng.choice(self.names)
        what = self.rng.choices(
            ["write", "kill", "cut", "delay", "silence", "truncate"], [10, 4, 3, 3, 3, 0.5]
        )[0]
        if what in {"write", "truncate"}:
            name = "writer"
        process = self.up.get(name)
        if process is None:
            what = "restart"
            self.start(name)
        elif name in self.silent:
            what = "speak"
            self.silent.remove(name)
            process.signal(signal.SIGCONT)
        elif what == "write":
            sizes = [self.rng.randrange(MAX_BLOCK) for _ in range(self.rng.choice([1, 10, 200]))]
            process.ask("write", sizes)
        elif what == "truncate":
            _, length, *_ = process.ask("state")
            process.ask("truncate", self.rng.randrange(length // 2, length + 1))
        elif what == "kill":
            process.kill()
            del self.up[name]
        elif what == "cut":
            process.ask("cut")
        elif what == "delay":
            process.ask("stall", self.rng.uniform(0.05, 1.5))
        else:
            self.silent.add(name)
            process.signal(signal.SIGSTOP)
        self.happened[what] += 1

    def calm(self) -> None:
        """Let everyone live and speak."""
        for name in self.names:
            if name not in self.up:
                self.start(name)
        for name in self.silent:
            self.up[name].signal(signal.SIGCONT)
        self.silent.clear()

    def states(self) -> dict[str, Any]:
        return {name: self.up[name].ask("state") for name in self.names}

    def close(self) -> None:
        for process in [self.router, *self.up.values()]:
            process.kill()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    network = Network(tmp_path)
    yield network
    network.close()


@pytest.mark.soak
def test_every_replica_is_equal_in_the_end(network: Network) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        network.trouble()
        time.sleep(network.rng.uniform(0, 0.6))
    network.calm()
    network.up["writer"].ask("write", [1000] * 10)
    calm = time.monotonic()
    while True:
        states = network.states()
        fork, length, held, root = states["writer"]
        assert held == length
        if all(state == [fork, length, length, root] for state in states.values()):
            break
        assert time.monotonic() < calm + CALM, f"not equal: {states} after {network.happened}"
        time.sleep(0.5)
    print(f"{dict(network.happened)}; {length} blocks, fork {fork}, calm after", end=" ")
    print(f"{time.monotonic() - calm:.1f} s")
