"""Bytes of a feed that is elsewhere: where they are, and ranges of them, over real sockets."""

from __future__ import annotations

import random

import pytest

from feedlog import Feed
from net.errors import ClosedError, RefusedError
from net.sharing.remote import Remote
from tests.net.sharing.conftest import BYTES


async def test_a_range(film: Remote) -> None:
    assert await film.read(50_000, 3000) == BYTES[50_000:53_000]
    status = film.status()
    assert status.held < 100, "what nobody reads is not fetched"
    requests = status.requests
    assert await film.read(50_100, 2000) == BYTES[50_100:52_100]
    assert film.status().requests == requests, "what is here costs nothing"


async def test_random_ranges(film: Remote) -> None:
    rng = random.Random(1)
    for _ in range(30):
        offset, length = rng.randrange(len(BYTES)), rng.choice([0, 1, 100, 5000])
        assert await film.read(offset, length) == BYTES[offset : offset + length]


async def test_past_the_end(film: Remote) -> None:
    assert await film.read(len(BYTES) - 10, 1000) == BYTES[-10:]
    assert await film.read(len(BYTES) + 10, 1000) == b""
    with pytest.raises(ValueError, match="-1 bytes"):
        await film.read(0, -1)
    with pytest.raises(ValueError, match="from -2 on"):
        await film.open(-2)


async def test_the_file_is_as_it_was_opened(film: Remote, reel: Feed) -> None:
    file = await film.open()
    reel.append(b"more")
    assert await film.update() == 601
    assert await file.read() == BYTES
    assert await film.read(len(BYTES), 10) == b"more"


async def test_a_truncation_is_told(film: Remote, reel: Feed) -> None:
    file = await film.open()
    assert await file.read(10) == BYTES[:10]
    reel.truncate(300)
    await film.update()
    with pytest.raises(ClosedError, match="truncated"):
        await file.read()


async def test_a_byte_is_found(remote: Remote, feed: Feed) -> None:
    assert await remote.seek(2000) == feed.seek(2000)


async def test_a_byte_that_nobody_has(film: Remote, reel: Feed) -> None:
    """Half of all blocks are cleared, so it is the place itself that cannot be proven."""
    reel.clear(0, 300)
    with pytest.raises(RefusedError, match="no peer could find byte 20"):
        await film.seek(20)
    with pytest.raises(RefusedError, match="no peer could find byte 30"):
        await film.read(30, 10)
    assert not film._fetcher.core.wants
