"""`feedlog get` and `feedlog cat`: blocks to stdout, from the store or from peers."""

from __future__ import annotations

import base64
import sys
from typing import Annotated

import typer

from feedlog import BlockMissing, Feed, Store
from feedlog_cli.blocks import parse_range
from feedlog_cli.errors import UsageError
from feedlog_cli.finding import Finding, choose
from feedlog_cli.network import TIMEOUT, explaining, following, visiting
from feedlog_cli.options import Bootstrap, FeedName, Json, Mainline, StorePath, Timeout
from feedlog_cli.output import say_json, write_bytes
from feedlog_cli.places import find_or_follow, open_store
from feedlog_cli.running import run_to_end


def get(
    name: FeedName,
    block: Annotated[
        str, typer.Argument(metavar="BLOCK", show_default=False, help="Its number; -1 is the last.")
    ],
    bootstrap: Bootstrap = None,
    mainline: Mainline = False,
    timeout: Timeout = TIMEOUT,
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Print one block, byte for byte.

    With --bootstrap or --mainline a block that is not held here is fetched from peers, and
    nothing but that block and the hashes that prove it.
    """
    if ":" in block:
        raise UsageError(f"get prints one block; `feedlog cat --range {block}` prints several")
    finding = choose(bootstrap, mainline=mainline)
    with open_store(store, create=finding.goes_out, read_only=not finding.goes_out) as opened:
        feed = find_or_follow(opened, name, remote=finding.goes_out)
        try:
            index = parse_range(block, feed.length).start
            data = feed[index]
        except (IndexError, BlockMissing) as error:
            # Nobody has more of a feed of ours than we have appended.
            if not finding.goes_out or (feed.writable and isinstance(error, IndexError)):
                raise
            work = fetch_block(opened, feed, block, finding, timeout)
            index, data = run_to_end(work)
    if as_json:
        encoded = base64.b64encode(data).decode()
        say_json({"index": index, "size": len(data), "base64": encoded})
        return
    write_bytes([data, b"\n"] if sys.stdout.isatty() else [data])


async def fetch_block(
    store: Store, feed: Feed, block: str, finding: Finding, seconds: float
) -> tuple[int, bytes]:
    """Return a block that peers have, and its number."""
    async with visiting(store, finding) as node, following(node, feed.key) as remote:
        with explaining(remote, finding, seconds):
            length = await remote.update(timeout=seconds)
            index = parse_range(block, length).start
            return index, await remote.get(index, timeout=seconds)


def cat(
    name: FeedName,
    span: Annotated[
        str, typer.Option("--range", metavar="START:STOP", help="Only these blocks.")
    ] = ":",
    raw: Annotated[
        bool, typer.Option("--raw", "-r", help="Blocks end to end, with no newline after each.")
    ] = False,
    live: Annotated[
        bool,
        typer.Option("--live", "-f", help="Go on with what is appended, until Ctrl-C."),
    ] = False,
    bootstrap: Bootstrap = None,
    mainline: Mainline = False,
    timeout: Timeout = TIMEOUT,
    store: StorePath = None,
) -> None:
    """Print the blocks of a feed in order, each followed by a newline.

    With --bootstrap or --mainline those that are not held here are fetched from peers.
    """
    end = b"" if raw else b"\n"
    finding = choose(bootstrap, mainline=mainline)
    with open_store(store, create=finding.goes_out, read_only=not finding.goes_out) as opened:
        feed = find_or_follow(opened, name, remote=finding.goes_out)
        if finding.goes_out and not (feed.writable and holds(feed, span)):
            run_to_end(stream(opened, feed, span, finding, timeout, end=end, live=live))
        elif live:
            raise UsageError(
                "--live follows somebody else's feed: give its key, and --bootstrap or --mainline"
            )
        else:
            write_bytes(feed[index] + end for index in parse_range(span, feed.length))


def holds(feed: Feed, span: str) -> bool:
    """Tell whether all the blocks that a user means are here."""
    return all(feed.has(index) for index in parse_range(span, feed.length))


async def stream(
    store: Store,
    feed: Feed,
    span: str,
    finding: Finding,
    seconds: float,
    *,
    end: bytes,
    live: bool,
) -> None:
    """Print blocks as they come from peers, reading ahead."""
    async with visiting(store, finding) as node, following(node, feed.key) as remote:
        with explaining(remote, finding, seconds):
            length = await remote.update(timeout=seconds)
        wanted = parse_range(span, length)
        left = len(wanted)
        if not left and not live:
            return
        async for block in remote.live(wanted.start):
            write_bytes([block + end])
            left -= 1
            if not left and not live:
                return
