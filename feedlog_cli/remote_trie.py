"""A trie that is held elsewhere: queried without being downloaded.

    rt = RemoteTrie(await node.follow(key))
    await rt.get("a/b")
    await rt.count("a/")
    async for key, value in rt.items("a/"): ...
    async for change in rt.watch("a/"): ...

It reads what `trie.View` reads, by the same names: what is one answer there is awaited here,
what is iterated there is iterated with `async for`. The lookups are the synchronous trie's own,
run on the local replica; the blocks that it lacks are fetched, verified and kept. With a peer
that knows the extension of `trie_hints`, and passes it to its node as `extensions`, a lookup
costs one round trip, and so does each page of a listing.

Lives here because `trie` and `net` do not know each other.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar, Unpack

import msgspec

from feedlog import BlockMissing
from feedlog_cli import trie_hints
from feedlog_cli.trie_hints import (
    MAX_BLOCKS,
    MAX_PARTS,
    Changes,
    Count,
    Listed,
    Listing,
    Lookup,
    Parts,
    Question,
    Range,
    listed,
)
from net.sharing.remote import TIMEOUT, Remote
from trie import Change, Difference, Entry, Header, Trie, TrieError, TrieProof, View, Watch
from trie.selection import How

T = TypeVar("T")

PAGE = 256
"""Entries of a listing that are fetched at once: a quarter of the blocks of one answer."""

WINDOW = 4096
"""Blocks of a history that are fetched at once, after some smaller windows."""

MAX_TOUCHED = 1 << 16
"""Blocks of a lookup or page that are looked at for those that are lacking: a value's and more."""


class _Lacking(Exception):
    """A read lacks blocks, and there is a better way than to fetch the one that it met."""

    def __init__(self, blocks: list[int]) -> None:
        super().__init__(f"{len(blocks)} blocks")
        self.blocks = blocks
        """Those that are known, if any; it takes a question to find the others."""


class _Page:
    """Some entries of a listing. A block that is missing does not make it begin again."""

    def __init__(self, question: Listed, key_of: Callable[[Any], Any]) -> None:
        self.question = question
        self.entries: list[Any] = []
        self._key_of = key_of

    def fill(self, view: View) -> None:
        """Complete the page; raises `BlockMissing` with what it has so far."""
        rest = self.rest()
        if rest.limit:
            for entry in listed(view, rest):
                self.entries.append(entry)

    def rest(self) -> Listed:
        """Return the question for what is still to come."""
        if not self.entries or self.question.limit is None:
            return self.question
        after = self._key_of(self.entries[-1])
        left = self.question.limit - len(self.entries)
        return msgspec.structs.replace(self.question, after=after, limit=left)


class Part(NamedTuple):
    """A trie or a sub-database in the local replica."""

    trie: Trie
    names: Parts
    """The way to it, as peers are told."""


