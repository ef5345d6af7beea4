"""Options and arguments that several commands share, so that they are spelled the same everywhere.

Declarations only. `feedlog_cli.places` turns them into stores, feeds and keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StorePath = Annotated[
    Path | None,
    typer.Option(
        "--store",
        "-s",
        metavar="DIR",
        envvar="FEEDLOG_STORE",
        show_default="~/.local/share/feedlog",
        help="The directory that holds feeds and their secret keys.",
    ),
]

Bootstrap = Annotated[
    list[str] | None,
    typer.Option(
        "--bootstrap",
        "-b",
        metavar="HOST:PORT",
        envvar="FEEDLOG_BOOTSTRAP",
        help="A DHT node to join the network through, as `feedlog dht` prints it. "
        "May be given several times; the variable holds them separated by spaces.",
    ),
]

Mainline = Annotated[
    bool,
    typer.Option(
        "--mainline",
        envvar="FEEDLOG_MAINLINE",
        help="Also ask the BitTorrent Mainline DHT, which needs no node of one's own and takes "
        "seconds. The variable FEEDLOG_MAINLINE_NODES names nodes of a private one.",
    ),
]

Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", "-t", metavar="SECONDS", min=0.1, help="How long to look for peers and wait."
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

FeedName = Annotated[
    str,
    typer.Argument(metavar="FEED", show_default=False, help="A feed's name here, or its key."),
]

FeedKey = Annotated[
    str,
    typer.Argument(metavar="KEY", show_default=False, help="The feed's key: 52 characters."),
]
