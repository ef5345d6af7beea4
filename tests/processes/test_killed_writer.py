"""Three processes on three hosts: the writer dies, and the reader finishes from a seeder.

The hosts are network namespaces of the NAT test bed, those in front of its routers. Needs root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.natbed.bed import ADDRESSES, SERVERS, NatBed
from tests.processes.members import Process

BLOCKS, SIZE = 400, 4096
HELD = 300
"""Blocks that the seeder has, from the first on."""
RATE = 400_000
"""Bytes a second that each source sends: the writer is killed while it does."""


@pytest.fixture
def bed() -> Iterator[NatBed]:
    with NatBed(f"rep{os.getpid()}") as bed:
        yield bed


def test_the_reader_finishes_from_the_seeder(bed: NatBed, tmp_path: Path) -> None:
    with ExitStack() as stack:

        def start(name: str, host: str, address: str, bootstrap: str = "") -> Process:
            process = Process(
                tmp_path / name,
                address,
                bootstrap,
                upload_limit=RATE,
                command=partial(bed.command, host),
            )
            stack.callback(process.kill)
            return process

        seeder = start("seeder", "srv", SERVERS[0])
        writer = start("writer", "o1", ADDRESSES["o1"], seeder.address)
        key, length = writer.ask("write", [SIZE] * BLOCKS)
        assert length == BLOCKS
        assert seeder.ask("follow", key, False)
        seeder.tell("download", 0, HELD)
        while seeder.answer() != "done":
            pass

        reader = start("reader", "o2", ADDRESSES["o2"], seeder.address)
        assert reader.ask("follow", key, False)
        reader.tell("download", 0, HELD)
        while (done := reader.answer()) < HELD // 4:
            pass
        writer.kill()
        assert done < HELD
        while reader.answer() != "done":
            pass
        fork, length, held, root = reader.ask("state")
        assert (fork, length) == (0, BLOCKS)
        assert held >= HELD
        assert root == seeder.ask("state")[3]
        assert reader.ask("get", BLOCKS - 50, 1.0) == "deadline", "nobody alive has it"
