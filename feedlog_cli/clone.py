"""`feedlog clone`: brings a whole feed, or a part of it, into the store."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from feedlog import Store
from feedlog_cli.blocks import parse_range
from feedlog_cli.finding import Finding, choose
from feedlog_cli.network import (
    TIMEOUT,
    download,
    explaining,
    following,
    visiting,
)
from feedlog_cli.options import Bootstrap, FeedKey, Json, Mainline, StorePath, Timeout
from feedlog_cli.output import plural, say, say_json, size
from feedlog_cli.places import open_store, parse_key
from feedlog_cli.progress import bar
from feedlog_cli.running import run_to_end
from feedlog_cli.share import contents_key
from net import Node


def clone(
    key: FeedKey,
    span: Annotated[
        str, typer.Option("--range", metavar="START:STOP", help="Only these blocks.")
    ] = ":",
    bootstrap: Bootstrap = None,
    mainline: Mainline = False,
    timeout: Timeout = TIMEOUT,
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Download a feed; a published directory comes with its contents.

    What is here already is not fetched again, so an interrupted clone goes on where it was.
    The store can serve the copy with `feedlog share`. Without --bootstrap and --mainline it
    looks on the local network.
    """
    wanted = parse_key(key)
    finding = choose(bootstrap, mainline=mainline)
    with open_store(store, create=True) as opened:
        clones = run_to_end(fetch(opened, wanted, span, finding, timeout))
    if as_json:
        say_json(clones)
        return
    for each in clones:
        rate = each["bytes_received"] / max(each["seconds"], 0.001)
        say(
            f"{each['key']}  {plural(each['blocks'], 'block')}, {size(each['bytes_received'])} "
            f"received in {each['seconds']:.2f} s ({size(rate)}/s)"
        )


async def fetch(
    store: Store,
    key: bytes,
    span: str,
    finding: Finding,
    timeout: float,  # noqa: ASYNC109 - of each wait, not of the whole
) -> list[dict[str, Any]]:
    """Clone a feed, and the contents if it turns out to be a directory."""
    async with visiting(store, finding) as node:
        clones = [await fetch_one(node, key, span, finding, timeout, "clone")]
        contents = contents_key(store.feed(key=key))
        if contents is not None and span == ":":
            clones.append(await fetch_one(node, contents, span, finding, timeout, "contents"))
    return clones


async def fetch_one(
    node: Node, key: bytes, span: str, finding: Finding, seconds: float, label: str
) -> dict[str, Any]:
    """Clone one feed; return what `--json` prints of it."""
    started = asyncio.get_running_loop().time()
    async with following(node, key) as remote:
        with explaining(remote, finding, seconds):
            length = await remote.update(timeout=seconds)
        wanted = parse_range(span, length)
        with bar(label) as progress:
            await download(remote, wanted, progress, seconds)
        status = remote.status()
        return {
            "key": remote.feed.id,
            "length": length,
            "blocks": len(wanted),
            "held": status.held,
            "bytes_received": status.data_bytes,
            "proof_bytes": status.proof_bytes,
            "peers": len(status.peers),
            "seconds": round(asyncio.get_running_loop().time() - started, 3),
        }
