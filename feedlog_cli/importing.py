"""Brings a directory of the file system into a store, in the form of `feedlog_cli.directory`.

Importing again appends what has changed and nothing else. Contents are committed in
batches, the trie at the end in one write: a reader sees the old state of the directory
or the new one, and an import that was cut short leaves the old one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from feedlog import Feed, Store
from feedlog_cli.directory import BLOCK_SIZE, Digest, FileEntry, data_key, metadata
from feedlog_cli.errors import CommandError
from feedlog_cli.output import printable
from trie import NotATrie, Trie

BATCH_BYTES = 8 * 2**20
"""Contents under one signed head: few signatures, and little memory."""

STORE_FILES = ("data.mdb", "writer.lock")
"""By these a directory is known to be a store: docs/spec/store.md."""

Progress = Callable[[int, int], None]
"""Told the files and bytes that were looked at so far."""


@dataclass
class Imported:
    """What an import did."""

    index: Feed
    data: Feed
    files: int = 0
    size: int = 0
    """Bytes of all files, new or not."""
    changed: int = 0
    removed: int = 0
    skipped: list[str] = field(default_factory=list)
    """Paths that are left out: links, sockets and the like, stores, names that are no text."""


def import_directory(
    store: Store,
    root: Path,
    name: str,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    progress: Progress | None = None,
) -> Imported:
    """Import the files below `root` as the feeds `name` (the trie) and `name.data`.

    `include` and `exclude` are patterns as the shell has them: a file is taken if its name
    matches one of `include` (all, without any), and a file or directory is left out if its
    name matches one of `exclude`. Raises `CommandError` and what the store raises.
    """
    require_directory(root)
    skipped: list[str] = []
    found = list(scan(root, include, exclude, skipped))
    if not found:
        raise CommandError(f"there is nothing to publish in {root}: no file matches")
    index = store.feed(name)
    if index.length and not is_directory(index):
        raise CommandError(f"{name} is a feed already, and no directory: give another --name")
    data = store.feed(f"{name}.data")
    trie = Trie(index, order="key", value_codec="json", metadata=metadata(data.key))
    result = Imported(index, data, skipped=skipped)
    seen: set[str] = set()
    appender = _Appender(data)
    for path, file in found:
        known = trie.get(path)
        entry = None if known is None else FileEntry.from_value(path, known)
        size = file.stat().st_size
        if entry is None or not unchanged(file, size, entry):
            size = appender.add(path, file)
        result.files += 1
        result.size += size
        if progress is not None:
            progress(result.files, result.size)
        seen.add(path)
    appender.flush()
    gone = set(trie) - seen
    if appender.entries or gone:
        with trie.batch() as batch:
            for path, entry in appender.entries.items():
                batch[path] = entry.to_value()
            for path in gone:
                del batch[path]
    result.changed, result.removed = len(appender.entries), len(gone)
    return result


def is_directory(index: Feed) -> bool:
    """Tell whether a feed that has blocks is the trie of a published directory."""
    try:
        return data_key(Trie(index).header.metadata) is not None
    except NotATrie:
        return False


def require_directory(root: Path) -> None:
    """Raise `CommandError` unless there is a directory at the path."""
    if not root.exists():
        raise CommandError(f"there is no directory {root}")
    if not root.is_dir():
        raise CommandError(f"{root} is not a directory")
    if is_store(root):
        raise CommandError(f"{root} is a store: to publish it would give away its secret keys")


def is_store(place: Path) -> bool:
    """Tell whether a directory is a store."""
    return all((place / name).exists() for name in STORE_FILES)


def scan(
    root: Path, include: Sequence[str], exclude: Sequence[str], skipped: list[str]
) -> Iterator[tuple[str, Path]]:
    """Yield the files below `root` with their paths as keys, in order; note what is skipped.

    Links are not followed: what they point to may lie anywhere. Stores are left out, for who
    has a store's files can write its feeds.
    """
    for place, directories, names in os.walk(root, onerror=_raise):
        here = Path(place)
        directories[:] = sorted(d for d in directories if not matches(d, exclude))
        for name in tuple(directories):
            if (here / name).is_symlink() or is_store(here / name):
                directories.remove(name)
                skipped.append(printable((here / name).relative_to(root).as_posix()))
        for name in sorted(names):
            if matches(name, exclude) or (include and not matches(name, include)):
                continue
            file = here / name
            path = file.relative_to(root).as_posix()
            if file.is_symlink() or not file.is_file() or not _is_text(path):
                skipped.append(printable(path))
                continue
            yield path, file


def _raise(error: OSError) -> None:
    raise error


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # bytes of a name that are no UTF-8
        return False
    return True


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether a name matches one of the patterns."""
    return any(fnmatch(name, pattern) for pattern in patterns)


def read_blocks(file: Path) -> Iterator[bytes]:
    """Yield the blocks that a file is cut into."""
    with file.open("rb") as opened:
        while block := opened.read(BLOCK_SIZE):
            yield block


def unchanged(file: Path, size: int, entry: FileEntry) -> bool:
    """Tell whether a file is the one that was published last time."""
    if size != entry.size:
        return False
    digest = Digest()
    for block in read_blocks(file):
        digest.update(block)
    return digest.hash == entry.hash


class _Appender:
    """Appends files to the data feed, batch by batch, and keeps their entries."""

    def __init__(self, data: Feed) -> None:
        self.entries: dict[str, FileEntry] = {}
        self._data = data
        self._next = data.length
        self._batch: list[bytes] = []
        self._batch_size = 0

    def add(self, path: str, file: Path) -> int:
        """Append a file; returns its size."""
        first = self._next + len(self._batch)
        digest = Digest()
        for block in read_blocks(file):
            digest.update(block)
            self._put(block)
        self.entries[path] = FileEntry(first, digest.count, digest.size, digest.hash)
        return digest.size

    def _put(self, block: bytes) -> None:
        self._batch.append(block)
        self._batch_size += len(block)
        if self._batch_size >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Commit what has been added."""
        if not self._batch:
            return
        appended = self._data.extend(self._batch)
        if appended.start != self._next:
            raise CommandError("another process imports into this feed; nothing was published")
        self._next = appended.stop
        self._batch, self._batch_size = [], 0
