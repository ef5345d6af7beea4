"""`feedlog read`: files of a published directory, fetched block by block."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from feedlog import Store
from feedlog_cli.browsing import Directory, LocalDirectory, RemoteDirectory, browse
from feedlog_cli.directory import safe_path
from feedlog_cli.errors import CommandError, UsageError
from feedlog_cli.finding import Finding, choose
from feedlog_cli.network import TIMEOUT, explaining, visiting
from feedlog_cli.options import Bootstrap, FeedName, Mainline, StorePath, Timeout
from feedlog_cli.output import print_table, say, size, write_bytes
from feedlog_cli.places import find_or_follow, looks_like_key, open_store
from feedlog_cli.running import run_to_end
from net import Remote


@dataclass(frozen=True)
class Destination:
    """What becomes of the files that are read."""

    output: Path | None = None
    """Write them below this directory; to stdout without one."""
    against: Path | None = None
    """Compare them with the files below this directory instead."""


def read(
    name: FeedName,
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", show_default=False, help="Files of the directory."),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Write the files below DIR."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="DIR", help="Only compare with the files below DIR."),
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Print a table of what was fetched, not the files.")
    ] = False,
    bootstrap: Bootstrap = None,
    mainline: Mainline = False,
    timeout: Timeout = TIMEOUT,
    store: StorePath = None,
) -> None:
    """Print files of a published directory, fetching no more of it than they need.

    The trie finds a file in one round trip, and every block is checked against the
    publisher's signature. What was fetched stays in the store and is not fetched again.
    """
    if output is not None and against is not None:
        raise UsageError("give --output or --against, not both")
    destination = Destination(output, against)
    finding = choose(bootstrap, mainline=mainline)
    with open_store(store, create=finding.goes_out, read_only=not finding.goes_out) as opened:
        key = find_or_follow(opened, name, remote=finding.goes_out).key
        if finding.goes_out and looks_like_key(name):
            run_to_end(read_remote(opened, key, paths, destination, finding, timeout, stats))
        else:
            run_to_end(read_local(opened, key, paths, destination, stats=stats))


async def read_local(
    store: Store, key: bytes, paths: list[str], destination: Destination, *, stats: bool
) -> None:
    """Read files that the store holds; nothing is fetched, so there is less to tell."""
    rows = await read_all(LocalDirectory(store, key), paths, destination, stats=stats)
    if stats:
        print_table(("file", "#size", "result"), rows)


async def read_all(
    directory: Directory, paths: list[str], destination: Destination, *, stats: bool
) -> list[tuple[str, str, str]]:
    """Read files one after the other; returns a row of facts for each."""
    rows = []
    for path in paths:
        entry = await directory.entry(path)
        async with aclosing(directory.contents(path, entry)) as blocks:
            result = await deliver(path, blocks, destination, quiet=stats)
        rows.append((path, size(entry.size), result))
    return rows


async def deliver(
    path: str, blocks: AsyncIterator[bytes], destination: Destination, *, quiet: bool
) -> str:
    """Print, write or compare one file; returns what was done."""
    if destination.against is not None:
        file = destination.against / safe_path(path)
        ours = await asyncio.to_thread(file.read_bytes)
        theirs = b"".join([block async for block in blocks])
        if ours != theirs:
            raise CommandError(f"{path} differs from {file}")
        if not quiet:
            say(f"{path}: same as on disk")
        return "same as on disk"
    if destination.output is not None:
        file = destination.output / safe_path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.part")
        try:
            with part.open("wb") as opened:
                async for block in blocks:
                    opened.write(block)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
        return f"written to {file}"
    async for block in blocks:
        if not quiet:
            write_bytes([block])
    return "read"


async def read_remote(
    store: Store,
    key: bytes,
    paths: list[str],
    destination: Destination,
    finding: Finding,
    seconds: float,
    stats: bool,
) -> None:
    """Read files from peers, and tell what it took."""
    started = asyncio.get_running_loop().time()
    async with visiting(store, finding) as node, browse(node, key, seconds) as directory:
        with explaining(directory.index, finding, seconds):
            rows = await read_all(directory, paths, destination, stats=stats)
        if stats:
            print_table(("file", "#size", "result"), rows)
            say("")
            print_stats(directory, asyncio.get_running_loop().time() - started)
    sys.stdout.flush()


def print_stats(directory: RemoteDirectory, seconds: float) -> None:
    """Print what was fetched of the trie and of the contents."""
    feeds: list[tuple[str, Remote | None]] = [
        ("trie of paths", directory.index),
        ("contents", directory.data),
    ]
    rows = []
    for label, remote in feeds:
        if remote is not None:
            status = remote.status()
            rows.append(
                (
                    label,
                    f"{status.held} of {status.length}",
                    f"{status.data_bytes:,} B",
                    f"{status.proof_bytes:,} B",
                    str(status.round_trips),
                )
            )
    titles = ("feed", "#blocks held", "#data received", "#proofs received", "#round trips")
    print_table(titles, rows)
    say(f"in {seconds:.2f} s, with looking for peers and connecting")
