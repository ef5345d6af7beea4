"""Downloads of a remote feed, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from feedlog import Feed
from net.errors import DeadlineError
from net.replicate.spans import Span
from net.sharing.download import spans_of
from net.sharing.remote import Remote
from tests.net.sharing.conftest import BLOCKS


async def test_all_with_progress(remote: Remote) -> None:
    seen: list[tuple[int, int]] = []
    await remote.download(progress=lambda done, total: seen.append((done, total)))
    assert list(remote.feed) == BLOCKS
    assert seen[0] == (0, 500)
    assert seen[-1] == (500, 500)


async def test_some(remote: Remote) -> None:
    await remote.download(range(10, 20))
    await remote.download([1, 3, 3, 400])
    await remote.download([])
    held = [i for part in remote.feed.have for i in part]
    assert held == [1, 3, *range(10, 20), 400]


async def test_what_is_here_already_is_not_fetched(remote: Remote) -> None:
    await remote.download(range(100))
    await remote.download(range(200))
    assert remote.status().blocks == 200
    assert remote.status().wasted == 0


async def test_past_the_end(remote: Remote) -> None:
    with pytest.raises(IndexError):
        await remote.download(range(1000))
    with pytest.raises(ValueError, match="-1"):
        await remote.download([-1])


async def test_cancelling_stops_it(remote: Remote, feed: Feed) -> None:
    feed.extend([bytes(100_000)] * 200)
    started = asyncio.Event()

    def progress(done: int, _total: int) -> None:
        if done:
            started.set()

    task = asyncio.create_task(remote.download(progress=progress))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not remote._fetcher.core.wants
    assert await remote.get(0) == BLOCKS[0]


async def test_nothing_is_wanted_of_a_download_that_came_late(remote: Remote, feed: Feed) -> None:
    feed.clear(7, 8)
    with pytest.raises(DeadlineError, match="a download of"):
        await remote.download(range(5, 10), timeout=0.3)
    assert not remote._fetcher.core.wants


@pytest.mark.parametrize(
    ("blocks", "spans"),
    [
        (range(3, 9), [(3, 9)]),
        (range(9, 9), []),
        (range(3, 9, 2), [(3, 4), (5, 6), (7, 8)]),
        ([5, 3, 4, 4, 8], [(3, 6), (8, 9)]),
    ],
)
def test_blocks_are_taken_for_spans(blocks: Iterable[int], spans: list[Span]) -> None:
    assert spans_of(blocks) == spans