class RemoteTrie:
    """What can be read of a remote trie, at its latest version or at a fixed one."""

    def __init__(
        self,
        remote: Remote,
        *,
        version: int | None = None,
        timeout: float | None = TIMEOUT,
        part: Part | None = None,
    ) -> None:
        """Read the trie in a remote feed; peers may take `timeout` seconds for each answer.

        `part` is a sub-database, which `sub` makes.
        """
        self.remote = remote
        self._part = Part(Trie(remote.feed), ()) if part is None else part
        self._trie, self._parts = self._part
        self._pinned = version
        self._timeout = timeout

    def at(self, version: int) -> RemoteTrie:
        """Return the trie as it was at a version."""
        return RemoteTrie(self.remote, version=version, timeout=self._timeout, part=self._part)

    def sub(
        self, name: str | bytes, *, key_codec: str | None = None, value_codec: str | None = None
    ) -> RemoteTrie:
        """Return the keys that begin with `name` and "/" as a trie of its own; see `View.sub`."""
        trie = self._trie.sub(name, key_codec=key_codec, value_codec=value_codec)
        part = Part(trie, (*self._parts, (name, key_codec)))
        return RemoteTrie(self.remote, version=self._pinned, timeout=self._timeout, part=part)

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

    # One answer.

    async def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key, or `default` if it is absent."""
        return await self._read(self._lookup(key), lambda view: view.get(key, default))

    async def entry(self, key: Any) -> Entry | None:
        """Return a key with its value and the version that wrote it, or None."""
        return await self._read(self._lookup(key), lambda view: view.entry(key))

    async def count(self, prefix: str | bytes = "") -> int:
        """Return the number of keys under a prefix, as the writer counted them."""
        question = Count(self._pinned or 0, self._parts, prefix)
        return await self._read(question, lambda view: view.count(prefix))

    async def prove(self, key: Any) -> TrieProof:
        """Prove to others that a key has its value, or that it is absent; see `View.prove`."""
        return await self._read(self._lookup(key), lambda view: view.prove(key))

    async def prove_range(
        self, prefix: str | bytes = "", *, start: Any = None, stop: Any = None
    ) -> TrieProof:
        """Prove all keys under a prefix, or in a range, to others; see `View.prove_range`."""
        version = await self.version()
        then = self.at(version)
        ranged = (start, stop) != (None, None)
        async for _ in then.range(start, stop) if ranged else then.items(prefix):
            pass  # brings the blocks, page by page

        view = self._trie.at(version)
        read = partial(view.prove_range, prefix, start=start, stop=stop)
        return await self.remote.run(read, timeout=self._timeout)

    def _lookup(self, key: Any) -> Lookup:
        return Lookup(self._pinned or 0, self._parts, key)

    # Listings.

    async def items(
        self, prefix: str | bytes = "", **how: Unpack[How]
    ) -> AsyncIterator[tuple[Any, Any]]:
        """Yield the keys under a prefix with their values, of one version; see `View.items`."""
        async for page in self._listing(prefix, values=True, **how):
            for item in page:
                yield item

    async def keys(self, prefix: str | bytes = "", **how: Unpack[How]) -> AsyncIterator[Any]:
        """Yield keys alone; takes what `items` takes. Long values are not fetched."""
        async for page in self._listing(prefix, values=False, **how):
            for key in page:
                yield key

    async def values(self, prefix: str | bytes = "", **how: Unpack[How]) -> AsyncIterator[Any]:
        """Yield values alone; takes what `items` takes."""
        async for _, value in self.items(prefix, **how):
            yield value

    def __aiter__(self) -> AsyncIterator[Any]:
        """Yield all keys."""
        return self.keys()

    async def _listing(
        self,
        prefix: str | bytes,
        *,
        values: bool,
        recursive: bool = True,
        reverse: bool = False,
        after: Any = None,
        limit: int | None = None,
    ) -> AsyncGenerator[list[Any], None]:
        version = await self.version()

        def ask(after: Any, size: int) -> Listing:
            return Listing(version, self._parts, prefix, recursive, reverse, after, size, values)

        async for page in self._pages(ask, after, limit, _first if values else _itself):
            yield page

    async def range(
        self,
        start: Any = None,
        stop: Any = None,
        *,
        reverse: bool = False,
        after: Any = None,
        limit: int | None = None,
    ) -> AsyncIterator[tuple[Any, Any]]:
        """Yield the keys from `start` to before `stop` with their values; see `View.range`."""
        version = await self.version()

        def ask(after: Any, size: int) -> Range:
            return Range(version, self._parts, start, stop, reverse, after, size)

        async for page in self._pages(ask, after, limit, _first):
            for item in page:
                yield item

    async def diff(
        self,
        other: int,
        prefix: str | bytes = "",
        *,
        after: Any = None,
        limit: int | None = None,
    ) -> AsyncIterator[Difference]:
        """Yield what was written between this version and another; see `View.diff`."""
        version = await self.version()
        await self._know(other)

        def ask(after: Any, size: int) -> Changes:
            return Changes(version, self._parts, other, prefix, after, size)

        async for page in self._pages(ask, after, limit, _first):
            for difference in page:
                yield difference

    async def _pages(
        self,
        ask: Callable[[Any, int], Listed],
        after: Any,
        limit: int | None,
        key_of: Callable[[Any], Any],
    ) -> AsyncGenerator[list[Any], None]:
        """Yield what `ask(after, size)` lists, page by page, `limit` in all."""
        if limit is not None and limit < 0:
            raise ValueError(f"a limit is not negative, got {limit}")
        size, left = PAGE, limit
        while left is None or left > 0:
            size = size if left is None else min(size, left)
            page = _Page(ask(after, size), key_of)
            last = False
            try:
                await self._read(page.question, page.fill, page=page if size > 1 else None)
                last = len(page.entries) < size
            except _Lacking:
                size //= 2  # its values are long
            if page.entries:
                yield page.entries
                after = key_of(page.entries[-1])
                left = None if left is None else left - len(page.entries)
            if last:
                return

    # Versions.

    async def history(
        self, prefix: str | bytes = "", *, since: int = 0, reverse: bool = False
    ) -> AsyncIterator[Change]:
        """Yield each put and delete under a prefix after version `since`; see `View.history`.

        Fetches all blocks since then, some thousand at a time. Raises `TrieError` when the
        feed is truncated meanwhile.
        """
        version = await self.version()
        await self._know(version)
        feed = self.remote.feed
        fork, told, window = feed.fork, 0, PAGE
        if since < version:
            # The header and the root; what is missing then is where the walk has come to.
            await self.remote.get([0, version - 1], timeout=self._timeout)
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
            else:
                since = max(since, index)
                blocks = builtins.range(index, min(version, index + window))
                await self.remote.download(blocks, timeout=self._timeout)
            window = window * 2 if reverse else min(window * 2, WINDOW)

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

    # Blocks.

    async def _read(
        self, question: Question, read: Callable[[View], T], *, page: _Page | None = None
    ) -> T:
        """Return what `read` makes of the version that a question is about.

        A peer is asked the question first, and for the rest of a page again as far as it
        has grown. Chunks of long values that are lacking are known, and fetched together.
        If there are more for a page than one answer may have, raises `_Lacking`: the
        caller can ask for less.
        """
        await self._know(question.version)
        begun = 0

        def attempt() -> T:
            view = self._trie.at(question.version) if question.version else self._trie
            try:
                return read(view)
            except BlockMissing:
                rest = question if page is None else page.rest()
                touched = trie_hints.touched(view, rest, limit=MAX_TOUCHED)
                lacking = [index for index in touched if not self.remote.feed.has(index)]
                if not lacking and (page is None or len(page.entries) == begun):
                    raise
                raise _Lacking(lacking) from None

        while True:
            asked = question
            if page is not None:
                asked, begun = page.rest(), len(page.entries)
            hint = None
            if len(self._parts) <= MAX_PARTS:
                hint = trie_hints.EXTENSION, trie_hints.encode(asked)
            try:
                return await self.remote.run(attempt, hint=hint, timeout=self._timeout)
            except _Lacking as lacking:
                if page is not None and len(lacking.blocks) > MAX_BLOCKS:
                    raise
                blocks = lacking.blocks[:MAX_BLOCKS]
            if blocks:
                await self.remote.get(blocks, timeout=self._timeout)

    async def _know(self, version: int) -> None:
        """Ask for a newer head if a version lies past the one that is known here."""
        if 0 < self.remote.feed.length < version:
            await self.remote.update(timeout=self._timeout)

    async def _bring(self, index: int, since: int, window: int, *, for_ever: bool = False) -> None:
        """Fetch a block, and those before it that a walk backwards reads next."""
        first = min(index, max(since, index - window + 1))
        await self.remote.get(
            builtins.range(first, index + 1), timeout=None if for_ever else self._timeout
        )


def _first(item: tuple[Any, ...]) -> Any:
    return item[0]


def _itself(item: Any) -> Any:
    return item
