"""Bytes of a feed that is elsewhere, read as a file, over real sockets."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable

import pytest

from feedlog import Feed
from net.errors import DeadlineError
from net.replicate import read_ahead
from net.sharing.remote import Remote
from net.sharing.remote_file import RemoteFile
from tests.net.sharing.conftest import BYTES, PIECES


async def test_as_a_file(film: Remote) -> None:
    async with await film.open(1000, 9000) as file:
        model = io.BytesIO(BYTES[1000:10_000])
        assert file.size == 9000
        for size in (0, 1, 700, 5000):
            assert await file.read(size) == model.read(size)
            assert file.tell() == model.tell()
        for place in ((100, io.SEEK_SET), (-50, io.SEEK_CUR), (-9, io.SEEK_END), (99_999, 0)):
            assert file.seek(*place) == model.seek(*place)
            assert await file.read(40) == model.read(40)
            assert file.tell() == model.tell()
        with pytest.raises(ValueError, match="before the start"):
            file.seek(-1)
        with pytest.raises(ValueError, match="whence"):
            file.seek(0, 3)
        file.seek(0)
        assert await file.read() == BYTES[1000:10_000]


async def test_chunks_as_they_come(film: Remote) -> None:
    async with await film.open() as file:
        chunks = [chunk async for chunk in file]
    assert chunks == [block for block in PIECES if block]
    assert not film._fetcher.core.wants, "closing leaves nothing wanted"


async def test_reading_ahead_slides(film: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "READ_AHEAD_BLOCKS", 64)
    async with await film.open() as file:
        held = [film.status().held async for _ in file]
    assert held[0] <= 64 + 2
    assert film.status().requests < 100, "blocks come many at a time"
    assert film.status().wasted == 0


async def test_a_failed_read_leaves_the_position(film: Remote, reel: Feed) -> None:
    reel.clear(200, 201)
    file = await film.open(timeout=1)
    with pytest.raises(DeadlineError, match="block 200"):
        await file.read()
    assert file.tell() == 0
    assert await file.read(100) == BYTES[:100]


async def test_closed_is_closed(film: Remote) -> None:
    file = await film.open(0, 10)
    await file.close()
    await file.close()
    uses: list[Callable[[], Awaitable[bytes]]] = [file.read, lambda: anext(aiter(file))]
    for use in uses:
        with pytest.raises(ValueError, match="closed"):
            await use()
    with pytest.raises(ValueError, match="closed"):
        file.tell()


async def test_an_empty_feed_is_an_empty_file() -> None:
    async def never(_: int) -> bytes:
        raise AssertionError

    async def nowhere(_: int) -> tuple[int, int]:
        raise AssertionError

    closed: list[bool] = []
    async with RemoteFile(
        0, 0, block=never, locate=nowhere, closed=lambda: closed.append(True)
    ) as file:
        assert await file.read() == b""
        assert [chunk async for chunk in file] == []
    assert closed == [True]
