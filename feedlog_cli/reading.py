"""`feedlog get` and `feedlog cat`: blocks to stdout."""

from __future__ import annotations

import base64
import sys
from typing import Annotated

import typer

from feedlog_cli.blocks import parse_range
from feedlog_cli.errors import UsageError
from feedlog_cli.options import FeedName, Json, StorePath
from feedlog_cli.output import say_json, write_bytes
from feedlog_cli.places import find_feed, open_store


def get(
    name: FeedName,
    block: Annotated[
        str, typer.Argument(metavar="BLOCK", show_default=False, help="The block's number.")
    ],
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Print one block, byte for byte."""
    with open_store(store, read_only=True) as opened:
        feed = find_feed(opened, name)
        wanted = parse_range(block, feed.length)
        if ":" in block:
            raise UsageError(f"get prints one block; `feedlog cat --range {block}` prints several")
        index = wanted.start
        data = feed[index]
    if as_json:
        encoded = base64.b64encode(data).decode()
        say_json({"index": index, "size": len(data), "base64": encoded})
        return
    write_bytes([data, b"\n"] if sys.stdout.isatty() else [data])


def cat(
    name: FeedName,
    span: Annotated[
        str, typer.Option("--range", metavar="START:STOP", help="Only these blocks.")
    ] = ":",
    raw: Annotated[
        bool, typer.Option("--raw", "-r", help="Blocks end to end, with no newline after each.")
    ] = False,
    store: StorePath = None,
) -> None:
    """Print the blocks of a feed in order, each followed by a newline."""
    end = b"" if raw else b"\n"
    with open_store(store, read_only=True) as opened:
        feed = find_feed(opened, name)
        write_bytes(feed[index] + end for index in parse_range(span, feed.length))
