"""A trie that is held elsewhere: queried without being downloaded.

    rt = RemoteTrie(await node.follow(key))
    await rt.get("a/b")
    async for key, value in rt.items("a/"): ...
    async for change in rt.watch("a/"): ...

The lookups are the synchronous trie's own, run on the local replica; the blocks that it
lacks are fetched, verified and kept. With a peer that knows the extension of `trie_hints`,
and passes it to its node as `extensions`, a lookup costs one round trip.

Lives here because `trie` and `net` do not know each other.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from itertools import islice
from typing import Any, TypeVar

from feedlog import BlockMissing
from feedlog_cli import trie_hints
from feedlog_cli.trie_hints import Changes, Listing, Lookup, Question, Range
from net.remote import TIMEOUT, Remote
from trie import Change, Difference, Entry, Header, Trie, TrieError, View, Watch

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

    async def _read(self, question: Question, read: Callable[[], T]) -> T:
        await self._know(question.version)
        hint = (trie_hints.EXTENSION, trie_hints.encode(question))
        return await self.remote.run(read, hint=hint, timeout=self._timeout)

    async def _know(self, version: int) -> None:
        """Ask for a newer head if a version lies past the one that is known here."""
        if 0 < self.remote.feed.length < version:
            await self.remote.update(timeout=self._timeout)

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
        after: Any = None
        while True:
            question = Listing(version, prefix, recursive, reverse, after, PAGE)
            page = await self._page(question)
            for item in page:
                yield item
            if len(page) < PAGE:
                return
            after = page[-1][0]

    async def range(
        self,
        start: Any = None,
        stop: Any = None,
        *,
        reverse: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[tuple[Any, Any]]:
        """Yield the keys from `start` to before `stop` with their values; see `View.range`."""
        version = await self.version()
        after: Any = None
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page = await self._page(Range(version, start, stop, reverse, after, size))
            for item in page:
                yield item
            if len(page) < size:
                return
            after = page[-1][0]
            left = None if left is None else left - size

    async def _page(self, question: Listing | Range) -> list[tuple[Any, Any]]:
        def read() -> list[tuple[Any, Any]]:
            return list(trie_hints.listed(self._trie.at(question.version), question))

        return await self._read(question, read)

    # Versions.

    async def diff(self, other: int, prefix: str | bytes = "") -> list[Difference]:
        """Return what was written between this version and another; see `View.diff`.

        Differences of up to 1024 blocks come in one round trip.
        """
        version = await self.version()
        await self._know(other)

        def read() -> list[Difference]:
            return list(self._trie.at(version).diff(other, prefix))

        return await self._read(Changes(version, other, prefix), read)

    async def history(
        self, prefix: str | bytes = "", *, since: int = 0, reverse: bool = False
    ) -> AsyncIterator[Change]:
        """Yield each put and delete under a prefix after version `since`; see `View.history`.

        Fetches all blocks since then, a few hundred at a time. Raises `TrieError` when the
        feed is truncated meanwhile.
        """
        version = await self.version()
        await self._know(version)
        feed = self.remote.feed
        fork, told, window = feed.fork, 0, PAGE
        while True:
            if feed.fork != fork:
                raise TrieError(f"the feed was truncated; its fork is {feed.fork} now")
            try:
                changes = self._trie.at(version).history(prefix, since=since, reverse=reverse)
                for change in islice(changes, told, None):
                    if reverse:
                        told += 1
                    else:
                        since = change.version
                    yield change
            except BlockMissing as missing:
                index = missing.index
            else:
                return
            if reverse:
                # The walk starts again from the newest: windows double, so that few do.
                await self._bring(index, since, window)
                window *= 2
            else:
                blocks = builtins.range(index, min(version, index + PAGE))
                await self.remote.get(blocks, timeout=self._timeout)
                since = max(since, index)

    async def watch(
        self, prefix: str | bytes = "", *, since: int | None = None
    ) -> AsyncGenerator[Change, None]:
        """Yield each change under a prefix after version `since`, for ever.

        By default after the version that is known here when the iteration begins.
        Each once, in the order of their writing, deletes included. Raises `TrieError` when the
        feed is truncated: what was told of the blocks that are gone no longer holds.
        """
        if self._pinned is not None:
            raise ValueError(f"version {self._pinned} does not change: watch the latest")
        version = await self.version()
        watch = self._trie.watch(prefix, since=version)
        if since is not None:
            async for change in self.at(version).history(prefix, since=since):
                yield change
        async for _ in self.remote.heads():
            for change in await self._poll(watch):
                yield change

    async def _poll(self, watch: Watch) -> list[Change]:
        while True:
            try:
                return watch.poll()
            except BlockMissing as missing:
                index = missing.index
            await self._bring(index, watch.version, PAGE, for_ever=True)

    async def _bring(self, index: int, since: int, window: int, *, for_ever: bool = False) -> None:
        """Fetch a block, and those before it that a walk backwards reads next."""
        first = min(index, max(since, index - window + 1))
        await self.remote.get(
            builtins.range(first, index + 1), timeout=None if for_ever else self._timeout
        )
