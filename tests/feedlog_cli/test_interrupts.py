from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from feedlog_cli.interrupts import end_at_once, end_in_order, leave
from tests.reference.command_line import Run

TALKING = (sys.executable, "-X", "importtime", "-m", "feedlog_cli")
"""The command, telling on stderr of each module as soon as it is imported."""

IGNORING = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
"""Starts a command as `nohup` and scripts in the background do."""


def interrupted_after(module: str, command: tuple[str, ...]) -> tuple[int, bytes, list[str]]:
    """Send SIGINT after an import to an `append` that waits for a line, then send the line.

    Returns the exit code, stdout, and what is on stderr besides the modules.
    """
    with subprocess.Popen(
        [*command, "append", "news"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as append:
        assert append.stderr is not None
        for line in append.stderr:
            if line.split(b"|")[-1].strip() == module.encode():
                break
        append.send_signal(signal.SIGINT)
        if command == TALKING:
            append.wait()
        out, err = append.communicate(b"later\n")
    rest = [line for line in err.decode().splitlines() if not line.startswith("import time:")]
    return append.returncode, out, rest


@pytest.mark.parametrize(
    "module",
    ["typer", "feedlog", "trie", "net", "feedlog_cli.main", "feedlog_cli.start"],
)
def test_an_interrupt_before_the_command_leaves_no_traceback(feedlog: Run, module: str) -> None:
    feedlog("create", "news")
    assert interrupted_after(module, TALKING) == (130, b"", [])


def test_an_interrupt_that_is_ignored_stays_so(feedlog: Run) -> None:
    feedlog("create", "news")
    assert interrupted_after("typer", (*IGNORING, *TALKING)) == (0, b"block 0\n", [])


def test_only_what_was_set_is_taken_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        for handler in (signal.SIG_IGN, signal.SIG_DFL, lambda *_: None):
            signal.signal(signal.SIGINT, handler)
            end_at_once()
            end_in_order()
            assert signal.getsignal(signal.SIGINT) is handler
        signal.signal(signal.SIGINT, signal.default_int_handler)
        end_at_once()
        assert signal.getsignal(signal.SIGINT) is leave
        end_in_order()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
