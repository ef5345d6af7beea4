from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from feedlog import Store
from feedlog_cli import importing
from feedlog_cli.directory import BLOCK_SIZE, FileEntry, data_key
from feedlog_cli.errors import CommandError
from feedlog_cli.importing import Imported, import_directory
from trie import Trie

SPECIFICATION = Path(__file__).parents[2] / "docs" / "spec" / "directory.md"

FILES = {
    "README": b"read me",
    "empty": b"",
    "src/large": os.urandom(2 * BLOCK_SIZE + 1),
    "src/exact": os.urandom(BLOCK_SIZE),
    "src/\u00fc.py": b"pass",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for path, content in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.memory() as store:
        yield store


def contents(result: Imported) -> dict[str, bytes]:
    """Read a published directory back, as a reader would."""
    found = {}
    for path, value in Trie(result.index).items():
        entry = FileEntry.from_value(path, value)
        found[path] = b"".join(result.data[entry.block : entry.block + entry.count])
        assert len(found[path]) == entry.size
    return found


def test_everything_can_be_read_back(store: Store, root: Path) -> None:
    result = import_directory(store, root, "root")
    assert contents(result) == FILES
    assert (result.files, result.changed, result.removed) == (5, 5, 0)
    assert result.size == sum(map(len, FILES.values()))
    assert [result.index.key, result.data.key] == [
        store.feed("root").key,
        store.feed("root.data").key,
    ]
    assert data_key(Trie(result.index).header.metadata) == result.data.key


def test_blocks_are_full_but_the_last_of_a_file(store: Store, root: Path) -> None:
    data = import_directory(store, root, "root").data
    assert sorted(map(len, data)) == [1, 4, 7, BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE]


def test_importing_again_appends_what_changed(store: Store, root: Path) -> None:
    before = import_directory(store, root, "root")
    blocks, version = before.data.length, before.index.length
    again = import_directory(store, root, "root")
    assert (again.changed, again.data.length, again.index.length) == (0, blocks, version)
    (root / "README").write_bytes(b"READ ME")
    (root / "empty").unlink()
    (root / "new").write_bytes(b"new")
    result = import_directory(store, root, "root")
    assert (result.files, result.changed, result.removed) == (5, 2, 1)
    assert result.data.length == blocks + 2
    assert contents(result) == {
        **{path: FILES[path] for path in FILES if path not in {"README", "empty"}},
        "README": b"READ ME",
        "new": b"new",
    }
    assert contents(Imported(before.index, before.data)) == contents(result)


def test_the_trie_changes_in_one_write(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH_BYTES", BLOCK_SIZE)
    result = import_directory(store, root, "root")
    assert len(result.data.heads()) > 1
    assert len(result.index.heads()) == 1
    assert contents(result) == FILES


def test_a_cut_import_leaves_the_old_state(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = import_directory(store, root, "root")
    (root / "README").write_bytes(b"changed")
    (root / "zzz").write_bytes(b"unreadable")
    real = importing.read_blocks

    def failing(file: Path) -> Iterator[bytes]:
        if file.name == "zzz":
            raise PermissionError(13, "Permission denied", str(file))
        return real(file)

    monkeypatch.setattr(importing, "read_blocks", failing)
    with pytest.raises(PermissionError):
        import_directory(store, root, "root")
    assert contents(result) == FILES


def test_patterns_choose_files(store: Store, root: Path) -> None:
    result = import_directory(store, root, "root", include=["*.py", "l*"], exclude=["large"])
    assert set(contents(result)) == {"src/\u00fc.py"}
    result = import_directory(store, root, "other", exclude=["src"])
    assert set(contents(result)) == {"README", "empty"}


def test_links_and_odd_names_are_skipped(store: Store, root: Path) -> None:
    (root / "link").symlink_to("/etc/passwd")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe")
    (root / os.fsdecode(b"\xff")).write_bytes(b"")
    result = import_directory(store, root, "root")
    assert contents(result) == FILES
    assert sorted(result.skipped) == ["\\udcff", "link", "loop", "pipe"]


def test_a_store_is_not_published_with_its_secrets(tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(b"for all")
    with Store(tmp_path / "deep" / "store") as store:
        result = import_directory(store, tmp_path, "mine")
        assert (list(contents(result)), result.skipped) == (["page"], ["deep/store"])
        with pytest.raises(CommandError, match="would give away its secret keys"):
            import_directory(store, tmp_path / "deep" / "store", "mine")


def test_what_cannot_be_published(store: Store, root: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no directory"):
        import_directory(store, tmp_path / "nowhere", "x")
    with pytest.raises(CommandError, match="is not a directory"):
        import_directory(store, root / "README", "x")
    with pytest.raises(CommandError, match="nothing to publish"):
        import_directory(store, root, "x", include=["*.c"])
    store.feed("log").append(b"a line")
    with pytest.raises(CommandError, match="log is a feed already, and no directory"):
        import_directory(store, root, "log")


def test_progress_is_told(store: Store, root: Path) -> None:
    seen: list[tuple[int, int]] = []
    result = import_directory(
        store, root, "root", progress=lambda files, size: seen.append((files, size))
    )
    assert seen[-1] == (5, result.size)
    assert [files for files, _ in seen] == [1, 2, 3, 4, 5]


def test_the_example_of_the_specification(store: Store, tmp_path: Path) -> None:
    (tmp_path / "greeting.txt").write_bytes(b"hello\n")
    (tmp_path / "nothing").touch()
    result = import_directory(store, tmp_path, "example")
    text = SPECIFICATION.read_text(encoding="utf-8")
    entries = {
        path: json.loads("".join(value.split()))
        for path, value in re.findall(r"^\s+(?:trie\s+)?([\w.]+)\s+(\{[^}]+\})", text, re.MULTILINE)
    }
    assert dict(Trie(result.index).items()) == entries
    assert list(result.data) == [b"hello\n"]
    assert Trie(result.index).header.metadata == b"feedlog/directory/1\n" + result.data.key
