"""The puncher through real routers: every kind with every kind, in real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.natbed.bed import ADDRESSES, SERVERS, NatBed

ROOT = Path(__file__).parent.parent.parent
KINDS = ["open", "full cone", "cone", "symmetric"]
PORTS = count(4000)
"""A port for each punch: routers remember the flows of earlier ones."""


class Processes:
    """A bed with its rendezvous and a process on each host."""

    def __init__(self, bed: NatBed, stack: ExitStack) -> None:
        self.bed = bed
        self._stack = stack
        self._start("srv", "rendezvous", *SERVERS)
        self._peers = {
            host: self._start(host, "peer", host, address, *SERVERS)
            for host, address in ADDRESSES.items()
        }

    def _start(self, host: str, script: str, *arguments: str) -> subprocess.Popen[str]:
        command = self.bed.command(host, sys.executable, "-m", f"tests.natbed.{script}", *arguments)
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        assert process.stdout is not None
        self._stack.callback(process.stdout.close)
        assert process.stdin is not None
        self._stack.callback(process.stdin.close)
        assert process.stdout.readline() == "READY\n"
        return process

    def punch(self, near: str, far: str) -> list[dict[str, Any]]:
        """Have two hosts punch; return what each reports."""
        port = next(PORTS)
        for name, other, initiator in ((far, near, 0), (near, far, 1)):
            stdin = self._peers[name].stdin
            assert stdin is not None
            stdin.write(f"{port} {other} {initiator}\n")
            stdin.flush()
        return [self._report(name) for name in (near, far)]

    def _report(self, name: str) -> dict[str, Any]:
        stdout = self._peers[name].stdout
        assert stdout is not None
        found: dict[str, Any] = json.loads(stdout.readline())
        return found


@pytest.fixture(scope="module")
def processes(worker_id: str) -> Iterator[Processes]:
    with ExitStack() as stack:
        bed = stack.enter_context(NatBed(f"fl{os.getpid()}{worker_id[:4]}"))
        yield Processes(bed, stack)


def place(processes: Processes, number: int, kind: str) -> str:
    """Return a host that is behind a router of a kind, or open."""
    if kind == "open":
        return f"o{number}"
    processes.bed.set_router(number, kind)
    return f"h{number}"


CLASSES = {
    "open": "OPEN",
    "full cone": "CONSISTENT",
    "cone": "CONSISTENT",
    "symmetric": "RANDOM",
    "blocked": "UNKNOWN",
}


def show(near: str, far: str, reports: Sequence[dict[str, Any]]) -> None:
    print(f"{near:>10} x {far:<10}", *reports, sep="\n    ")


@pytest.mark.parametrize("far", KINDS)
@pytest.mark.parametrize("near", KINDS)
def test_a_pair_of_routers(processes: Processes, near: str, far: str) -> None:
    hosts = place(processes, 1, near), place(processes, 2, far)
    reports = processes.punch(*hosts)
    show(near, far, reports)
    assert [report["nat"] for report in reports] == [CLASSES[near], CLASSES[far]]
    if near == far == "symmetric":
        assert [report["reason"] for report in reports] == ["BOTH_RANDOM"] * 2
        return
    assert all(report["carried"] for report in reports)
    blind = {near, far} == {"cone", "symmetric"}
    assert any(report["local"] > 0 for report in reports) == blind


@pytest.mark.parametrize("kind", ["cone", "symmetric"])
def test_two_hosts_behind_one_router_meet_on_their_lan(processes: Processes, kind: str) -> None:
    processes.bed.set_router(1, kind)
    reports = processes.punch("h1", "l1")
    show(kind, "same LAN", reports)
    assert [report["address"][0] for report in reports] == ["192.168.1.3", "192.168.1.2"]
    assert all(report["carried"] for report in reports)


def test_where_no_udp_passes_the_error_says_so(processes: Processes) -> None:
    hosts = place(processes, 1, "blocked"), place(processes, 2, "cone")
    reports = processes.punch(*hosts)
    show("blocked", "cone", reports)
    assert [report["nat"] for report in reports] == ["UNKNOWN", "CONSISTENT"]
    assert [report["reason"] for report in reports] == ["SILENT"] * 2
