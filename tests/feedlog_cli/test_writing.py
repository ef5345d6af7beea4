from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from feedlog import Store, decode_id
from feedlog_cli import writing
from tests.reference.command_line import COMMAND, Run


def test_create_prints_the_key_and_the_store_can_write(feedlog: Run, home: Path) -> None:
    key = feedlog("create", "news").out.strip()
    with Store(home) as store:
        assert store.feed("news").key == decode_id(key)
        assert store.feed("news").writable


def test_create_again_prints_the_same_key(feedlog: Run) -> None:
    first = feedlog("create", "news")
    feedlog("append", "news", "x")
    again = feedlog("create", "news")
    assert (again.code, again.out) == (0, first.out)
    assert "exists already, with 1 block\n" in again.err
    as_json = feedlog("create", "news", "--json").json
    assert as_json == {
        "name": "news", "key": first.out.strip(), "length": 1, "created": False,
    }  # fmt: skip


def test_a_key_is_no_name(feedlog: Run) -> None:
    key = feedlog("create", "news").out.strip()
    assert "a name must not look like one" in feedlog("create", key).complaint


def test_append_takes_texts_and_files(feedlog: Run, home: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture"
    picture.write_bytes(b"\x00\xff")
    feedlog("create", "news")
    assert feedlog("append", "news", "one").out == "block 0\n"
    assert feedlog("append", "news", "zwei", "drei", "-f", picture).out == "blocks 1 to 3\n"
    with Store(home) as store:
        assert list(store.feed("news")) == [b"one", b"zwei", b"drei", b"\x00\xff"]


def test_append_takes_lines_from_stdin(
    feedlog: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BATCH_BLOCKS", 2)
    feedlog("create", "news")
    result = feedlog("append", "news", "--json", stdin=b"a\r\n\nc\nd\ne")
    assert (result.json["start"], result.json["stop"]) == (0, 5)
    with Store(home) as store:
        assert list(store.feed("news")) == [b"a", b"", b"c", b"d", b"e"]
        assert [head.length for head in store.feed("news").heads()] == [2, 4, 5]


def test_a_line_is_appended_when_it_comes(process: Run, home: Path) -> None:
    process("create", "news")
    with subprocess.Popen([*COMMAND, "append", "news"], stdin=subprocess.PIPE) as append:
        assert append.stdin is not None
        append.stdin.write(b"first\nnot")
        append.stdin.flush()
        with Store(home) as store:
            while not store.feed("news").length:
                assert append.poll() is None
                time.sleep(0.05)
            assert list(store.feed("news")) == [b"first"]
            append.stdin.write(b" yet\r\nlast")
            append.stdin.close()
            assert append.wait() == 0
            assert list(store.feed("news")) == [b"first", b"not yet", b"last"]


def test_nothing_to_append_is_said(feedlog: Run) -> None:
    feedlog("create", "news")
    result = feedlog("append", "news")
    assert (result.code, result.out) == (0, "")
    assert "nothing to append" in result.err


def test_append_makes_no_feed(feedlog: Run) -> None:
    assert "there is no store at" in feedlog("append", "news", "x").complaint
    feedlog("create", "news")
    assert feedlog("append", "nwes", "x").complaint == "the store has no feed 'nwes'; it has news"


def test_a_missing_file_leaves_the_feed_as_it_was(feedlog: Run, home: Path, tmp_path: Path) -> None:
    feedlog("create", "news")
    complaint = feedlog("append", "news", "x", "--file", tmp_path / "nothing").complaint
    assert complaint == f"{tmp_path / 'nothing'}: No such file or directory"
    with Store(home) as store:
        assert store.feed("news").length == 0


def test_append_to_somebody_elses_feed_is_refused(feedlog: Run, home: Path) -> None:
    feedlog("create", "mine")
    with Store.memory() as elsewhere, Store(home) as store:
        theirs = store.feed(key=elsewhere.feed("theirs").key).id
    assert "cannot be written here" in feedlog("append", theirs, "x").complaint
