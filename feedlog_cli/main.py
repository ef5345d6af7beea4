"""The table of commands, and how a command ends.

Each command is a function in a module of its own room; here stand their order in
`feedlog --help` and the examples below each help text, which a test parses.

Exit codes: 0 done, 1 failed, 2 the command line is wrong, 130 and 143 interrupted by
Ctrl-C and SIGTERM. A failure is one line on stderr, never a traceback: what people
type, disks and peers cannot cause a bug report.
"""

from __future__ import annotations

import inspect
import io
import os
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from types import FrameType
from typing import Annotated, NoReturn

import typer

from feedlog import BlockMissing, FeedlogError
from feedlog_cli import trie_proving, tries
from feedlog_cli.archive import export, import_
from feedlog_cli.audit import audit
from feedlog_cli.clear import clear
from feedlog_cli.clone import clone
from feedlog_cli.demo import demo
from feedlog_cli.dht import dht
from feedlog_cli.errors import CommandError
from feedlog_cli.info import info
from feedlog_cli.interrupts import end_in_order
from feedlog_cli.output import printable
from feedlog_cli.proving import prove, verify
from feedlog_cli.publish import publish
from feedlog_cli.read import read
from feedlog_cli.reading import cat, get
from feedlog_cli.share import share
from feedlog_cli.truncate import truncate
from feedlog_cli.writing import append, create

LOGS, DIRECTORIES, TRIES, NETWORK = "Logs", "Directories", "Tries", "Network"

Command = tuple[str, Callable[..., None], tuple[str, ...]]

COMMANDS: tuple[Command, ...] = (
    (LOGS, create, ("feedlog create news", "feedlog create news --store ./here --json")),
    (
        LOGS,
        append,
        (
            "feedlog append news 'first entry' 'second entry'",
            "feedlog append photos --file cat.jpg",
            "journalctl -o cat | feedlog append journal",
        ),
    ),
    (
        LOGS,
        get,
        ("feedlog get news 0", "feedlog get news -1", "feedlog get photos 12 > cat.jpg"),
    ),
    (LOGS, cat, ("feedlog cat news", "feedlog cat news --range=-10:", "feedlog cat photos --raw")),
    (LOGS, info, ("feedlog info", "feedlog info news", "feedlog info --json")),
    (LOGS, prove, ("feedlog prove news 7 -o seven.proof", "feedlog prove news 0:100 -o p")),
    (
        DIRECTORIES,
        publish,
        ("feedlog publish ./docs", "feedlog publish src --include '*.py' --exclude __pycache__"),
    ),
    (
        DIRECTORIES,
        read,
        (
            "feedlog read KEY asyncio/events.py --bootstrap 198.51.100.7:49737",
            "feedlog read docs guide/start.md guide/end.md --output ./copy",
        ),
    ),
    (LOGS, verify, ("feedlog verify KEY seven.proof", "feedlog verify KEY seven.proof --raw")),
    (LOGS, clear, ("feedlog clear news 0:1000", "feedlog clear KEY 0:")),
    (LOGS, truncate, ("feedlog truncate news 7",)),
    (LOGS, audit, ("feedlog audit", "feedlog audit news photos", "feedlog audit --json")),
    (LOGS, export, ("feedlog export news news.feed", "feedlog export KEY copy.feed --force")),
    (LOGS, import_, ("feedlog import news.feed", "feedlog import news.feed --store ./copy")),
    (NETWORK, demo, ("feedlog demo", "feedlog demo ./docs")),
    (
        NETWORK,
        dht,
        ("feedlog dht", "feedlog dht --port 5000 --bootstrap 198.51.100.7:49737"),
    ),
    (
        NETWORK,
        share,
        (
            "feedlog share news --bootstrap 198.51.100.7:49737",
            "feedlog share",
            "feedlog share news --mainline",
        ),
    ),
    (
        NETWORK,
        clone,
        (
            "feedlog clone KEY --bootstrap 198.51.100.7:49737",
            "feedlog clone KEY --range=-1000:",
            "feedlog clone KEY --mainline",
        ),
    ),
)
"""Panel of the help, function, examples."""

COUNTING_FROM_THE_END = {get, prove, clear}
"""Commands whose arguments may be -1 and the like: what is no option of theirs is an argument."""

