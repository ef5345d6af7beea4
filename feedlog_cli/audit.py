"""`feedlog audit`: whether what the disk gives back is what was written."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from feedlog import AuditReport, Feed
from feedlog_cli.errors import CommandError
from feedlog_cli.options import Json, StorePath
from feedlog_cli.output import plural, printable, say, say_json, size
from feedlog_cli.places import find_feed, open_store


def audit(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="FEED", show_default="all", help="Names or keys of feeds."),
    ] = None,
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Compute everything anew from the stored blocks: pages, hashes, signatures.

    Changes nothing, and takes the time of reading all that is held. Goes on to the next feed
    after a fault, of which the first in each feed is named. Exits with 0 only where there is none.
    """
    with open_store(store, read_only=True) as opened:
        known = {info.key: info.name for info in opened.feeds()}
        feeds = [find_feed(opened, name) for name in names or []]
        if not names:
            feeds = [opened.feed(key=key) for key in known]
        audited = []
        for feed in feeds:
            facts = describe(feed, known[feed.key], feed.audit())
            audited.append(facts)
            if not as_json:
                say(line(facts), flush=True)
    if as_json:
        say_json(audited)
    damaged = [facts for facts in audited if facts["fault"]]
    if damaged:
        raise CommandError(
            f"{len(damaged)} of {plural(len(audited), 'feed')} damaged; "
            f"{called(damaged[0])}: {damaged[0]['fault']}"
        )


def describe(feed: Feed, name: str | None, report: AuditReport) -> dict[str, Any]:
    """Return what an audit found in a feed, as `--json` prints it."""
    return {
        "name": name,
        "key": feed.id,
        "heads": report.heads,
        "nodes": report.nodes,
        "blocks": report.blocks,
        "bytes": report.bytes,
        "fault": str(report.fault) if report.fault else None,
    }


def line(facts: dict[str, Any]) -> str:
    """Return the facts of `describe` in words; what was counted before a fault tells nothing."""
    if facts["fault"]:
        return f"{called(facts)}: {facts['fault']}"
    return (
        f"{called(facts)}: sound, {plural(facts['blocks'], 'block')} of {size(facts['bytes'])} "
        f"under {plural(facts['heads'], 'head')}"
    )


def called(facts: dict[str, Any]) -> str:
    """Return what people call the feed: its name, or its key where it has none."""
    return printable(facts["name"] or facts["key"])
