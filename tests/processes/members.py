"""Real processes as members of a network: started, asked, stopped and killed by a test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


class Process:
    """A member; `tests/processes/member.py` says what it understands."""

    def __init__(
        self,
        store: Path,
        host: str,
        bootstrap: str = "",
        *,
        upload_limit: float = 0,
        command: Callable[..., Sequence[str]] = lambda *words: words,
    ) -> None:
        words = (sys.executable, "-m", "tests.processes.member", str(store), host, bootstrap)
        self._process = subprocess.Popen(
            command(*words, str(upload_limit)),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # the whole group is killed: `ip netns exec` may be in front
        )
        self.address: str = self.answer()

    def answer(self) -> Any:
        """Return the next line of the process."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the process ended with {self._process.wait()}"
        return json.loads(line)

    def tell(self, *command: object) -> None:
        """Have it do something; its answers are to be taken."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def ask(self, *command: object) -> Any:
        """Have it do something and return the answer."""
        self.tell(*command)
        return self.answer()

    @property
    def memory(self) -> int:
        """Bytes that it holds and that are not pages of files."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
        return int(line.split()[1]) * 1024

    def signal(self, number: int) -> None:
        """Stop it, or let it go on."""
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it without a farewell; a second time does nothing."""
        if self._process.returncode is None:
            self.signal(signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            if not pipe.closed:
                pipe.close()
