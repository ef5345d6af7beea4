"""A remote feed as its reader uses it, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from feedlog import BlockMissing, Feed, KeyPair, Store
from feedlog.errors import StoreError
from feedlog.ranges import Ranges
from net.errors import ClosedError, DeadlineError
from net.node import Node
from net.sharing import intake
from net.sharing.remote import Remote
from tests.net.conftest import StartNode

BLOCKS = [b"block %d" % i for i in range(500)]


@pytest.fixture
def feed() -> Feed:
    feed = Store.memory().feed("log")
    feed.extend(BLOCKS)
    return feed


@pytest.fixture
async def writer(start_node: StartNode, feed: Feed) -> Node:
    node = await start_node()
    await node.share(feed)
    return node


@pytest.fixture
async def remote(start_node: StartNode, writer: Node, feed: Feed) -> Remote:
    return await (await start_node(writer)).follow(feed.key)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it is for tests to look from outside
            await asyncio.sleep(0.001)


class TestGet:
    async def test_what_is_here_costs_nothing(self, remote: Remote) -> None:
        assert await remote.get(5) == BLOCKS[5]
        before = remote.status().requests
        assert await remote.get(5) == BLOCKS[5]
        assert remote.status().requests == before

    async def test_many_at_once(self, remote: Remote) -> None:
        assert await remote.get([3, 1, 400]) == [BLOCKS[3], BLOCKS[1], BLOCKS[400]]
        assert await remote.get(range(100, 110)) == BLOCKS[100:110]
        assert await remote.get([]) == []

    async def test_many_readers_of_one_block_ask_once(self, remote: Remote) -> None:
        await remote.update()
        before = remote.status().blocks
        assert set(await asyncio.gather(*(remote.get(9) for _ in range(20)))) == {BLOCKS[9]}
        assert remote.status().blocks == before + 1

    async def test_negative_indexes_count_from_the_end(self, remote: Remote) -> None:
        assert await remote.get(-1) == BLOCKS[-1]

    async def test_past_the_end(self, remote: Remote) -> None:
        with pytest.raises(IndexError, match="500 blocks"):
            await remote.get(500)
        with pytest.raises(IndexError):
            await remote.get(-501)

    async def test_the_end_may_have_moved(self, remote: Remote, feed: Feed) -> None:
        await remote.update()
        feed.append(b"newer")
        assert await remote.get(500) == b"newer"

    async def test_nobody_has_the_feed(self, start_node: StartNode, writer: Node) -> None:
        node = await start_node(writer)
        nothing = await node.follow(KeyPair.generate().public_key)
        with pytest.raises(DeadlineError, match=r"block 0 of .* found after asking 1"):
            await nothing.get(0, timeout=1)

    async def test_nobody_has_the_block(self, remote: Remote, feed: Feed) -> None:
        feed.clear(7, 8)
        await remote.update()
        with pytest.raises(DeadlineError, match="does not have it"):
            await remote.get(7, timeout=0.3)

    async def test_one_reader_gives_up_and_the_other_does_not(self, remote: Remote) -> None:
        first, second = asyncio.create_task(remote.get(8)), asyncio.create_task(remote.get(8))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == BLOCKS[8]

    async def test_a_block_that_was_lost_is_fetched_again(self, remote: Remote) -> None:
        await remote.get([1, 2])
        await until(lambda: not remote.feed._staging.batches)
        with remote._swarm._intake._store._storage.write() as writer:  # as another process does
            remote.feed._log.clear(writer, Ranges([(1, 2)]))
        assert await remote.get(1) == BLOCKS[1]


class TestDownload:
    async def test_all_with_progress(self, remote: Remote) -> None:
        seen: list[tuple[int, int]] = []
        await remote.download(progress=lambda done, total: seen.append((done, total)))
        assert list(remote.feed) == BLOCKS
        assert seen[0] == (0, 500)
        assert seen[-1] == (500, 500)

    async def test_some(self, remote: Remote) -> None:
        await remote.download(range(10, 20))
        await remote.download([1, 3, 3, 400])
        await remote.download([])
        held = [i for part in remote.feed.have for i in part]
        assert held == [1, 3, *range(10, 20), 400]

    async def test_what_is_here_already_is_not_fetched(self, remote: Remote) -> None:
        await remote.download(range(100))
        await remote.download(range(200))
        assert remote.status().blocks == 200
        assert remote.status().wasted == 0

    async def test_past_the_end(self, remote: Remote) -> None:
        with pytest.raises(IndexError):
            await remote.download(range(1000))
        with pytest.raises(ValueError, match="-1"):
            await remote.download([-1])

    async def test_cancelling_stops_it(self, remote: Remote, feed: Feed) -> None:
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
        assert not remote._core.wants
        assert await remote.get(0) == BLOCKS[0]


class TestLive:
    async def test_old_and_new_blocks_in_order(self, remote: Remote, feed: Feed) -> None:
        got: list[bytes] = []

        async def read() -> None:
            async for block in remote.live(490):
                got.append(block)
                if len(got) == 30:
                    return

        task = asyncio.create_task(read())
        for i in range(20):
            feed.append(b"new %d" % i)
            await asyncio.sleep(0)
        await task
        assert got == BLOCKS[490:] + [b"new %d" % i for i in range(20)]

    async def test_only_what_is_new(self, remote: Remote, feed: Feed) -> None:
        await remote.update()
        blocks: AsyncIterator[bytes] = remote.live(-1)
        assert await anext(blocks) == BLOCKS[-1]
        waiting = asyncio.ensure_future(anext(blocks))
        await asyncio.sleep(0.01)
        feed.append(b"new")
        assert await waiting == b"new"

    @pytest.mark.parametrize("quick", [True, False], ids=["stored at once", "stored in a thread"])
    async def test_many_followers_get_every_append(
        self,
        start_node: StartNode,
        writer: Node,
        feed: Feed,
        quick: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if not quick:  # pushes then come while the answer to a request waits for the disk
            monkeypatch.setattr(intake, "INLINE_WAIT", -1.0)
        remotes = [await (await start_node(writer)).follow(feed.key) for _ in range(10)]

        async def read(remote: Remote) -> list[bytes]:
            blocks = []
            async for block in remote.live(450):
                blocks.append(block)
                if len(blocks) == 350:
                    break
            return blocks

        tasks = [asyncio.create_task(read(remote)) for remote in remotes]
        for i in range(300):
            feed.append(b"live %d" % i)
            if i % 10 == 0:
                await asyncio.sleep(0.001)
        expected = BLOCKS[450:] + [b"live %d" % i for i in range(300)]
        assert await asyncio.gather(*tasks) == [expected] * 10


class TestRun:
    async def test_a_synchronous_reader_gets_its_blocks(self, remote: Remote) -> None:
        def chain() -> list[bytes]:
            return [remote.feed[i] for i in (0, 100, 200)]

        assert await remote.run(chain) == [BLOCKS[0], BLOCKS[100], BLOCKS[200]]
        assert remote.status().round_trips == 4

    async def test_a_hint_brings_them_in_one_round_trip(self, remote: Remote, writer: Node) -> None:
        writer.extension("list", lambda _feed, payload: list(payload))
        hint = ("list", bytes([0, 100, 200]))
        result = await remote.run(lambda: [remote.feed[i] for i in (0, 100, 200)], hint=hint)
        assert result == [BLOCKS[0], BLOCKS[100], BLOCKS[200]]
        assert remote.status().round_trips == 1

    async def test_without_the_extension_it_takes_longer(self, remote: Remote) -> None:
        hint = ("unknown", b"")
        assert await remote.run(lambda: remote.feed[7], hint=hint) == BLOCKS[7]

    async def test_an_error_of_the_reader_is_its_own(self, remote: Remote) -> None:
        with pytest.raises(ZeroDivisionError):
            await remote.run(lambda: 1 // 0)


class TestOther:
    async def test_a_byte_is_found(self, remote: Remote, feed: Feed) -> None:
        assert await remote.seek(2000) == feed.seek(2000)

    async def test_update_returns_the_length(self, remote: Remote, feed: Feed) -> None:
        assert await remote.update() == 500
        feed.append(b"x")
        assert await remote.update() == 501

    async def test_a_truncated_feed_is_followed(self, remote: Remote, feed: Feed) -> None:
        await remote.download()
        feed.truncate(100)
        feed.append(b"other")
        assert await remote.update() == 101
        assert await remote.get(100) == b"other"
        with pytest.raises(IndexError):
            await remote.get(200)

    @pytest.mark.parametrize("length", [0, 7, 499])
    async def test_a_truncation_alone_is_learnt(
        self, remote: Remote, feed: Feed, length: int
    ) -> None:
        await remote.download()
        feed.truncate(length)
        assert await remote.update() == length
        assert remote.feed.fork == 1

    async def test_heads_are_told_as_they_come(self, remote: Remote, feed: Feed) -> None:
        await remote.update()
        async with aclosing(remote.heads()) as heads, asyncio.timeout(20):
            assert await anext(heads) == (0, 500)
            feed.append(b"x")
            assert await anext(heads) == (0, 501)
            feed.truncate(9)
            assert await anext(heads) == (1, 9)

    async def test_what_the_disk_refuses_is_told(
        self, remote: Remote, monkeypatch: pytest.MonkeyPatch
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
        self, remote: Remote, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await remote.get(0)
        await until(lambda: not remote.feed._staging.batches)

        def full(*_: object) -> None:
            remote.feed._staging.forget()
            raise StoreError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(remote.feed._staging, "flush", full)
            assert await remote.get(1) == BLOCKS[1]
            await until(lambda: remote._error is not None)
        with pytest.raises(StoreError, match="no space"):
            await remote.get(2)
        assert remote.feed.have == [range(1)]
        assert await remote.get(1) == BLOCKS[1]

    async def test_what_was_got_is_stored_without_being_asked_to(self, remote: Remote) -> None:
        await remote.update()
        assert await remote.get(3) == BLOCKS[3]
        assert remote.feed._staging.batches
        assert remote.feed[3] == BLOCKS[3]
        await until(lambda: not remote.feed._staging.batches)
        assert remote.feed[3] == BLOCKS[3]

    async def test_closing_wakes_who_waits(self, remote: Remote) -> None:
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

    async def test_losing_the_connection_is_got_over(self, remote: Remote, writer: Node) -> None:
        await remote.get(1)
        for connection in writer.connections:
            connection.stream.abort()
        assert await remote.get(2) == BLOCKS[2]

    async def test_status(self, remote: Remote) -> None:
        await remote.download(range(10))
        status = remote.status()
        assert (status.length, status.held, status.blocks) == (500, 10, 10)
        assert status.data_bytes == sum(map(len, BLOCKS[:10]))
        assert 0 < status.proof_bytes < 2000
        (peer,) = status.peers
        assert (peer.blocks, peer.length) == (10, 500)
