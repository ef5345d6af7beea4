"""`feedlog create` and `feedlog append`: the writer's side of a log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from feedlog_cli.errors import CommandError
from feedlog_cli.options import FeedName, Json, StorePath
from feedlog_cli.output import note, say, say_json
from feedlog_cli.places import find_feed, looks_like_key, open_store

BATCH_BLOCKS = 4096
"""Blocks under one signed head, when they come from a pipe: enough to make signing cheap."""


def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", show_default=False, help="What to call it here.")
    ],
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Make a feed that you can write, and print its key.

    The key is what you give to readers: it lets them check every block. The secret half
    stays in the store. Creating a feed that exists prints its key again.
    """
    if looks_like_key(name):
        raise CommandError(f"{name} is a key; a name must not look like one")
    with open_store(store, create=True) as opened:
        existed = any(info.name == name for info in opened.feeds())
        feed = opened.feed(name)
        if as_json:
            say_json({"name": name, "key": feed.id, "length": feed.length, "created": not existed})
            return
        if existed:
            note(f"{name} exists already, with {feed.length} blocks")
        say(feed.id)


def append(
    name: FeedName,
    blocks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT", show_default=False, help="Each becomes one block, in UTF-8."
        ),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", metavar="FILE", help="Append a file's bytes as one block."),
    ] = None,
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Append blocks to a feed of yours.

    Without TEXT and --file, every line of stdin becomes a block. What is appended is on the
    disk when the command ends: all of it, or where it fails nothing of the current batch.
    """
    with open_store(store) as opened:
        feed = find_feed(opened, name)
        start = feed.length
        if blocks or files:
            feed.extend(
                [text.encode() for text in blocks or []]
                + [path.read_bytes() for path in files or []]
            )
        else:
            for batch in stdin_lines():
                feed.extend(batch)
        stop = feed.length
        if as_json:
            say_json({"key": feed.id, "start": start, "stop": stop})
        elif stop - start == 1:
            say(f"block {start}")
        elif stop > start:
            say(f"blocks {start} to {stop - 1}")
        else:
            note("there was nothing to append")


def stdin_lines() -> Iterator[list[bytes]]:
    """Yield the lines of stdin without their ends, in batches."""
    batch: list[bytes] = []
    for line in sys.stdin.buffer:
        batch.append(line.rstrip(b"\r\n"))
        if len(batch) == BATCH_BLOCKS:
            yield batch
            batch = []
    if batch:
        yield batch
