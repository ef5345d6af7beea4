"""`feedlog demo`: the whole path on one machine, in processes that share nothing.

Every actor is a `feedlog` command in a process and with a store of its own; what the
reader gets on its command line is a public key and the address of a DHT node. This
module only conducts: it starts them in order, and removes everything at the end.
"""

from __future__ import annotations

import json
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from feedlog import decode_id
from feedlog_cli.children import Children, Process
from feedlog_cli.errors import CommandError
from feedlog_cli.importing import require_directory
from feedlog_cli.output import plural, say, size
from feedlog_cli.tampering import flip_bit

LOOPBACK = "127.0.0.1"

WISHED = ("asyncio/events.py", "json/decoder.py")
"""Files of the standard library that the reader asks for."""

SOURCES = ("--include", "*.py", "--exclude", "site-packages", "--exclude", "__pycache__")
"""What of the standard library is published."""


def demo(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIRECTORY",
            show_default="the sources of Python's standard library",
            help="What to publish.",
        ),
    ] = None,
) -> None:
    """Publish, find, read, clone and refuse a forgery, in separate processes on this machine.

    Needs no network and leaves nothing behind. Takes some ten seconds.
    """
    standard = Path(sysconfig.get_path("stdlib"))
    root = standard if directory is None else directory
    require_directory(root)
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="feedlog-demo-") as place,
        Children(Path(place)) as children,
    ):
        story = Demo(children, Path(place), root, SOURCES if directory is None else ())
        story.tell()
    say(f"\ndone in {time.monotonic() - started:.1f} s; processes ended, files removed")


class Demo:
    """The actors and what they know of each other."""

    def __init__(
        self, children: Children, place: Path, root: Path, patterns: tuple[str, ...]
    ) -> None:
        self.children = children
        self.place = place
        self.root = root
        self.patterns = patterns
        self.bootstrap = ""
        self.key = ""
        self.data_key = ""

    def tell(self) -> None:
        """Play all scenes."""
        self.start_dht()
        publisher = self.publish()
        paths = self.choose()
        self.read(paths)
        self.clone()
        self.tamper(publisher, paths[0])

    def env(self, actor: str) -> dict[str, str]:
        """Return what an actor finds in its environment: its store, and the DHT node."""
        return {"FEEDLOG_STORE": str(self.place / actor), "FEEDLOG_BOOTSTRAP": self.bootstrap}

    def start_dht(self) -> None:
        """Scene 1: the bootstrap of an otherwise empty network."""
        scene(1, "a DHT node", "feedlog dht")
        words = ("dht", "--host", LOOPBACK, "--port", "0", "--json")
        _, ready = self.children.serve(words, {})
        self.bootstrap = ready["address"]
        say(f"   listens at {self.bootstrap}")

    def publish(self) -> Process:
        """Scene 2: a directory becomes a feed and a trie, and is announced."""
        shown = "STDLIB" if self.patterns else self.root
        scene(2, "a publisher", f"feedlog publish {shown}; feedlog share")
        began = time.monotonic()
        words = ("publish", str(self.root), "--name", "demo", *self.patterns, "--json")
        facts = json.loads(self.children.run(words, self.env("publisher"), quiet=True))
        self.key, self.data_key = facts["key"], facts["data_key"]
        say(
            f"   {plural(facts['files'], 'file')} of {size(facts['bytes'])} "
            f"in {plural(facts['blocks'], 'block')}, signed and indexed "
            f"in {time.monotonic() - began:.1f} s"
        )
        process = self.share("publisher")
        say(f"   announced; the one public key is\n   {self.key}")
        return process

    def share(self, actor: str) -> Process:
        """Let an actor announce and serve what its store holds."""
        words = ("share", "--host", LOOPBACK, "--json")
        process, _ = self.children.serve(words, self.env(actor))
        return process

    def choose(self) -> list[str]:
        """Return two files to read: those of the standard library, or the first there are."""
        words = ("trie", "ls", self.key, "--recursive", "--json")
        listed = json.loads(self.children.run(words, self.publisher_alone(), quiet=True))
        full = [path for path, entry in listed.items() if entry["size"]]
        if not full:
            raise CommandError(f"all files in {self.root} are empty: there is nothing to show")
        return [path for path in WISHED if path in full] or full[:2]

    def publisher_alone(self) -> dict[str, str]:
        """Return the environment in which the publisher reads its own store, offline."""
        return {"FEEDLOG_STORE": str(self.place / "publisher")}

    def read(self, paths: list[str]) -> None:
        """Scene 3: a reader that knows the key fetches two files and little else."""
        scene(3, "a reader, given only the key", f"feedlog read KEY {' '.join(paths)}")
        words = ("read", self.key, *paths, "--against", str(self.root), "--stats")
        self.children.run_watched(
            words, self.env("reader"), lambda line: say(f"   {line}".rstrip())
        )

    def clone(self) -> None:
        """Scene 4: the same reader fetches all the rest."""
        scene(4, "the reader clones everything", "feedlog clone KEY")
        self.children.run(("clone", self.key), self.env("reader"))

    def tamper(self, publisher: Process, path: str) -> None:
        """Scene 5: the only peer in sight has a flipped bit; then the publisher is back."""
        scene(5, "a peer that lies", f"feedlog read KEY {path}")
        self.children.run(("clone", self.key), self.env("liar"), quiet=True)
        entry = self.entry(path)
        flip_bit(self.place / "liar", decode_id(self.data_key), entry["block"])
        say(f"   one bit of block {entry['block']} ({path}) is flipped in a copy of the feed")
        self.children.stop(publisher)
        liar = self.share("liar")
        span = f"{entry['block']}:{entry['block'] + entry['count']}"
        self.children.run(("clear", self.data_key, span), self.env("reader"), quiet=True)
        say("   the reader forgets that file; only the liar is online to serve it again")
        honest: list[Process] = []

        def watch(line: str) -> None:
            indented(line)
            if "refused peer" in line and not honest:
                honest.append(self.share("publisher"))
                say("   the publisher is back online")

        words = ("read", self.key, path, "--against", str(self.root))
        self.children.run_watched(words, self.env("reader"), watch)
        if not honest:
            raise CommandError("the flipped bit was not refused")
        self.children.stop(liar)

    def entry(self, path: str) -> Any:
        """Return what the trie says about a file."""
        words = ("trie", "get", self.key, path)
        return json.loads(self.children.run(words, self.publisher_alone(), quiet=True))


def indented(line: str) -> None:
    """Print a line of another process."""
    say(f"   {line}".rstrip(), flush=True)


def scene(number: int, title: str, command: str) -> None:
    """Print the heading of a scene."""
    say(f"{'' if number == 1 else chr(10)}{number}. {title:<34} $ {command}", flush=True)
