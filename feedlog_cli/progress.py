"""How far long work has come, on stderr: a moving line in a terminal, a last line elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)


@contextmanager
def spinner(what: str) -> Iterator[Callable[[str], None]]:
    """Show what is going on and a changing remark, in a terminal only."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(what) as status:
        yield lambda remark: status.update(f"{what}: {remark}")


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar that is moved by calling with what is done and the total.

    Where stderr is no terminal, its last state is printed once.
    """
    columns = (
        TextColumn(what),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("blocks"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 100)
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