TRIE_COMMANDS: tuple[Command, ...] = (
    ("put", tries.put, ("feedlog trie put config colours/sky blue",)),
    ("get", tries.get, ("feedlog trie get config colours/sky",)),
    (
        "ls",
        tries.ls,
        (
            "feedlog trie ls config",
            "feedlog trie ls config colours/ --long",
            "feedlog trie ls -R config",
        ),
    ),
    ("del", tries.delete, ("feedlog trie del config colours/sky",)),
    (
        "prove",
        trie_proving.prove,
        (
            "feedlog trie prove config colours/sky -o sky.proof",
            "feedlog trie prove config colours/ --listing -o colours.proof",
        ),
    ),
    (
        "verify",
        trie_proving.verify,
        (
            "feedlog trie verify KEY colours/sky sky.proof",
            "feedlog trie verify KEY colours/ colours.proof --listing --json",
        ),
    ),
)
"""Name, function, examples."""

FAILURES = (CommandError, FeedlogError, OSError, ValueError, IndexError)
"""What input, disks and peers cause. Anything else is a bug and keeps its traceback."""


def show_version(wanted: bool) -> None:
    """Print the version and end, for `--version`."""
    if wanted:
        typer.echo(f"feedlog {version('feedlog')}")
        raise typer.Exit


def feedlog(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Signed append-only logs that anyone can hold and nobody can forge.

    Start with `feedlog demo`, or with the commands of the examples below. Every command
    explains itself: `feedlog append --help`.
    """
    end_in_order()


def help_text(command: Callable[..., None], examples: tuple[str, ...]) -> str:
    """Return a docstring with its examples; a "backspace" keeps these on lines of their own."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    text = [" ".join(paragraph.split()) for paragraph in paragraphs]
    lines = "".join(f"\n  $ {line}" for line in examples)
    return "\n\n".join([*text, f"\b\nExamples:{lines}"])


def name_of(command: Callable[..., None]) -> str:
    """Return what the user types: the function's name, without what keeps `import_` from Python."""
    return command.__name__.removesuffix("_")


def build() -> typer.Typer:
    """Return the application that the table describes."""
    app = typer.Typer(
        name="feedlog",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help=help_text(feedlog, TOUR))(feedlog)
    for panel, command, examples in COMMANDS:
        app.command(
            name_of(command),
            help=help_text(command, examples),
            rich_help_panel=panel,
            context_settings={"ignore_unknown_options": command in COUNTING_FROM_THE_END},
        )(command)
    part = typer.Typer(help="A key-value database in a feed.", no_args_is_help=True)
    for name, command, examples in TRIE_COMMANDS:
        part.command(name, help=help_text(command, examples))(command)
    app.add_typer(part, name="trie", rich_help_panel=TRIES)
    return app


TOUR = ("feedlog create news", "feedlog append news 'hello, world'", "feedlog cat news")

app = build()


def run() -> NoReturn:
    """Run the command line; the installed script `feedlog` calls this through `start`."""
    open_standard_streams()
    signal.signal(signal.SIGTERM, terminate)
    try:
        app()
    except FAILURES as error:
        end(error)
    sys.exit(0)


def open_standard_streams() -> None:
    """Have three streams that take any text.

    Those that are closed lead to /dev/null, so that no other file takes their place.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            assert nowhere == number, "the lowest number that is free"
            setattr(sys, name, os.fdopen(nowhere, mode, encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # names are not known to be in its encoding


def terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """End as on Ctrl-C, through every `finally`, but with the exit code of SIGTERM."""
    sys.exit(128 + signal.SIGTERM)


def end(error: BaseException) -> NoReturn:
    """Print why a command failed, on one line, and exit."""
    typer.echo(f"feedlog: {one_line(error)}", err=True)
    sys.exit(error.exit_code if isinstance(error, CommandError) else 1)


def one_line(error: BaseException) -> str:
    """Return the message of an error: the system's without its number."""
    if isinstance(error, BlockMissing):
        return f"{error}; `feedlog clone` fetches it from a peer that has it"
    if isinstance(error, OSError) and error.strerror:
        named = error.filename if error.filename is not None else ""
        return printable(f"{named}: {error.strerror}" if named else error.strerror)
    if isinstance(error, UnicodeEncodeError):
        return f"{error.object[:60]!r} cannot be written in {error.encoding}"
    return printable(" ".join(str(error).split())) or type(error).__name__
