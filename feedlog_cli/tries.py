"""`feedlog trie ...`: a key-value database in a feed."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from feedlog import Feed, Store
from feedlog_cli.errors import CommandError, UsageError
from feedlog_cli.finding import Finding, choose
from feedlog_cli.network import TIMEOUT, explaining, following, visiting
from feedlog_cli.options import Bootstrap, FeedName, Json, Mainline, StorePath, Timeout
from feedlog_cli.output import note, printable, say, say_json, write_bytes
from feedlog_cli.places import (
    find_feed,
    find_or_follow,
    looks_like_key,
    open_store,
)
from feedlog_cli.proving import preview
from feedlog_cli.remote_trie import RemoteTrie
from feedlog_cli.running import run_to_end
from trie import Trie

TrieKey = Annotated[
    str,
    typer.Argument(metavar="KEY", show_default=False, help="The key, as path/with/parts."),
]

MISSING = object()
"""Stands for the value of a key that has none: None may be a value."""


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
    key.encode()  # what is no text fails before a trie is made for it
    if value is not None:
        data = value.encode()
    else:
        data = file.read_bytes() if file is not None else sys.stdin.buffer.read()
    with open_store(store, create=True) as opened:
        if not looks_like_key(name) and name not in [info.name for info in opened.feeds()]:
            note(f"{name} is a new trie: {opened.feed(name).id}")
        feed = find_feed(opened, name)
        trie = Trie(feed) if feed.length else Trie(feed, order="key")
        typed = to_key(trie.header.keys.name, key)
        say(str(trie.put(typed, to_value(trie, data), if_absent=if_absent)))


def get(
    name: FeedName,
    key: TrieKey,
    version: Annotated[
        int | None,
        typer.Option("--at", metavar="VERSION", show_default="the latest", help="An old version."),
    ] = None,
    bootstrap: Bootstrap = None,
    mainline: Mainline = False,
    timeout: Timeout = TIMEOUT,
    store: StorePath = None,
) -> None:
    """Print the value of a key, byte for byte; exits with 1 where it has none.

    With --bootstrap or --mainline somebody else's trie is asked, in one round trip and
    without downloading it. What its peers answer is checked.
    """
    finding = choose(bootstrap, mainline=mainline)
    with open_store(store, create=finding.goes_out, read_only=not finding.goes_out) as opened:
        feed = find_or_follow(opened, name, remote=finding.goes_out)
        if finding.goes_out and not feed.writable:
            value = run_to_end(get_remote(opened, feed, key, version, finding, timeout))
        else:
            trie = Trie(feed)
            typed = to_key(trie.header.keys.name, key)
            value = (trie if version is None else trie.at(version)).get(typed, MISSING)
    if value is MISSING:
        raise CommandError(f"{name} has no key {key!r}")
    data = to_bytes(value)
    write_bytes([data, b"\n"] if sys.stdout.isatty() else [data])


async def get_remote(
    store: Store, feed: Feed, key: str, version: int | None, finding: Finding, seconds: float
) -> Any:
    """Return a value that peers have, or MISSING."""
    async with visiting(store, finding) as node, following(node, feed.key) as remote:
        with explaining(remote, finding, seconds):
            trie = RemoteTrie(remote, version=version, timeout=seconds)
            try:
                return await trie.get(key, MISSING)
            except TypeError:  # its keys are no text: rare enough to ask for the header then
                codec = (await trie.header()).keys.name
                return await trie.get(to_key(codec, key), MISSING)


def ls(
    name: FeedName,
    prefix: Annotated[
        str,
        typer.Argument(metavar="PREFIX", show_default=False, help='Such as "users/".'),
    ] = "",
    *,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-R", help="Everything below, not one level.")
    ] = False,
    long: Annotated[bool, typer.Option("--long", "-l", help="Print the values too.")] = False,
    bootstrap: Bootstrap = None,
    mainline: Mainline = False,
    timeout: Timeout = TIMEOUT,
    as_json: Json = False,
    store: StorePath = None,
) -> None:
    """List keys; those that go on below a "/" are shown as one name, as `ls` does.

    With --bootstrap or --mainline somebody else's trie is listed, and only what is listed is
    fetched.
    """
    finding = choose(bootstrap, mainline=mainline)
    with open_store(store, create=finding.goes_out, read_only=not finding.goes_out) as opened:
        feed = find_or_follow(opened, name, remote=finding.goes_out)
        if finding.goes_out and not feed.writable:
            listing = list_remote(opened, feed, prefix, recursive, finding, timeout)
            items = run_to_end(listing)
        else:
            items = list(Trie(feed).items(prefix, recursive=recursive))
    if as_json:
        say_json({show_key(key): for_json(value) for key, value in items})
        return
    for key, value in items:
        shown = f"\t{preview(to_bytes(value))}" if long and value is not None else ""
        say(printable(show_key(key)) + shown)


async def list_remote(
    store: Store, feed: Feed, prefix: str, recursive: bool, finding: Finding, seconds: float
) -> list[tuple[Any, Any]]:
    """Return a listing that peers have."""
    async with visiting(store, finding) as node, following(node, feed.key) as remote:
        with explaining(remote, finding, seconds):
            trie = RemoteTrie(remote, timeout=seconds)
            return [item async for item in trie.items(prefix, recursive=recursive)]


def delete(name: FeedName, key: TrieKey, store: StorePath = None) -> None:
    """Delete a key, and print the trie's new version; old versions keep the value."""
    with open_store(store) as opened:
        trie = Trie(find_feed(opened, name))
        typed = to_key(trie.header.keys.name, key)
        if typed not in trie:
            raise CommandError(f"{name} has no key {key!r}")
        say(str(trie.delete(typed)))


def to_key(codec: str, text: str) -> Any:
    """Return the key that a user typed, as a trie of that codec has it; raises `UsageError`."""
    if codec == "bytes":
        return text.encode()
    return text if codec == "text" else from_json(text, "key")


def show_key(key: Any) -> str:
    """Return a key as a user types it, as far as it is text."""
    return to_bytes(key).decode(errors="backslashreplace")


def to_value(trie: Trie, data: bytes) -> Any:
    """Return what the trie's codec takes for bytes that a user gave; raises `ValueError`."""
    codec = trie.header.values.name
    if codec == "bytes":
        return data
    text = data.decode()
    return text if codec == "text" else from_json(text, "value")


def from_json(text: str, what: str) -> Any:
    """Return what a user typed where the trie takes JSON; raises `UsageError`."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"a {what} of this trie is written in JSON, not as {text[:60]!r}: {error}"
        ) from None


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
