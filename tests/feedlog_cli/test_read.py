from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from feedlog_cli.read import Destination, deliver
from tests.reference.command_line import Network, Run


def test_a_file_is_read_from_peers(process: Run, network: Network) -> None:
    where = ("--bootstrap", network.bootstrap)
    large = (network.root / "src/large").read_bytes()
    assert process("read", network.directory, "src/large", *where).raw == large
    assert process("read", network.directory, "README", "empty", *where).raw == b"read me\n"
    assert process("read", network.directory, "src/large").raw == large  # it stayed here


def test_stats_tell_what_it_took(process: Run, network: Network) -> None:
    result = process(
        "read", network.directory, "README", "--stats", "-b", network.bootstrap,
        "--against", network.root,
    )  # fmt: skip
    assert result.code == 0, result.err
    lines = [line.split() for line in result.out.splitlines()]
    assert lines[1] == ["README", "8", "B", "same", "as", "on", "disk"]
    contents = lines[5]
    assert contents[:6] == ["contents", "1", "of", "7", "8", "B"]
    assert lines[4][-1] == "1", "a lookup in a remote trie takes one round trip"


def test_files_are_written(process: Run, network: Network, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    process("read", network.directory, "src/small", "-o", copy, "-b", network.bootstrap)
    assert [path.relative_to(copy).as_posix() for path in copy.rglob("*")] == ["src", "src/small"]
    assert (copy / "src/small").read_bytes() == b"small"


def test_a_difference_is_an_error(process: Run, network: Network, tmp_path: Path) -> None:
    (tmp_path / "README").write_bytes(b"other")
    result = process(
        "read", network.directory, "README", "-b", network.bootstrap, "--against", tmp_path
    )
    assert result.complaint == f"README differs from {tmp_path / 'README'}"


def test_what_cannot_be_read(process: Run, network: Network, tmp_path: Path) -> None:
    where = ("-b", network.bootstrap)
    assert process("read", network.directory, "nix", *where).complaint == (
        "the directory has no file 'nix'"
    )
    both = process("read", network.directory, "x", "-o", tmp_path, "--against", tmp_path)
    assert (both.code, both.complaint) == (2, "give --output or --against, not both")
    assert "header of a trie" in process("read", network.log, "x", *where).complaint
    process("trie", "put", "mine", "k", "v")
    assert "is no published directory" in process("read", "mine", "k").complaint


def test_an_own_directory_is_read_offline(process: Run, network: Network) -> None:
    process("publish", network.root, "--name", "mine")
    assert process("read", "mine", "README").raw == b"read me\n"
    stats = process("read", "mine", "README", "--stats").out.splitlines()
    assert [line.split() for line in stats] == [
        ["file", "size", "result"],
        ["README", "8", "B", "read"],
    ]


def test_a_file_that_breaks_off_is_not_left_behind(tmp_path: Path) -> None:
    async def blocks() -> AsyncIterator[bytes]:
        yield b"start"
        raise OSError(28, "No space left on device")

    work = deliver("a/b", blocks(), Destination(output=tmp_path), quiet=False)
    with pytest.raises(OSError, match="No space"):
        asyncio.run(work)
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]
