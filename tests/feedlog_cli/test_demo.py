from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.reference.command_line import COMMAND, Run


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo puts its files."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    return place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    for number in range(30):
        (root / f"{number:02}.txt").write_bytes(b"%d " % number * 5000)
    return root


def descendants(word: Path) -> list[str]:
    """Return the command lines of processes that mention a path."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if str(word) in line]


def test_the_whole_path(process: Run, place: Path, root: Path) -> None:
    result = process("demo", root)
    assert result.code == 0, result.err
    for text in (
        "1. a DHT node",
        "30 files of",
        "00.txt",
        "same as on disk",
        "one bit of block 0 (00.txt) is flipped",
        "refused peer",
        "the publisher is back online",
        "00.txt: same as on disk",
        "processes ended, files removed",
    ):
        assert text in result.out
    (key,) = re.findall(r"^   ([a-z0-9]{52})$", result.out, re.MULTILINE)
    assert key
    assert re.search(r"contents +2 of 30 +[\d,]+ B +[\d,]+ B +[12]\n", result.out)
    assert "30/30 blocks" in result.err
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_cleans_up(place: Path, root: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [*COMMAND, "demo", str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        while "3. a reader" not in demo.stdout.readline():
            pass
        os.kill(demo.pid, number)
        demo.stdout.read()
        assert "Traceback" not in demo.stderr.read()
        assert demo.wait() == 128 + number
    assert list(place.iterdir()) == []
    assert descendants(root) == []


def test_a_failing_child_fails_the_demo(process: Run, place: Path, root: Path) -> None:
    for file in root.iterdir():
        file.write_bytes(b"")
    result = process("demo", root)
    assert result.code == 1
    assert result.err == f"feedlog: all files in {root} are empty: there is nothing to show\n"
    for file in root.iterdir():
        file.unlink()
    result = process("demo", root)
    assert result.err.startswith("feedlog: `feedlog publish` failed: there is nothing to publish")
    assert list(place.iterdir()) == []
