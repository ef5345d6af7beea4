"""What a test sees of a command: how it ended and what it printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "feedlog_cli")


@dataclass(frozen=True)
class Result:
    """How a command ended and what it printed."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def complaint(self) -> str:
        """The one line that a failed command leaves; fails if there is more, or a result."""
        assert self.code in {1, 2}, f"exit code {self.code}: {self.err}"
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("feedlog: ")
        assert self.raw == b""
        return lines[0].removeprefix("feedlog: ")


Run = Callable[..., Result]


@dataclass(frozen=True)
class Network:
    """A DHT node and a publisher, running as processes."""

    bootstrap: str
    publisher: Path
    """The publisher's store; it is in use."""
    root: Path
    """The directory that was published."""
    directory: str
    contents: str
    log: str
    """Keys: the directory's trie and contents, and a log."""
