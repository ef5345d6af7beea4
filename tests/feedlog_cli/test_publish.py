from __future__ import annotations

import os
from pathlib import Path

import pytest

from feedlog import Store
from tests.reference.command_line import Run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "docs"
    root.mkdir()
    (root / "a.txt").write_bytes(b"a")
    (root / "b.py").write_bytes(b"b")
    return root


def test_publish_prints_one_key(feedlog: Run, root: Path, home: Path) -> None:
    result = feedlog("publish", root)
    assert result.code == 0
    assert result.err == "docs: 2 files, 2 B; 2 new or changed, 0 removed\n"
    with Store(home) as store:
        assert result.out == f"{store.feed('docs').id}\n"
    assert feedlog("trie", "ls", "docs").out == "a.txt\nb.py\n"


def test_publish_as_json(feedlog: Run, root: Path) -> None:
    os.mkfifo(root / "pipe")
    facts = feedlog("publish", root, "--name", "x", "--include", "*.py", "--json").json
    assert {name: facts[name] for name in ("name", "files", "bytes", "blocks", "skipped")} == {
        "name": "x", "files": 1, "bytes": 1, "blocks": 1, "skipped": [],
    }  # fmt: skip
    assert feedlog("publish", root, "--json").json["skipped"] == ["pipe"]
    assert "names that are not UTF-8: pipe\n" in feedlog("publish", root).err


def test_a_name_that_is_no_text_is_skipped_in_readable_form(feedlog: Run, root: Path) -> None:
    (root / os.fsdecode(b"bad\xff")).touch()
    assert feedlog("publish", root, "--json").json["skipped"] == ["bad\\udcff"]
    assert feedlog("publish", root).err.endswith("names that are not UTF-8: bad\\udcff\n")


def test_what_cannot_be_published_leaves_no_feeds(feedlog: Run, root: Path, home: Path) -> None:
    feedlog("create", "news")
    feedlog("append", "news", "hello")
    feedlog("trie", "put", "config", "k", "v")
    taken = "is a feed already, and no directory: give another --name"
    for name in ("news", "config"):
        assert feedlog("publish", root, "--name", name).complaint == f"{name} {taken}"
    assert "no file matches" in feedlog("publish", root, "--include", "x").complaint
    for name in ("/", "--name="):
        result = feedlog("publish", *(["/"] if name == "/" else [root, name]))
        assert (result.code, "has no name of its own: give --name" in result.err) == (2, True)
    with Store(home) as store:
        assert [info.name for info in store.feeds()] == ["news", "config"]


def test_a_path_that_is_no_directory_makes_no_store(
    feedlog: Run, root: Path, home: Path, tmp_path: Path
) -> None:
    assert feedlog("publish", root / "a.txt").complaint == f"{root / 'a.txt'} is not a directory"
    assert "there is no directory" in feedlog("publish", tmp_path / "x").complaint
    assert not home.exists()
