from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from feedlog_cli.children import Children, holding_signals
from feedlog_cli.errors import CommandError

SERVE = ("dht", "--host", "127.0.0.1", "--port", "0", "--json")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_no_process_outlives_the_block(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        process, ready = children.serve(SERVE, {})
        assert ready["address"].startswith("127.0.0.1:")
        assert is_alive(process.pid)
    assert not is_alive(process.pid)


def test_no_process_outlives_an_interrupt(tmp_path: Path) -> None:
    started = []

    def interrupted() -> None:
        with Children(tmp_path) as children:
            started.append(children.serve(SERVE, {})[0].pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not any(map(is_alive, started))


def test_the_error_of_a_child_is_the_parents(tmp_path: Path, children: Children) -> None:
    nowhere = {"FEEDLOG_STORE": str(tmp_path / "nowhere")}
    for run in (
        lambda: children.run(("info",), nowhere, quiet=True),
        lambda: children.run_watched(("info",), nowhere, lambda _: None),
        lambda: children.serve(("share", "--json"), nowhere),
    ):
        with pytest.raises(CommandError, match=r"`feedlog \w+` failed: there is no store at"):
            run()


def test_settings_of_the_user_do_not_leak_in(
    children: Children, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FEEDLOG_BOOTSTRAP", "nonsense")
    env = {"FEEDLOG_STORE": str(tmp_path / "store")}
    assert len(children.run(("create", "news"), env, quiet=True).strip()) == 52
    process, _ = children.serve(SERVE, {})
    children.stop(process)
    children.stop(process)


def test_lines_are_seen_as_they_come(children: Children, tmp_path: Path) -> None:
    env = {"FEEDLOG_STORE": str(tmp_path / "store")}
    seen: list[str] = []
    children.run_watched(("create", "news"), env, seen.append)
    children.run_watched(("create", "news"), env, seen.append)
    assert seen[1] == "news exists already, with 0 blocks"
    assert seen[0] == seen[2]


def test_signals_wait_for_the_end_of_a_block() -> None:
    reached = []

    def interrupted() -> None:
        with holding_signals():
            signal.raise_signal(signal.SIGINT)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached == ["the end"]
