"""A QUIC connection survives that either end gets another address, and says nothing meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.natbed.bed import NatBed, run

ROOT = Path(__file__).parent.parent.parent


def start(bed: NatBed, host: str, *arguments: str) -> subprocess.Popen[str]:
    command = bed.command(host, sys.executable, "-m", "tests.natbed.mover", *arguments)
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def move(bed: NatBed, host: str, old: str, new: str) -> None:
    run(*bed.command(host, "ip", "addr", "del", f"{old}/24", "dev", "lan"))
    run(*bed.command(host, "ip", "addr", "add", f"{new}/24", "dev", "lan"))


def say(visitor: subprocess.Popen[str], word: str) -> str:
    assert visitor.stdin is not None
    assert visitor.stdout is not None
    visitor.stdin.write(f"{word}\n")
    visitor.stdin.flush()
    return visitor.stdout.readline().strip()


def test_both_ends_may_move(worker_id: str) -> None:
    with (
        NatBed(f"mov{os.getpid()}{worker_id[:4]}") as bed,
        start(bed, "h1", "serve") as server,
    ):
        assert server.stdout is not None
        assert server.stdout.readline() == "there\n"
        with start(bed, "l1", "visit", "192.168.1.2") as visitor:
            assert say(visitor, "one") == "heard one by quic 192.168.1.2:4900"
            move(bed, "l1", "192.168.1.3", "192.168.1.33")
            assert say(visitor, "two") == "heard two by quic 192.168.1.2:4900"
            move(bed, "h1", "192.168.1.2", "192.168.1.22")
            assert say(visitor, "three") == "heard three by quic 192.168.1.22:4900"
            move(bed, "h1", "192.168.1.22", "192.168.1.2")
            assert say(visitor, "four") == "heard four by quic 192.168.1.2:4900"
            assert visitor.communicate()[0] == ""
        server.communicate()
