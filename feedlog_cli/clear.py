"""`feedlog clear`: gives the disk space of blocks back."""

from __future__ import annotations

from typing import Annotated

import typer

from feedlog_cli.blocks import parse_range
from feedlog_cli.options import FeedName, StorePath
from feedlog_cli.output import note, plural
from feedlog_cli.places import find_feed, open_store


def clear(
    name: FeedName,
    span: Annotated[
        str, typer.Argument(metavar="BLOCKS", show_default=False, help="Such as 7 or 10:20.")
    ],
    store: StorePath = None,
) -> None:
    """Free the space of blocks; those of somebody else's feed can be fetched again.

    Of a feed of yours, make sure first that somebody else holds them. The tree of hashes
    stays, so all other blocks can still be proven.
    """
    with open_store(store) as opened:
        feed = find_feed(opened, name)
        blocks = parse_range(span, feed.length)
        held = sum(feed.has(index) for index in blocks)
        feed.clear(blocks.start, max(blocks.start, blocks.stop))
    note(f"cleared {plural(held, 'block')}")
