"""Runs the part of a command that waits, and ends it as people and supervisors expect.

Ctrl-C and SIGTERM cancel the work, so that connections say goodbye and stores close.
A command that fetches something has then failed: 130 or 143. For one that serves until
it is told to stop, being told so is success: 0. It is told by SIGHUP, too, when its
terminal is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine and return what it returns; ends the process with 143 on SIGTERM."""

    async def main() -> T:
        task = asyncio.current_task()
        assert task is not None, "asyncio.run runs a task"
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        sys.exit(128 + signal.SIGTERM)


def serve_until_stopped(work: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine that serves for ever, until the user or the system asks it to end.

    It is cancelled then, whether it has begun to serve or not, and that is success.
    """

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio.run runs a task"
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # `nohup` has it ignored
            numbers.append(signal.SIGHUP)
        for number in numbers:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await work

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main())
