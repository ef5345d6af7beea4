from __future__ import annotations

import os
import shlex
import signal
import subprocess
from importlib.metadata import version

import pytest

from feedlog import InvalidProof, StoreError
from feedlog_cli.errors import CommandError, UsageError
from feedlog_cli.main import COMMANDS, TOUR, TRIE_COMMANDS, name_of, one_line
from tests.reference.command_line import COMMAND, Run

EXAMPLES = [
    line
    for _, _, lines in (*COMMANDS, *TRIE_COMMANDS, ("", None, TOUR))
    for line in lines
]  # fmt: skip


def test_every_command_explains_itself_with_examples(feedlog: Run) -> None:
    overview = feedlog("--help").out
    for _, command, examples in COMMANDS:
        assert name_of(command) in overview
        text = feedlog(name_of(command), "--help").out
        assert f"  $ {examples[0]}" in text
    for name, _, examples in TRIE_COMMANDS:
        assert f"  $ {examples[0]}" in feedlog("trie", name, "--help").out


@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_is_a_command_line(feedlog: Run, line: str) -> None:
    words = shlex.split(line.rsplit("| ", maxsplit=1)[-1].split(" > ", maxsplit=1)[0])
    assert words[0] == "feedlog"
    result = feedlog(*words[1:], "--help")
    assert (result.code, result.err) == (0, "")


def test_no_arguments_show_the_help(feedlog: Run) -> None:
    assert "Usage: feedlog" in feedlog().err + feedlog().out


def test_version(feedlog: Run) -> None:
    assert feedlog("--version").out == f"feedlog {version('feedlog')}\n"


def test_a_wrong_command_line_exits_with_2(feedlog: Run) -> None:
    feedlog("create", "news")
    for words in (
        ("nonsense",),
        ("get",),
        ("get", "news", "0", "--nonsense"),
        ("prove", "news", "--nonsense"),
    ):
        result = feedlog(*words)
        assert (result.code, result.out) == (2, "")


def test_errors_are_one_line() -> None:
    assert one_line(FileNotFoundError(2, "No such file", "a")) == "a: No such file"
    assert one_line(OSError(28, "No space left on device")) == "No space left on device"
    assert one_line(StoreError("two\n  lines")) == "two lines"
    assert one_line(InvalidProof()) == "InvalidProof"
    assert (CommandError.exit_code, UsageError.exit_code) == (1, 2)


def test_a_reader_that_goes_away_is_no_error(process: Run) -> None:
    process("create", "news")
    process("append", "news", stdin=b"line\n" * 100_000)
    with subprocess.Popen(
        [*COMMAND, "cat", "news"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as cat:
        assert cat.stdout is not None
        assert cat.stderr is not None
        assert cat.stdout.readline() == b"line\n"
        cat.stdout.close()
        assert cat.stderr.read() == b""
        assert cat.wait() == 1


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_signals_end_a_command_without_a_traceback(
    process: Run, number: signal.Signals, code: int
) -> None:
    process("create", "news")
    process("append", "news", "before")
    with subprocess.Popen(
        [*COMMAND, "append", "news"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as append:
        assert append.stdin is not None
        assert append.stderr is not None
        # More than the pipe holds: when this returns, the command is reading.
        append.stdin.write(b"line\n" * 40_000)
        append.stdin.flush()
        os.kill(append.pid, number)
        assert append.stderr.read() == b""
        assert append.wait() == code
    assert process("cat", "news").out.startswith("before\n")


def test_closed_streams_are_no_bug(process: Run) -> None:
    process("create", "news")
    process("append", "news", "hello")
    for words in (("cat", "news"), ("get", "news", 0), ("info",)):
        silent = process(*words, preexec_fn=lambda: os.close(1))
        assert (silent.code, silent.raw, silent.err) == (0, b"", ""), words
    without_input = process("append", "news", preexec_fn=lambda: os.close(0))
    assert (without_input.code, without_input.err) == (0, "there was nothing to append\n")
    all_closed = process("get", "news", 7, preexec_fn=lambda: os.closerange(0, 3))
    assert (all_closed.code, all_closed.err) == (1, "")
    assert process("cat", "news").out == "hello\n"


def test_text_that_the_terminal_does_not_have_is_spelled_out(process: Run) -> None:
    process("create", "\u540d")
    latin = {**os.environ, "PYTHONIOENCODING": "latin-1:strict"}
    result = process("info", env=latin)
    assert (result.code, result.err) == (0, "")
    assert result.raw.splitlines()[1].startswith(rb"\u540d  ")
