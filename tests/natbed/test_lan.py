"""Two hosts on one wire, with no DHT, no router's help and no way out, find each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from feedlog import Store
from tests.natbed.bed import NatBed, run
from tests.reference.command_line import COMMAND

ROOT = Path(__file__).parent.parent.parent


def neighbour(bed: NatBed, host: str, *arguments: str) -> subprocess.Popen[str]:
    command = bed.command(host, sys.executable, "-m", "tests.natbed.neighbour", *arguments)
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def read_over_the_fence(bed: NatBed, where: str) -> str:
    with neighbour(bed, "h1", where, "share") as sharer:
        assert sharer.stdout is not None
        key = sharer.stdout.readline().strip()
        with neighbour(bed, "l1", where, "read", key) as reader:
            said, _ = reader.communicate()
        sharer.communicate()
    return said


def test_a_feed_is_read_over_the_fence(worker_id: str) -> None:
    with NatBed(f"lan{os.getpid()}{worker_id[:4]}") as bed:
        for host in ("h1", "l1"):
            run(*bed.command(host, "ip", "route", "del", "default"))
        assert read_over_the_fence(bed, "0.0.0.0") == "over the fence\n"


def test_ipv6_alone_will_do(worker_id: str) -> None:
    with NatBed(f"la6{os.getpid()}{worker_id[:4]}") as bed:
        for number, host in enumerate(("h1", "l1"), 2):
            run(*bed.command(host, "ip", "-4", "addr", "flush", "dev", "lan"))
            six = f"fd77::{number}/64"
            run(*bed.command(host, "ip", "addr", "add", six, "dev", "lan", "nodad"))
        assert read_over_the_fence(bed, "::") == "over the fence\n"


def test_the_command_clones_over_the_fence(worker_id: str, tmp_path: Path) -> None:
    with Store(tmp_path / "here") as store:
        feed = store.feed("news")
        feed.extend([b"one", b"two"])
        key = feed.id
    with NatBed(f"lac{os.getpid()}{worker_id[:4]}") as bed:
        for host in ("h1", "l1"):
            run(*bed.command(host, "ip", "route", "del", "default"))
        share = (*COMMAND, "share", "--store", str(tmp_path / "here"), "--json")
        with subprocess.Popen(
            bed.command("h1", *share), cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as sharer:
            assert sharer.stdout is not None
            assert sharer.stdout.readline()
            there = str(tmp_path / "there")
            run(*bed.command("l1", *COMMAND, "clone", key, "--store", there))
            sharer.terminate()
            sharer.communicate()
    with Store(tmp_path / "there") as store:
        assert list(store.feed(key=feed.key)) == [b"one", b"two"]
