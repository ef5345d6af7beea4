"""Futures of a remote feed: woken by blocks, answers, changes, deadlines and failures."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from feedlog.errors import StoreError
from net.errors import DeadlineError
from net.replicate.session import Query
from net.sharing.waiting import Deadline, Waiting


def late(what: str, seconds: float) -> DeadlineError:
    return DeadlineError(f"{what} not in {seconds:g} s")


@pytest.fixture
async def waiting() -> Waiting:
    return Waiting(late)


async def test_blocks_wake_those_who_wait_for_them(waiting: Waiting) -> None:
    futures = [waiting.for_block(index, 10) for index in (1, 5, 5, 9)]
    waiting.blocks_came([(4, 6), (100, 1_000_000)])
    assert [future.done() for future in futures] == [False, True, True, False]
    for index, future in zip((1, 5, 5, 9), futures, strict=True):
        waiting.leave(index, future)
    waiting.blocks_came([(0, 10)])
    waiting.close()


async def test_each_has_its_own_deadline(waiting: Waiting) -> None:
    soon, later, never = (waiting.for_block(i, at) for i, at in enumerate((0.01, 60, None)))
    with pytest.raises(DeadlineError, match=r"block 0 not in 0\.01 s"):
        await soon
    sooner = waiting.for_block(7, 0.01)
    with pytest.raises(DeadlineError, match="block 7"):
        await sooner
    assert not later.done()
    assert not never.done()
    waiting.close()


async def test_who_has_left_is_not_told(waiting: Waiting) -> None:
    gone = waiting.for_block(0, 0.001)
    waiting.leave(0, gone)
    other = waiting.for_block(1, 0.01)
    with pytest.raises(DeadlineError):
        await other
    assert gone.cancelled()


async def test_queries_are_told_apart(waiting: Waiting) -> None:
    one, two = Query(), Query()
    answers = waiting.for_query(one), waiting.for_query(two)
    waiting.resolve(two, answered=False)
    waiting.resolve(two, answered=True)
    assert not await answers[1]
    assert not answers[0].done()
    waiting.forget(one)
    waiting.resolve(one, answered=True)


async def test_blocks_are_a_change_too(waiting: Waiting) -> None:
    change = asyncio.ensure_future(waiting.for_change())
    await asyncio.sleep(0)
    waiting.blocks_came([(0, 1)])
    await change


async def test_a_failure_reaches_everyone(waiting: Waiting) -> None:
    assert not waiting.fail(StoreError("full"))
    futures: list[asyncio.Future[Any]] = [
        waiting.for_block(1, None),
        waiting.for_query(Query()),
    ]
    change = asyncio.ensure_future(waiting.for_change())
    await asyncio.sleep(0)
    assert waiting.fail(StoreError("full"))
    results = await asyncio.gather(*futures, change, return_exceptions=True)
    assert [str(result) for result in results] == ["full"] * 3


async def test_a_deadline_says_what_was_late() -> None:
    with pytest.raises(DeadlineError, match=r"x not in 0\.01 s"):
        async with Deadline(0.01, lambda seconds: late("x", seconds)):
            await asyncio.Event().wait()


async def test_another_timeout_inside_is_its_own() -> None:
    with pytest.raises(TimeoutError, match="inner"):
        async with Deadline(None, lambda seconds: late("x", seconds)):
            raise TimeoutError("inner")
