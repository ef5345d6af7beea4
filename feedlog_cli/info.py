"""`feedlog info`: what a store holds, and what is known of one feed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from feedlog import Feed, Store, StoreError
from feedlog_cli.options import Json, StorePath
from feedlog_cli.output import note, print_facts, print_table, printable, say_json, size
from feedlog_cli.places import find_feed, open_store, store_path


def info(
    name: Annotated[
        str | None,
        typer.Argument(metavar="FEED", show_default=False, help="One feed only, in detail."),
    ] = None,
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Show the feeds of the store, or one of them in detail."""
    with open_to_look(store) as opened:
        if name is not None:
            facts = describe(opened, find_feed(opened, name))
            say_json(facts) if as_json else print_facts(for_people(facts))
            return
        known = [describe(opened, opened.feed(key=each.key)) for each in opened.feeds()]
    if as_json:
        say_json(known)
    elif not known:
        note(f"the store at {store_path(store)} has no feeds; `feedlog create NAME` makes one")
    else:
        print_table(
            ("name", "key", "#blocks", "#held", "#size", "writable"),
            [
                (
                    printable(facts["name"] or "-"),
                    facts["key"],
                    str(facts["length"]),
                    str(facts["held"]),
                    size(facts["bytes"]),
                    "yes" if facts["writable"] else "no",
                )
                for facts in known
            ],
        )


def open_to_look(given: Path | None) -> Store:
    """Open the store to write where that can be, for what is writable is shown; else to read."""
    try:
        return open_store(given)
    except StoreError:
        return open_store(given, read_only=True)


def describe(store: Store, feed: Feed) -> dict[str, Any]:
    """Return what is known of a feed, as `--json` prints it."""
    name = next(each.name for each in store.feeds() if each.key == feed.key)
    manifest = feed.manifest
    conflict = feed.conflict
    return {
        "name": name,
        "key": feed.id,
        "length": feed.length,
        "bytes": feed.byte_length,
        "held": sum(map(len, feed.have)),
        "fork": feed.fork,
        "writable": feed.writable,
        "tree_hash": feed.head.tree_hash.hex() if feed.head else None,
        "discovery_key": feed.discovery_key.hex(),
        "hash": manifest.suite.name if manifest else None,
        "signers": len(manifest.signers) if manifest else None,
        "quorum": manifest.quorum if manifest else None,
        "conflict": str(conflict) if conflict else None,
    }


def for_people(facts: dict[str, Any]) -> dict[str, str]:
    """Return the facts of `describe` in words; what is not known is left out."""
    held, length = facts["held"], facts["length"]
    words = {
        "name": facts["name"] and printable(facts["name"]),
        "key": facts["key"],
        "blocks": f"{length:,}, {'all' if held == length else f'{held:,}'} held here",
        "size": size(facts["bytes"]),
        "writable": "yes" if facts["writable"] else "no",
        "fork": str(facts["fork"]),
        "tree hash": facts["tree_hash"],
        "discovery key": facts["discovery_key"],
        "hash": facts["hash"],
        "signers": f"{facts['signers']}, {facts['quorum']} needed" if facts["signers"] else None,
        "conflict": facts["conflict"],
    }
    return {name: word for name, word in words.items() if word is not None}
