"""`feedlog trie ...`: a key-value database in a feed."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from feedlog_cli.errors import CommandError, UsageError
from feedlog_cli.options import FeedName, Json, StorePath
from feedlog_cli.output import note, printable, say, say_json, write_bytes
from feedlog_cli.places import find_feed, looks_like_key, open_store
from feedlog_cli.proving import preview
from trie import Trie

TrieKey = Annotated[
    str,
    typer.Argument(metavar="KEY", show_default=False, help="The key, as path/with/parts."),
]


def put(
    name: FeedName,
    key: TrieKey,
    value: Annotated[
        str | None,
        typer.Argument(metavar="VALUE", show_default="stdin", help="The value, in UTF-8."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="A file as the value.")
    ] = None,
    if_absent: Annotated[
        bool, typer.Option("--if-absent", help="Fail if the key has a value already.")
    ] = False,
    store: StorePath = None,
) -> None:
    """Set the value of a key, and print the trie's new version.

    A trie that is not there yet is made; its key goes to stderr. In a trie of JSON values
    VALUE is JSON.
    """
    if value is not None and file is not None:
        raise UsageError("give VALUE or --file, not both")
    if value is not None:
        data = value.encode()
    else:
        data = file.read_bytes() if file is not None else sys.stdin.buffer.read()
    with open_store(store, create=True) as opened:
        if not looks_like_key(name) and name not in [info.name for info in opened.feeds()]:
            note(f"{name} is a new trie: {opened.feed(name).id}")
        feed = find_feed(opened, name)
        trie = Trie(feed) if feed.length else Trie(feed, order="key")
        say(str(trie.put(key, to_value(trie, data), if_absent=if_absent)))


def get(
    name: FeedName,
    key: TrieKey,
    version: Annotated[
        int | None,
        typer.Option("--at", metavar="VERSION", show_default="the latest", help="An old version."),
    ] = None,
    store: StorePath = None,
) -> None:
    """Print the value of a key, byte for byte; exits with 1 where it has none."""
    with open_store(store, read_only=True) as opened:
        trie = Trie(find_feed(opened, name))
        view = trie if version is None else trie.at(version)
        if key not in view:
            raise CommandError(f"{name} has no key {key!r}")
        data = to_bytes(view[key])
    write_bytes([data, b"\n"] if sys.stdout.isatty() else [data])


def ls(
    name: FeedName,
    prefix: Annotated[
        str,
        typer.Argument(metavar="PREFIX", show_default=False, help='Such as "users/".'),
    ] = "",
    recursive: Annotated[
        bool, typer.Option("--recursive", "-R", help="Everything below, not one level.")
    ] = False,
    long: Annotated[bool, typer.Option("--long", "-l", help="Print the values too.")] = False,
    as_json: Json = False,
    store: StorePath = None,
) -> None:
    """List keys; those that go on below a "/" are shown as one name, as `ls` does."""
    with open_store(store, read_only=True) as opened:
        items = Trie(find_feed(opened, name)).items(prefix, recursive=recursive)
        if as_json:
            say_json({key: for_json(value) for key, value in items})
            return
        for key, value in items:
            shown = f"\t{preview(to_bytes(value))}" if long and value is not None else ""
            say(printable(key) + shown)


def delete(name: FeedName, key: TrieKey, store: StorePath = None) -> None:
    """Delete a key, and print the trie's new version; old versions keep the value."""
    with open_store(store) as opened:
        trie = Trie(find_feed(opened, name))
        if key not in trie:
            raise CommandError(f"{name} has no key {key!r}")
        say(str(trie.delete(key)))


def to_value(trie: Trie, data: bytes) -> Any:
    """Return what the trie's codec takes for bytes that a user gave; raises `ValueError`."""
    codec = trie.header.values.name
    if codec == "bytes":
        return data
    text = data.decode()
    return text if codec == "text" else json.loads(text)


def to_bytes(value: Any) -> bytes:
    """Return what a user sees of a value: itself, or JSON."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value, ensure_ascii=False).encode()


def for_json(value: Any) -> Any:
    """Return a value as JSON has it: bytes as text, or where they are none in base64."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
