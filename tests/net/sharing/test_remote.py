"""A remote feed as its reader uses it, over real sockets."""

from __future__ import annotations

import pytest

from feedlog import Feed, KeyPair
from feedlog.ranges import Ranges
from net.errors import DeadlineError
from net.node import Node
from net.sharing.remote import Remote
from tests.net.conftest import StartNode
from tests.net.sharing.conftest import BLOCKS, until


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

    async def test_a_block_that_was_lost_is_fetched_again(self, remote: Remote) -> None:
        await remote.get([1, 2])
        await until(lambda: not remote.feed._staging.batches)
        with remote._swarm._intake._store._storage.write() as writer:  # as another process does
            remote.feed._log.clear(writer, Ranges([(1, 2)]))
        assert await remote.get(1) == BLOCKS[1]


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

    async def test_what_was_got_is_stored_without_being_asked_to(self, remote: Remote) -> None:
        await remote.update()
        assert await remote.get(3) == BLOCKS[3]
        assert remote.feed._staging.batches
        assert remote.feed[3] == BLOCKS[3]
        await until(lambda: not remote.feed._staging.batches)
        assert remote.feed[3] == BLOCKS[3]

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
