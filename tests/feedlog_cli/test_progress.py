from __future__ import annotations

import pytest

from feedlog_cli.progress import bar, spinner


def test_without_a_terminal_a_spinner_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with spinner("importing") as show:
        show("1 file")
    assert capfd.readouterr() == ("", "")


def test_without_a_terminal_a_bar_is_printed_once(capfd: pytest.CaptureFixture[str]) -> None:
    with bar("clone") as move:
        for done in range(101):
            move(done, 100)
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("clone")
    assert "100%" in line
    assert "100/100 blocks" in line
