"""What many readers wait for at once, and how each of them ends, over real sockets."""

from __future__ import annotations

import asyncio

import pytest

from feedlog import BlockMissing, Feed
from feedlog.errors import StoreError
from net.errors import ClosedError, DeadlineError
from net.sharing.fetcher import Fetcher
from net.sharing.remote import Remote
from tests.net.sharing.conftest import BLOCKS, until


async def test_many_readers_of_one_block_ask_once(remote: Remote) -> None:
    await remote.update()
    before = remote.status().blocks
    assert set(await asyncio.gather(*(remote.get(9) for _ in range(20)))) == {BLOCKS[9]}
    assert remote.status().blocks == before + 1


async def test_one_reader_gives_up_and_the_other_does_not(remote: Remote) -> None:
    first, second = asyncio.create_task(remote.get(8)), asyncio.create_task(remote.get(8))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == BLOCKS[8]


async def test_what_the_disk_refuses_is_told(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    await remote.update()

    def full(_proof: object) -> None:
        raise StoreError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(remote.feed, "accept", full)
        with pytest.raises(StoreError, match="no space"):
            await remote.get(1)
    assert remote.feed.have == []
    assert await remote.get(1) == BLOCKS[1]


async def test_what_the_disk_refuses_later_is_told_as_well(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    await remote.get(0)
    await until(lambda: not remote.feed._staging.batches)

    def full(*_: object) -> None:
        remote.feed._staging.forget()
        raise StoreError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(remote.feed._staging, "flush", full)
        assert await remote.get(1) == BLOCKS[1]
        await until(lambda: remote._fetcher._error is not None)
    with pytest.raises(StoreError, match="no space"):
        await remote.get(2)
    assert remote.feed.have == [range(1)]
    assert await remote.get(1) == BLOCKS[1]


async def test_closing_wakes_who_waits(remote: Remote) -> None:
    await remote.update()
    waiting = asyncio.ensure_future(anext(remote.live(500)))
    await asyncio.sleep(0.01)
    await remote.close()
    await remote.close()
    with pytest.raises(ClosedError):
        await waiting
    with pytest.raises(ClosedError):
        await remote.get(3)
    with pytest.raises(BlockMissing):
        remote.feed[3]


async def test_nothing_is_wanted_of_a_call_that_has_ended(remote: Remote, feed: Feed) -> None:
    await remote.update()
    feed.clear(7, 8)
    for wanted in ([7], [7, 8, 600]):
        with pytest.raises((DeadlineError, IndexError)):
            await remote.get(wanted, timeout=0.3)
    given_up = asyncio.create_task(remote.get(7))
    await asyncio.sleep(0)
    assert remote._fetcher.core.wants
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert not remote._fetcher.core.wants


async def test_one_that_is_closed_leaves_the_others_alone(remote: Remote) -> None:
    await remote.update()
    other = Fetcher(remote._swarm, tried=lambda: "we asked nobody")
    with pytest.raises(IndexError, match="block -1 is past the end"):
        await other.blocks([-1])
    with pytest.raises(DeadlineError, match=r"this of .* did not come in 0\.01 s: we asked nobody"):
        async with other.deadline(0.01, "this"):
            await asyncio.Event().wait()
    other.close()
    for use in (other.block(1, None), other.blocks([1]), other.update()):
        with pytest.raises(ClosedError):
            await use
    assert await remote.get(1) == BLOCKS[1]
