"""`feedlog publish`: a directory into the store, as `feedlog_cli.importing` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feedlog_cli.errors import UsageError
from feedlog_cli.importing import import_directory, require_directory
from feedlog_cli.options import Json, StorePath
from feedlog_cli.output import note, plural, say, say_json, size
from feedlog_cli.places import open_store
from feedlog_cli.progress import spinner

SHOWN = 8
"""Skipped files that are named; --json names all."""


def publish(
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", show_default=False, help="What to publish.")
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", show_default="the directory's", help="Its feed."),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option("--include", metavar="GLOB", help="Only files with such names."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="GLOB", help="No files or directories with such names."),
    ] = None,
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Import a directory as a feed of contents and a trie of paths, and print the trie's key.

    That key is all that a reader needs: `feedlog read KEY some/file`. Publishing again
    appends what has changed. `feedlog share` serves it.
    """
    require_directory(directory)
    called = directory.resolve().name if name is None else name
    if not called:
        raise UsageError(f"{directory} has no name of its own: give --name")
    with open_store(store, create=True) as opened, spinner("importing") as show:
        result = import_directory(
            opened,
            directory,
            called,
            include=include or (),
            exclude=exclude or (),
            progress=lambda files, total: show(f"{plural(files, 'file')}, {size(total)}"),
        )
        if as_json:
            say_json(
                {
                    "name": called,
                    "key": result.index.id,
                    "data_key": result.data.id,
                    "files": result.files,
                    "bytes": result.size,
                    "blocks": result.data.length,
                    "changed": result.changed,
                    "removed": result.removed,
                    "skipped": result.skipped,
                }
            )
            return
        note(
            f"{called}: {plural(result.files, 'file')}, {size(result.size)}; "
            f"{result.changed} new or changed, {result.removed} removed"
        )
        if result.skipped:
            note(skipped_note(result.skipped))
        say(result.index.id)


def skipped_note(paths: list[str]) -> str:
    """Say what was not published, and why."""
    named = ", ".join(paths[:SHOWN]) + (", ..." if paths[SHOWN:] else "")
    return f"skipped links, special files, stores and names that are not UTF-8: {named}"
