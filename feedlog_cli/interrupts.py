"""What Ctrl-C does before a command has begun: it ends the process at once.

Importing the modules and reading the command line takes up to a second, in which nothing
is open and nothing has been done. A `KeyboardInterrupt` would leave a traceback there, or
be lost: Python only reports one that is raised in a callback of its import locks.

Must not import anything of ours: it is there before all that takes time.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn


def leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """End the process with the exit code of a command that Ctrl-C has ended."""
    os._exit(128 + signal.SIGINT)


def end_at_once() -> None:
    """Let Ctrl-C end the process without more ado; where it is ignored, it stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)


def end_in_order() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again, after `end_at_once`: a command begins."""
    if signal.getsignal(signal.SIGINT) is leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
