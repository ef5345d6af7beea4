"""`feedlog share`: serves feeds of the store to whoever knows their keys."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from feedlog import BlockMissing, Feed, Store
from feedlog_cli.directory import data_key
from feedlog_cli.errors import CommandError
from feedlog_cli.finding import Finding, choose
from feedlog_cli.network import serving
from feedlog_cli.options import Bootstrap, Json, Mainline, StorePath
from feedlog_cli.output import note, printable, say, say_json_line
from feedlog_cli.places import check_hosts, find_feed, open_store, store_path
from feedlog_cli.running import serve_until_stopped
from net.carriers.ports import ANYWHERE
from trie import NotATrie, Trie

CONTACTS = "contacts"
"""The file in the store's directory that keeps nodes of the DHT: `net.finding.contacts`."""


def share(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="FEED", show_default="all", help="Names or keys of feeds."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="IP",
            show_default="every host",
            help="Where to listen; twice for IPv6.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", "-p", metavar="PORT", min=0, max=65535, help="0 takes any.")
    ] = 0,
    bootstrap: Bootstrap = None,
    mainline: Mainline = False,
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Serve feeds to others until Ctrl-C, as far as they are held here.

    With --bootstrap they are announced there, and readers find them by their keys. Without
    it this process starts a network, and readers give its address as their --bootstrap. With
    --mainline they are announced in the BitTorrent Mainline DHT as well, within seconds.
    A published directory is shared with its contents. Appends by other processes are served.
    Nodes that answered are kept beside the store, and tried as well the next time.
    """
    finding = choose(bootstrap, mainline=mainline)
    hosts = check_hosts(host) or ANYWHERE
    with open_store(store) as opened:
        chosen = [find_feed(opened, name) for name in names or []]
        if not names:
            chosen = [opened.feed(key=each.key) for each in opened.feeds()]
        if not chosen:
            raise CommandError("the store has no feeds to share")
        feeds = with_contents(opened, chosen)
        kept = store_path(store) / CONTACTS
        work = serve(opened, feeds, finding, hosts, port, kept, as_json=as_json)
        serve_until_stopped(work)


def with_contents(store: Store, feeds: list[Feed]) -> list[Feed]:
    """Return the feeds, and those that hold the contents of directories among them."""
    held = {info.key for info in store.feeds()}
    found = {feed.key: feed for feed in feeds}
    for feed in feeds:
        contents = contents_key(feed)
        if contents in held:
            found.setdefault(contents, store.feed(key=contents))
    return list(found.values())


def contents_key(feed: Feed) -> bytes | None:
    """Return the key of a directory's data feed; None for any other feed."""
    try:
        return data_key(Trie(feed).header.metadata) if feed.length else None
    except (NotATrie, BlockMissing):
        return None


async def serve(
    store: Store,
    feeds: list[Feed],
    finding: Finding,
    hosts: Sequence[str],
    port: int,
    contacts: Path,
    *,
    as_json: bool,
) -> None:
    """Announce and serve until the process is told to stop."""
    async with serving(store, finding, hosts=hosts, port=port, contacts=contacts) as node:
        await asyncio.gather(*(node.share(feed) for feed in feeds))
        if as_json:
            shared = [{"key": feed.id, "length": feed.length} for feed in feeds]
            say_json_line({"address": node.address, "feeds": shared})
        else:
            names = {info.key: info.name for info in store.feeds()}
            for feed in feeds:
                say(f"{feed.id}  {printable(names[feed.key] or '')}".rstrip(), flush=True)
            note(f"serving at {node.address}; Ctrl-C ends it")
        await asyncio.Event().wait()
