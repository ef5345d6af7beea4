"""A trie that is held elsewhere: queried without being downloaded.

    rt = RemoteTrie(await node.follow(key))
    await rt.get("a/b")
    async for key, value in rt.items("a/"): ...

The lookups are the synchronous trie's own, run on the local replica; the blocks that it
lacks are fetched, verified and kept. With a peer that knows the extension of `trie_hints`,
and passes it to its node as `extensions`, a lookup costs one round trip.

Lives here because `trie` and `net` do not know each other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from feedlog_cli import trie_hints
from feedlog_cli.trie_hints import Listing, Lookup
from net.remote import TIMEOUT, Remote
from trie import Entry, Header, Trie, View

T = TypeVar("T")

PAGE = 256
"""Entries of a listing that are fetched at once: a quarter of the blocks of one answer."""


class RemoteTrie:
    """What can be read of a remote trie, at its latest version or at a fixed one."""

    def __init__(
        self, remote: Remote, *, version: int | None = None, timeout: float | None = TIMEOUT
    ) -> None:
        """Read the trie in a remote feed; every call may wait `timeout` seconds for peers."""
        self.remote = remote
        self._trie = Trie(remote.feed)
        self._pinned = version
        self._timeout = timeout

    def at(self, version: int) -> RemoteTrie:
        """Return the trie as it was at a version."""
        return RemoteTrie(self.remote, version=version, timeout=self._timeout)

    def _view(self) -> View:
        return self._trie if self._pinned is None else self._trie.at(self._pinned)

    async def _read(self, question: Lookup | Listing, read: Callable[[], T]) -> T:
        hint = (trie_hints.EXTENSION, trie_hints.encode(question))
        return await self.remote.run(read, hint=hint, timeout=self._timeout)

    async def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key, or `default` if it is absent."""
        question = Lookup(self._pinned or 0, key)
        return await self._read(question, lambda: self._view().get(key, default))

    async def entry(self, key: Any) -> Entry | None:
        """Return a key with its value and the version that wrote it, or None."""
        question = Lookup(self._pinned or 0, key)
        return await self._read(question, lambda: self._view().entry(key))

    async def version(self) -> int:
        """Return the version that reads look at."""
        if self._pinned is not None:
            return self._pinned
        if not self.remote.feed.length:
            await self.remote.update(timeout=self._timeout)
        return self._trie.version

    async def header(self) -> Header:
        """Return what was chosen at the trie's creation; raises `NotATrie`."""
        return await self.remote.run(lambda: self._trie.header, timeout=self._timeout)

    async def items(
        self,
        prefix: str | bytes = "",
        *,
        recursive: bool = True,
        reverse: bool = False,
    ) -> AsyncIterator[tuple[Any, Any]]:
        """Yield the keys under a prefix with their values, of one version; see `View.items`."""
        version = await self.version()
        view = self._trie.at(version)
        after: Any = None
        while True:
            page = await self._page(view, Listing(version, prefix, recursive, reverse, after, PAGE))
            for item in page:
                yield item
            if len(page) < PAGE:
                return
            after = page[-1][0]

    async def _page(self, view: View, question: Listing) -> list[tuple[Any, Any]]:
        def read() -> list[tuple[Any, Any]]:
            return list(
                view.items(
                    question.prefix,
                    recursive=question.recursive,
                    reverse=question.reverse,
                    after=question.after,
                    limit=question.limit,
                )
            )

        return await self._read(question, read)
