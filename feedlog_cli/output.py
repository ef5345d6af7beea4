"""What commands print: results on stdout, everything about the work itself on stderr.

So `feedlog get ... > file` and `feedlog info --json | jq` hold nothing but the result.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.cells import cell_len, set_cell_size

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def say(text: str, *, flush: bool = False) -> None:
    """Print a line of the result; a command that goes on running flushes."""
    print(text, flush=flush)  # noqa: T201 - stdout is what a command line tool is for


def note(text: str) -> None:
    """Print a remark on stderr, where no script mistakes it for the result."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - stderr of a command line tool


def say_json(value: object) -> None:
    """Print one JSON document; one that spans lines, for people read it too."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def say_json_line(value: object) -> None:
    """Print a JSON document on one line, at once: for commands that go on running."""
    say(json.dumps(value, ensure_ascii=False), flush=True)


def write_bytes(chunks: Iterable[bytes]) -> None:
    """Write bytes to stdout exactly as they are."""
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that keeps every cell whole, in a terminal of any width and in a pipe.

    A column whose title begins with "#" is one of numbers, aligned to the right.
    """
    cells = [[title.removeprefix("#") for title in columns], *rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = (
            cell.rjust(width) if title.startswith("#") else set_cell_size(cell, width)
            for title, cell, width in zip(columns, row, widths, strict=True)
        )
        say("  ".join(aligned).rstrip())


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names and values, one a line."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        say(f"{name:<{width}}  {value}")


def size(count: float) -> str:
    """Write a number of bytes for people: three digits and a unit."""
    unit = 0
    while count >= 1000 and unit < len(UNITS) - 1:
        count /= 1024
        unit += 1
    digits = 0 if unit == 0 or count >= 100 else 1 if count >= 10 else 2
    return f"{count:.{digits}f} {UNITS[unit]}"


def plural(count: int, noun: str) -> str:
    """Write a count with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def printable(text: str) -> str:
    """Return text by somebody else with what would drive the terminal spelled out."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
