"""Bytes of a feed that is elsewhere, read as a file, over real sockets."""

from __future__ import annotations

import io
import random
from collections.abc import Awaitable, Callable

import pytest

from feedlog import Feed, Store
from net.errors import ClosedError, DeadlineError
from net.node import Node
from net.replicate import read_ahead
from net.sharing.remote import Remote
from net.sharing.remote_file import RemoteFile
from tests.net.conftest import StartNode

BLOCKS = [bytes([i % 251]) * (i * 37 % 400) for i in range(600)]
BYTES = b"".join(BLOCKS)
SECRET = b"s" * 32


@pytest.fixture(params=["plain", "encrypted"])
def secret(request: pytest.FixtureRequest) -> bytes | None:
    return SECRET if request.param == "encrypted" else None


@pytest.fixture
def feed(secret: bytes | None) -> Feed:
    feed = Store.memory().feed("log", encryption_key=secret)
    feed.extend(BLOCKS)
    return feed


@pytest.fixture
async def writer(start_node: StartNode, feed: Feed) -> Node:
    node = await start_node()
    await node.share(feed)
    return node


@pytest.fixture
async def remote(start_node: StartNode, writer: Node, feed: Feed, secret: bytes | None) -> Remote:
    store = Store.memory()
    store.feed(key=feed.key, encryption_key=secret)
    return await (await start_node(writer, store=store)).follow(feed.key)


async def test_a_range(remote: Remote) -> None:
    assert await remote.read(50_000, 3000) == BYTES[50_000:53_000]
    status = remote.status()
    assert status.held < 100, "what nobody reads is not fetched"
    requests = status.requests
    assert await remote.read(50_100, 2000) == BYTES[50_100:52_100]
    assert remote.status().requests == requests, "what is here costs nothing"


async def test_random_ranges(remote: Remote) -> None:
    rng = random.Random(1)
    for _ in range(30):
        offset, length = rng.randrange(len(BYTES)), rng.choice([0, 1, 100, 5000])
        assert await remote.read(offset, length) == BYTES[offset : offset + length]


async def test_past_the_end(remote: Remote) -> None:
    assert await remote.read(len(BYTES) - 10, 1000) == BYTES[-10:]
    assert await remote.read(len(BYTES) + 10, 1000) == b""
    with pytest.raises(ValueError, match="-1 bytes"):
        await remote.read(0, -1)
    with pytest.raises(ValueError, match="from -2 on"):
        await remote.open(-2)


async def test_as_a_file(remote: Remote) -> None:
    async with await remote.open(1000, 9000) as file:
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


async def test_chunks_as_they_come(remote: Remote) -> None:
    async with await remote.open() as file:
        chunks = [chunk async for chunk in file]
    assert chunks == [block for block in BLOCKS if block]
    assert not remote._core.wants, "closing leaves nothing wanted"


async def test_reading_ahead_slides(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "READ_AHEAD_BLOCKS", 64)
    async with await remote.open() as file:
        held = [remote.status().held async for _ in file]
    assert held[0] <= 64 + 2
    assert remote.status().requests < 100, "blocks come many at a time"
    assert remote.status().wasted == 0


async def test_the_file_is_as_it_was_opened(remote: Remote, feed: Feed) -> None:
    file = await remote.open()
    feed.append(b"more")
    assert await remote.update() == 601
    assert await file.read() == BYTES
    assert await remote.read(len(BYTES), 10) == b"more"


async def test_a_truncation_is_told(remote: Remote, feed: Feed) -> None:
    file = await remote.open()
    assert await file.read(10) == BYTES[:10]
    feed.truncate(300)
    await remote.update()
    with pytest.raises(ClosedError, match="truncated"):
        await file.read()


async def test_a_failed_read_leaves_the_position(remote: Remote, feed: Feed) -> None:
    feed.clear(200, 201)
    file = await remote.open(timeout=1)
    with pytest.raises(DeadlineError, match="block 200"):
        await file.read()
    assert file.tell() == 0
    assert await file.read(100) == BYTES[:100]


async def test_closed_is_closed(remote: Remote) -> None:
    file = await remote.open(0, 10)
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
