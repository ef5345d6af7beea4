from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.errors import ClosedError, DeadlineError
from net.secure.reader import READ_HIGH, READ_LOW, Reader


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def reader(told: list[str]) -> Reader:
    return Reader(lambda: told.append("full"), lambda: told.append("drained"))


async def test_a_read_waits_for_bytes_and_for_no_more(reader: Reader) -> None:
    waiting = asyncio.ensure_future(reader.read(10))
    await asyncio.sleep(0)
    reader.received(b"abc")
    assert await waiting == b"abc"
    reader.received(b"defg")
    assert await reader.read(2) == b"de"
    assert await reader.read(0) == b""
    assert reader.size == 2


async def test_what_is_here_is_read_before_the_end_and_before_an_error(reader: Reader) -> None:
    reader.received(b"last words")
    reader.fail(ClosedError("cut"))
    reader.fail(DeadlineError("later"))
    assert await reader.read(100) == b"last words"
    with pytest.raises(ClosedError, match="cut"):
        await reader.read(1)
    reader.end()
    assert await reader.read(1) == b""


async def test_an_error_wakes_who_waits(reader: Reader) -> None:
    waiting = asyncio.ensure_future(reader.read())
    await asyncio.sleep(0)
    reader.fail(ClosedError("cut"))
    with pytest.raises(ClosedError):
        await waiting


async def test_two_tasks_may_not_read_at_once(reader: Reader) -> None:
    first = asyncio.ensure_future(reader.read(1))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task"):
        await reader.read(1)
    reader.received(b"x")
    assert await first == b"x"


async def test_a_cancelled_read_takes_nothing(reader: Reader) -> None:
    first = asyncio.ensure_future(reader.read(1))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    reader.received(b"x")
    assert await reader.read(1) == b"x"


async def test_exactly_means_exactly(reader: Reader) -> None:
    reader.received(b"ab")
    reader.received(b"cde")
    assert await reader.readexactly(4) == b"abcd"
    reader.end()
    with pytest.raises(asyncio.IncompleteReadError) as ended:
        await reader.readexactly(2)
    assert ended.value.partial == b"e"


def test_too_much_and_enough_again_are_told_in_turns(reader: Reader, told: list[str]) -> None:
    half = bytes(READ_HIGH // 2)
    for _ in range(2):
        reader.received(half)
    assert told == []
    reader.received(b"x")
    reader.received(b"x")
    assert told == ["full"]
    reader.take(reader.size - READ_LOW)
    assert told == ["full"]
    reader.take(1)
    reader.take(1)
    assert told == ["full", "drained"]
    reader.clear()
    assert not reader


@given(st.lists(st.binary(min_size=1, max_size=9)), st.lists(st.integers(1, 12)))
def test_any_reads_give_the_bytes_in_their_order(pieces: list[bytes], sizes: list[int]) -> None:
    async def read() -> bytes:
        reader = Reader(lambda: None, lambda: None)
        for piece in pieces:
            reader.received(piece)
        reader.end()
        return b"".join([await reader.read(size) for size in sizes]) + await reader.read()

    assert asyncio.run(read()) == b"".join(pieces)
