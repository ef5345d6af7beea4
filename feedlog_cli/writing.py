"""`feedlog create` and `feedlog append`: the writer's side of a log."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from feedlog import MAX_BLOCK_SIZE, BlockMissing, Feed
from feedlog_cli.errors import CommandError
from feedlog_cli.options import FeedName, Json, StorePath
from feedlog_cli.output import note, plural, say, say_json
from feedlog_cli.places import find_feed, looks_like_key, open_store
from trie import NotATrie, Trie

BATCH_BLOCKS = 4096
"""Blocks under one signed head, when they come from a pipe: enough to make signing cheap."""

BATCH_BYTES = 8 * 2**20
"""A batch is not waited for beyond this size, whatever the length of its lines."""

READ_SIZE = 2**18
"""Bytes of stdin that are looked at in one go."""


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
            note(f"{name} exists already, with {plural(feed.length, 'block')}")
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

    Without TEXT and --file, every line of stdin becomes a block, as soon as it comes. What is
    appended is on the disk when the command ends: all of it, or where it fails nothing of the
    current batch.
    """
    with open_store(store) as opened:
        feed = find_feed(opened, name)
        if is_trie(feed):
            raise CommandError(f"{name} is a trie: `feedlog trie put` writes to it")
        if blocks or files:
            texts = [text.encode() for text in blocks or []]
            appended = [feed.extend(texts + [file_block(path) for path in files or []])]
        else:
            appended = [feed.extend(batch) for batch in stdin_lines()]
        # Another process may have appended between two batches.
        start = appended[0].start if appended else feed.length
        stop = appended[-1].stop if appended else start
        if as_json:
            say_json({"key": feed.id, "start": start, "stop": stop})
        elif stop - start == 1:
            say(f"block {start}")
        elif stop > start:
            say(f"blocks {start} to {stop - 1}")
        else:
            note("there was nothing to append")


def is_trie(feed: Feed) -> bool:
    """Tell whether a feed holds a trie, which any other block would break for good."""
    try:
        return feed.length > 0 and Trie(feed).header is not None
    except (NotATrie, BlockMissing):
        return False


def file_block(path: Path) -> bytes:
    """Return a file's bytes; reads no more of it than a block may have."""
    with path.open("rb") as file:
        data = file.read(MAX_BLOCK_SIZE + 1)
    if len(data) > MAX_BLOCK_SIZE:
        raise CommandError(
            f"{path} has more than {MAX_BLOCK_SIZE} bytes, the most that a block has; "
            "`feedlog publish` cuts files into blocks"
        )
    return data


def stdin_lines() -> Iterator[list[bytes]]:
    """Yield the lines of stdin without their ends, in batches; none waits for lines to come."""
    stdin = sys.stdin.fileno()
    batch: list[bytes] = []
    unended = b""
    while data := os.read(stdin, READ_SIZE):
        *lines, unended = (unended + data).split(b"\n")
        batch += [checked_line(line) for line in lines]
        checked_line(unended)
        while len(batch) >= BATCH_BLOCKS:
            yield batch[:BATCH_BLOCKS]
            del batch[:BATCH_BLOCKS]
        more, _, _ = select.select([stdin], [], [], 0)
        if batch and (not more or sum(map(len, batch)) >= BATCH_BYTES):
            yield batch
            batch = []
    if unended:
        batch.append(checked_line(unended))
    if batch:
        yield batch


def checked_line(line: bytes) -> bytes:
    """Return a line without its end; raises `CommandError` for one that is longer than a block."""
    line = line.rstrip(b"\r")
    if len(line) > MAX_BLOCK_SIZE:
        raise CommandError(f"a line has more than {MAX_BLOCK_SIZE} bytes, the most of a block")
    return line
