"""Running the command: in this process where only output counts, as a process where it matters."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feedlog import Store
from feedlog_cli.children import Children
from feedlog_cli.importing import import_directory
from feedlog_cli.main import run
from tests.reference.command_line import COMMAND, Network, Result, Run


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
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Iterator[Run]:
    """Run a command line in this process."""
    terminated = signal.getsignal(signal.SIGTERM)
    typed = tmp_path / "stdin"

    def call(*arguments: object, stdin: bytes = b"") -> Result:
        typed.write_bytes(stdin)
        monkeypatch.setattr(sys, "argv", ["feedlog", *map(str, arguments)])
        capfdbinary.readouterr()
        with typed.open(encoding="utf-8") as opened:
            monkeypatch.setattr(sys, "stdin", opened)
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


LOOPBACK = "127.0.0.1"
LOG_LENGTH = 50


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    """Processes that end with the test."""
    place = tmp_path / "children"
    place.mkdir()
    with Children(place) as children:
        yield children


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network that tests read from, each with a store of its own."""
    place = tmp_path_factory.mktemp("network")
    root = place / "root"
    for path, content in {
        "README": b"read me\n",
        "empty": b"",
        "src/large": bytes(range(256)) * 1024,
        "src/small": b"small",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    with Store(place / "publisher") as store:
        directory = import_directory(store, root, "directory")
        log = store.feed("log")
        log.extend(f"entry {n}".encode() for n in range(LOG_LENGTH))
        keys = (directory.index.id, directory.data.id, log.id)
    with Children(place) as children:
        _, dht = children.serve(("dht", "--host", LOOPBACK, "--port", "0", "--json"), {})
        words = ("share", "--host", LOOPBACK, "--json", "--bootstrap", dht["address"])
        children.serve(words, {"FEEDLOG_STORE": str(place / "publisher")})
        yield Network(dht["address"], place / "publisher", root, *keys)


@pytest.fixture
def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
