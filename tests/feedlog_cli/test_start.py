from __future__ import annotations

import subprocess
import sys

from tests.reference.command_line import COMMAND

ORDER = """
import signal, sys
from importlib.abc import MetaPathFinder
from feedlog_cli.interrupts import leave

class Watch(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in {"feedlog", "feedlog_cli.main"}:
            print(name, signal.getsignal(signal.SIGINT) is leave)

sys.meta_path.insert(0, Watch())
import feedlog_cli.start
"""


def test_it_is_prepared_before_anything_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", ORDER], capture_output=True, check=True)
    assert done.stdout == b"feedlog_cli.main True\nfeedlog True\n"


def test_it_runs_the_command() -> None:
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, check=True)
    assert done.stdout.startswith(b"feedlog ")
