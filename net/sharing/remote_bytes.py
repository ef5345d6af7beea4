"""The bytes of a remote feed: in which block each is, and a range of them as a file.

    index, inside = await remote_bytes.seek(5000, 30.0)
    async with await remote_bytes.open(5000, 100, 30.0) as file: ...

`seek` counts bytes as they are stored, all else as a reader counts them: they differ by the
envelopes of encrypted blocks.

Invariant: a place that is returned is proven, as blocks are.
Must not know peers, or who waits for what.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from feedlog import BlockMissing, flat_tree
from net.errors import ClosedError, RefusedError
from net.replicate.read_ahead import ReadAhead
from net.replicate.session import Query
from net.sharing.fetcher import Fetcher
from net.sharing.remote_file import RemoteFile


class Get(Protocol):
    """Returns a block, from here or from whoever has it; `Remote.get` does."""

    async def __call__(self, index: int, *, timeout: float | None) -> bytes:  # noqa: ASYNC109 - the error says what was tried
        """Raises `DeadlineError` when no peer brings it in time."""


class RemoteBytes:
    """Offsets of one remote feed."""

    def __init__(self, fetcher: Fetcher, get: Get) -> None:
        self._fetcher = fetcher
        self._feed = fetcher.feed
        self._get = get

    async def seek(self, offset: int, seconds: float | None) -> tuple[int, int]:
        """Return the block with a stored byte, and the offset inside it; fetches the block."""
        async with self._fetcher.deadline(seconds, f"byte {offset}"):
            if not self._feed.length:
                await self._fetcher.update()
            try:
                return self._feed.seek(offset)
            except BlockMissing:
                pass
            await self._ask(offset, offset)
        return self._feed.seek(offset)

    async def open(self, offset: int, length: int | None, seconds: float | None) -> RemoteFile:
        """Return `length` bytes from `offset` on, or all up to the present end, as a file.

        Its first and last byte may take `seconds` to be found, and so may each of its blocks.
        """
        if offset < 0 or (length is not None and length < 0):
            raise ValueError(f"{length} bytes from {offset} on are no range of a file")
        feed, fetcher = self._feed, self._fetcher
        async with fetcher.deadline(seconds, f"byte {offset}"):
            if length is None or offset + length > feed.size:
                await fetcher.update()
            size = feed.size
            end = size if length is None else min(size, offset + length)
            fork, stop = feed.fork, feed.length
            if offset < end < size:
                places = (self._locate(offset), self._locate(end - 1))
                stop = (await asyncio.gather(*places))[1][0] + 1
        ahead = ReadAhead(fetcher.core)

        async def block(index: int) -> bytes:
            if ahead.move(index, stop):
                fetcher.pursue()
            data = await self._get(index, timeout=seconds)
            if feed.fork != fork:
                raise ClosedError("the feed was truncated since the file was opened")
            return data

        async def locate(at: int) -> tuple[int, int]:
            async with fetcher.deadline(seconds, f"byte {at}"):
                return await self._locate(at)

        size = max(0, end - offset)
        return RemoteFile(offset, size, block=block, locate=locate, closed=ahead.close)

    async def _locate(self, offset: int) -> tuple[int, int]:
        """Return the place of a byte as a reader counts it, and what leads there."""
        feed = self._feed
        try:
            return feed.locate(offset)
        except BlockMissing:
            pass
        # Envelopes are taken for evenly spread; without encryption there are none.
        await self._ask(offset + (feed.byte_length - feed.size) * offset // feed.size, offset)
        while True:
            try:
                return feed.locate(offset)
            except BlockMissing as missing:
                node = missing.index
            await self._fetcher.blocks([flat_tree.span(flat_tree.NodeIndex(node))[0]])

    async def _ask(self, stored: int, offset: int) -> None:
        """Have a peer send the block with a stored byte; `offset` is what the user calls it."""
        query = Query(seek=stored)
        if not await self._fetcher.ask(query):
            raise RefusedError(f"no peer could find byte {offset}: {'; '.join(query.reasons)}")
