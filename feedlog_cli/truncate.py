"""`feedlog truncate`: takes back the end of a feed of one's own, for all readers to see."""

from __future__ import annotations

from typing import Annotated

import typer

from feedlog_cli.options import FeedName, Json, StorePath
from feedlog_cli.output import plural, say, say_json
from feedlog_cli.places import find_feed, open_store


def truncate(
    name: FeedName,
    length: Annotated[
        int,
        typer.Argument(
            metavar="LENGTH", show_default=False, min=0, help="How many blocks are to stay."
        ),
    ],
    store: StorePath = None,
    as_json: Json = False,
) -> None:
    """Remove all blocks of a feed of yours from LENGTH on, under a signed new fork.

    The blocks are gone for good, here and from readers who see the fork. At the length that
    the feed has, only the fork is new.
    """
    with open_store(store) as opened:
        feed = find_feed(opened, name)
        with opened.transaction():  # nobody appends between what is said and what is done
            old_length, old_fork = feed.length, feed.fork
            feed.truncate(length)
        if as_json:
            say_json(
                {
                    "key": feed.id,
                    "old_length": old_length,
                    "old_fork": old_fork,
                    "length": feed.length,
                    "fork": feed.fork,
                }
            )
            return
        say(
            f"from {plural(old_length, 'block')} in fork {old_fork} "
            f"to {plural(feed.length, 'block')} in fork {feed.fork}"
        )
