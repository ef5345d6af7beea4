"""Running the command: in this process where only output counts, as a process where it matters."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feedlog_cli.main import run
from tests.reference.command_line import COMMAND, Result, Run


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store that commands use; none of the machine's own settings leak in."""
    for name in list(os.environ):
        if name.startswith("FEEDLOG_"):
            monkeypatch.delenv(name)
    place = tmp_path / "store"
    monkeypatch.setenv("FEEDLOG_STORE", str(place))
    return place


@pytest.fixture
def feedlog(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Run]:
    """Run a command line in this process."""
    terminated = signal.getsignal(signal.SIGTERM)

    def call(*arguments: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["feedlog", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            run()
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Result(code or 0, out, err.decode())

    yield call
    signal.signal(signal.SIGTERM, terminated)


@pytest.fixture
def process() -> Run:
    """Run a command line as a process of its own, to its end."""

    def call(*arguments: object, stdin: bytes = b"", **options: Any) -> Result:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=60,
            **options,
        )
        return Result(done.returncode, done.stdout, done.stderr.decode())

    return call
