from __future__ import annotations

from pathlib import Path

import pytest

from feedlog import BlockMissing, Store
from feedlog_cli.browsing import LocalDirectory, parse, require_data_key
from feedlog_cli.directory import FileEntry
from feedlog_cli.errors import CommandError
from feedlog_cli.importing import Imported, import_directory
from trie import Trie


@pytest.fixture
def imported(tmp_path: Path) -> Imported:
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    (tmp_path / "b").write_bytes(b"b")
    return import_directory(Store.memory(), tmp_path, "d")


def opened(imported: Imported, store: Store, *, blocks: range) -> LocalDirectory:
    """Open a copy of a directory with some blocks of its contents."""
    index = imported.index
    store.feed(key=index.key).apply(index.prove(blocks=range(index.length)))
    store.feed(key=imported.data.key).apply(imported.data.prove(blocks=blocks))
    return LocalDirectory(store, index.key)


async def content(directory: LocalDirectory, path: str) -> bytes:
    entry = await directory.entry(path)
    return b"".join([block async for block in directory.contents(path, entry)])


async def test_files_are_read_from_a_copy(imported: Imported) -> None:
    directory = opened(imported, Store.memory(), blocks=range(2))
    assert await content(directory, "a") == b"x" * 100_000
    with pytest.raises(BlockMissing):
        await content(directory, "b")


async def test_a_publishers_mistake_is_found(imported: Imported) -> None:
    trie = Trie(imported.index)
    trie["a"] = {**trie["a"], "size": 7}
    trie["b"] = {**trie["b"], "hash": "0" * 64}
    directory = opened(imported, Store.memory(), blocks=range(3))
    with pytest.raises(CommandError, match="index is wrong: a has 100000 bytes, not 7"):
        await content(directory, "a")
    with pytest.raises(CommandError, match="index is wrong: b has another hash"):
        await content(directory, "b")


def test_what_is_no_directory() -> None:
    with pytest.raises(CommandError, match="this trie is no published directory"):
        require_data_key(b"")
    with pytest.raises(CommandError, match="has no file"):
        parse("\x1b[2J", None)
    assert parse("a", FileEntry(0, 0, 0, "0" * 64).to_value()).size == 0
