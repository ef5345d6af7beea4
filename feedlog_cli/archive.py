"""`feedlog export` and `feedlog import`: one feed as one file, which anyone can verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feedlog_cli.errors import CommandError
from feedlog_cli.options import FeedName, Json, StorePath
from feedlog_cli.output import note, plural, say, say_json, size
from feedlog_cli.places import find_feed, open_store


def export(
    name: FeedName,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", show_default=False, help="Where to write the feed.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is there already.")
    ] = False,
    store: StorePath = None,
) -> None:
    """Write what is held of a feed to one file, without the right to write the feed.

    `feedlog import` reads it anywhere, without the network, and checks it against the feed's
    key. The file is there when it is complete, or not at all.
    """
    check_target(file, force=force)
    with open_store(store, read_only=True) as opened:
        feed = find_feed(opened, name)
        feed.export(file)
        held, length = sum(map(len, feed.have)), feed.length
    note(f"{file}: {held:,} of {plural(length, 'block')}, {size(file.stat().st_size)}")


def check_target(file: Path, *, force: bool) -> None:
    """Refuse a place for a file that would replace what is not meant to be replaced."""
    if file.is_dir():
        raise CommandError(f"{file} is a directory")
    if file.exists() and not file.is_file():
        # A device such as /dev/stdout would be gone afterwards.
        raise CommandError(f"{file} is no regular file, and an export is not a stream")
    if file.exists() and not force:
        raise CommandError(f"{file} exists already; --force replaces it")
    if not file.parent.is_dir():
        raise CommandError(f"there is no directory {file.parent}")


def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", show_default=False, help="What `feedlog export` wrote."),
    ],
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Read a feed from a file, check all of it, and print the feed's key.

    The key is stated by the file: compare it with the one that you expect. A file that is
    torn or changed leaves nothing in the store, nor does one of a feed that the store has.
    """
    if not file.exists():
        raise CommandError(f"there is no file {file}")
    with open_store(store, create=True) as opened:
        feed = opened.import_feed(file)
        held, length = sum(map(len, feed.have)), feed.length
        if as_json:
            say_json({"key": feed.id, "length": length, "held": held, "fork": feed.fork})
            return
        note(f"imported {held:,} of {plural(length, 'block')}")
        say(feed.id)
