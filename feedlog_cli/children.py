"""Processes that a command starts: run to their end, or kept until the block ends.

Invariant: whatever happens, also on Ctrl-C and SIGTERM, no process outlives the `with`
block, and the error of one that failed reaches the user.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from feedlog_cli.errors import CommandError

START_TIMEOUT = 30.0
"""Seconds in which a process that serves must say that it does."""

STOP_TIMEOUT = 5.0
"""Seconds in which a process must have ended after SIGTERM."""

Process: TypeAlias = "subprocess.Popen[str]"


class Children:
    """The processes of one command, each a `feedlog` command line of its own."""

    def __init__(self, directory: Path) -> None:
        """Keep what the processes complain about in files of a directory."""
        self._directory = directory
        self._running: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with holding_signals():
            for process in reversed(self._running):
                self.stop(process)

    def serve(self, words: Sequence[str], env: dict[str, str]) -> tuple[Process, Any]:
        """Start a process that prints one JSON line when it is ready; return it and that."""
        log = self._directory / f"{len(self._running)}.err"
        with log.open("w", encoding="utf-8") as errors:
            process = self._start(words, env, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None, "a pipe was asked for"
        alarm = threading.Timer(START_TIMEOUT, process.kill)
        alarm.start()
        try:
            line = process.stdout.readline()
        finally:
            alarm.cancel()
        if not line:
            process.wait()
            self._forget(process)
            raise failed(words, process.returncode, log.read_text(encoding="utf-8"))
        return process, json.loads(line)

    def run(self, words: Sequence[str], env: dict[str, str], *, quiet: bool = False) -> str:
        """Run a process to its end; return its stdout if `quiet`, else the user sees it."""
        pipe = subprocess.PIPE if quiet else None
        process = self._start(words, env, stdout=pipe, stderr=pipe)
        out, err = process.communicate()
        self._forget(process)
        if process.returncode:
            raise failed(words, process.returncode, err or "")
        return out or ""

    def run_watched(
        self, words: Sequence[str], env: dict[str, str], watch: Callable[[str], None]
    ) -> None:
        """Run a process to its end; `watch` is told each line that it prints, as it comes."""
        process = self._start(words, env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdout is not None, "a pipe was asked for"
        line = ""
        for text in process.stdout:
            line = text.rstrip("\n")
            watch(line)
        process.wait()
        self._forget(process)
        if process.returncode:
            raise failed(words, process.returncode, line)

    def stop(self, process: Process) -> None:
        """End a process, asking politely first."""
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._forget(process)

    def _forget(self, process: Process) -> None:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        with contextlib.suppress(ValueError):
            self._running.remove(process)

    def _start(self, words: Sequence[str], env: dict[str, str], **streams: Any) -> Process:
        clean = {name: value for name, value in os.environ.items() if name[:8] != "FEEDLOG_"}
        with holding_signals():  # a process that is not in the list yet would be left behind
            process: Process = subprocess.Popen(  # noqa: S603 - this program, with our own words
                [sys.executable, "-m", "feedlog_cli", *words],
                env={**clean, **env},
                stdin=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # Ctrl-C is for the conductor, who ends the others
                **streams,
            )
            self._running.append(process)
        return process


@contextmanager
def holding_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the end of the block; in the main thread only."""
    held: list[int] = []
    before = {
        number: signal.signal(number, lambda arrived, _frame: held.append(arrived))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for arrived in held:
        signal.raise_signal(arrived)


def failed(words: Sequence[str], code: int, err: str) -> CommandError:
    """Return the error for a process that ended with a code other than 0."""
    lines = err.strip().splitlines()
    reason = lines[-1].removeprefix("feedlog: ") if lines else f"exit code {code}"
    return CommandError(f"`feedlog {words[0]}` failed: {reason}")
