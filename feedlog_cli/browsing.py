"""Reading a published directory: from the store alone, or from peers as it is needed.

Both readers have the same two methods, so that a command need not know which it has:
`entry(path)` finds a file, `contents(path, entry)` yields its blocks and checks at the
end that they are the file of the entry.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from feedlog import Store
from feedlog_cli.directory import Digest, FileEntry, data_key
from feedlog_cli.errors import CommandError
from feedlog_cli.network import following
from feedlog_cli.output import printable
from feedlog_cli.remote_trie import RemoteTrie
from net import Node, Remote
from trie import Trie

WINDOW = 64
"""Blocks that are asked for at once: 4 MiB, what a reader keeps in memory of a file."""


class Directory(Protocol):
    """A published directory, wherever it is read from."""

    async def entry(self, path: str) -> FileEntry:
        """Return the entry of a path; raises `CommandError` where there is none."""

    def contents(self, path: str, entry: FileEntry) -> AsyncGenerator[bytes, None]:
        """Yield the blocks of a file; raises `CommandError` if they are not what is listed."""


class LocalDirectory:
    """A directory in the store. Raises `BlockMissing` for what is not held."""

    def __init__(self, store: Store, key: bytes) -> None:
        self._trie = Trie(store.feed(key=key))
        self._data = store.feed(key=require_data_key(self._trie.header.metadata))

    async def entry(self, path: str) -> FileEntry:
        """Return the entry of a path."""
        return parse(path, self._trie.get(path))

    async def contents(self, path: str, entry: FileEntry) -> AsyncGenerator[bytes, None]:
        """Yield the blocks of a file."""
        digest = Digest()
        for index in entry.blocks:
            block = self._data[index]
            digest.update(block)
            yield block
        digest.check(path, entry)


class RemoteDirectory:
    """A directory that peers have; `browse` makes one."""

    def __init__(
        self,
        index: Remote,
        open_data: Callable[[bytes], Awaitable[Remote]],
        seconds: float,
    ) -> None:
        self.index = index
        self.data: Remote | None = None
        """The contents; opened when the first file is read, for only the trie tells their key."""
        self._trie = RemoteTrie(index, timeout=seconds)
        self._open_data = open_data
        self._seconds = seconds

    async def entry(self, path: str) -> FileEntry:
        """Return the entry of a path."""
        return parse(path, await self._trie.get(path))

    async def contents(self, path: str, entry: FileEntry) -> AsyncGenerator[bytes, None]:
        """Yield the blocks of a file."""
        if self.data is None:
            header = await self._trie.header()
            self.data = await self._open_data(require_data_key(header.metadata))
        digest = Digest()
        blocks = entry.blocks
        for start in range(blocks.start, blocks.stop, WINDOW):
            window = range(start, min(start + WINDOW, blocks.stop))
            for block in await self.data.get(window, timeout=self._seconds):
                digest.update(block)
                yield block
        digest.check(path, entry)


@asynccontextmanager
async def browse(node: Node, key: bytes, seconds: float) -> AsyncIterator[RemoteDirectory]:
    """Follow a directory's trie, and its contents once they are needed."""
    said: set[str] = set()
    async with AsyncExitStack() as stack:

        async def open_data(data_key: bytes) -> Remote:
            return await stack.enter_async_context(following(node, data_key, said=said))

        index = await stack.enter_async_context(following(node, key, said=said))
        yield RemoteDirectory(index, open_data, seconds)


def require_data_key(metadata: bytes) -> bytes:
    """Return the key of the data feed that a trie's header names."""
    found = data_key(metadata)
    if found is None:
        raise CommandError("this trie is no published directory: `feedlog trie get` reads it")
    return found


def parse(path: str, value: object) -> FileEntry:
    """Return the entry of a path from the trie's value."""
    if value is None:
        raise CommandError(f"the directory has no file {printable(path)!r}")
    return FileEntry.from_value(path, value)
