"""Nodes that share, follow, listen and connect, on real sockets and in real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
import uvloop

from feedlog import KeyPair, Store, decode_id
from net.errors import ClosedError, ConnectError, DeadlineError, ListenError, NotFound
from net.node import Node
from net.secure.stream import SecureStream
from tests.net.conftest import StartNode

BLOCKS = [b"block %d" % i for i in range(200)]


@pytest.fixture
def store() -> Store:
    return Store.memory()


class TestSharing:
    async def test_a_key_is_all_that_a_reader_needs(
        self, start_node: StartNode, store: Store
    ) -> None:
        feed = store.feed("log")
        feed.extend(BLOCKS)
        writer = await start_node(store=store)
        await writer.share(feed)
        remote = await (await start_node(writer)).follow(feed.key)
        assert await remote.get(7) == BLOCKS[7]
        assert remote.feed.have == [range(7, 8)]
        assert remote.status().round_trips == 1

    async def test_following_twice_is_one_remote(self, start_node: StartNode) -> None:
        node = await start_node()
        key = KeyPair.generate().public_key
        assert await node.follow(key) is await node.follow(key)

    async def test_a_reader_may_come_before_the_writer(
        self, start_node: StartNode, store: Store
    ) -> None:
        feed = store.feed("log")
        feed.extend(BLOCKS)
        first = await start_node()
        remote = await (await start_node(first)).follow(feed.key)
        waiting = asyncio.create_task(remote.get(3))
        await asyncio.sleep(0)
        writer = await start_node(first, store=store)
        await writer.share(feed)
        assert await waiting == BLOCKS[3]

    async def test_a_reader_of_two_feeds_has_one_connection(
        self, start_node: StartNode, store: Store
    ) -> None:
        feeds = [store.feed(name) for name in ("one", "two")]
        writer = await start_node(store=store)
        for feed in feeds:
            feed.extend(BLOCKS)
            await writer.share(feed)
        reader = await start_node(writer)
        for feed in feeds:
            remote = await reader.follow(feed.key)
            await remote.download()
            assert list(remote.feed) == BLOCKS
        assert reader.peers == [writer.public_key]
        assert len(reader.connections) == 1

    async def test_a_policy_says_who_may_read(self, start_node: StartNode, store: Store) -> None:
        feed = store.feed("log")
        feed.extend(BLOCKS)
        stranger, friend = await start_node(), Store.memory()
        allowed = friend.key_pair("node").public_key

        async def allow(key: bytes, asked: object) -> bool:
            await asyncio.sleep(0)
            return asked is feed and key == allowed

        writer = await start_node(stranger, store=store, allow=allow)
        await writer.share(feed)
        with pytest.raises(DeadlineError, match="not allowed"):
            await (await stranger.follow(feed.key)).get(0, timeout=2)
        remote = await (await start_node(stranger, store=friend)).follow(feed.key)
        assert await remote.get(0) == BLOCKS[0]

    async def test_what_is_not_shared_any_more_is_not_served(
        self, start_node: StartNode, store: Store
    ) -> None:
        feed = store.feed("log")
        feed.extend(BLOCKS)
        writer = await start_node(store=store)
        await writer.share(feed)
        reader = await start_node(writer)
        remote = await reader.follow(feed.key)
        await remote.get(0)
        await writer.unshare(feed)
        with pytest.raises(DeadlineError, match="no announcement"):
            await remote.get(1, timeout=1.5)

    async def test_an_append_of_another_process_is_noticed(
        self, start_node: StartNode, tmp_path: Path
    ) -> None:
        with Store(tmp_path / "store") as ours:
            feed = ours.feed("log")
            feed.append(b"first")
            writer = await start_node(store=ours)
            await writer.share(feed)
            remote = await (await start_node(writer)).follow(feed.key)
            assert await remote.get(0) == b"first"
            code = (
                "import sys; from feedlog import Store\n"
                "with Store(sys.argv[1]) as s: s.feed('log').append(b'second')"
            )
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, str(tmp_path / "store")
            )
            assert await process.wait() == 0
            async for block in remote.live(1):
                assert block == b"second"
                break
            await writer.close()


class TestAddresses:
    async def test_tcp_and_udp_share_a_port(self, start_node: StartNode) -> None:
        node = await start_node()
        port = int(node.address.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()

    async def test_a_port_in_use_is_named(self, start_node: StartNode) -> None:
        node = await start_node()
        port = int(node.address.rpartition(":")[2])
        with pytest.raises(ListenError, match=str(port)):
            await start_node(port=port)

    async def test_a_bootstrap_address_that_is_none(self) -> None:
        with pytest.raises(ValueError, match="nonsense"):
            Node(Store.memory(), bootstrap=["nonsense"])

    async def test_what_cannot_be_meant_is_refused_before_anything_starts(
        self, store: Store, tmp_path: Path
    ) -> None:
        with pytest.raises(TypeError, match="a list of addresses, not one: '127"):
            Node(store, bootstrap="127.0.0.1:1")
        for port in (-1, 2**16):
            with pytest.raises(ValueError, match=f"0..65535, where 0 takes any: not {port}"):
                Node(store, port=port)
        with pytest.raises(ValueError, match="names no address to listen on"):
            Node(store, host=[])
        with pytest.raises(ValueError, match="a network key has 32 bytes, not 31"):
            Node(store, network_key=bytes(31))
        node = Node(store, contacts=str(tmp_path / "contacts"))
        for name in ("", "x" * 33):
            with pytest.raises(ValueError, match=f"1 to 32 characters, not {len(name)}"):
                node.extension(name, lambda _feed, _payload: [])

    async def test_a_node_that_reaches_nobody_works_and_says_so(
        self, start_node: StartNode, store: Store
    ) -> None:
        feed = store.feed("log")
        feed.extend(BLOCKS)
        lonely = await start_node(store=store, bootstrap=["127.0.0.1:9"])
        assert await lonely.share(feed) == 0
        other = await lonely.follow(KeyPair.generate().public_key)
        with pytest.raises(DeadlineError, match="no bootstrap node answered"):
            await other.get(0, timeout=0.2)

    async def test_a_closed_node_says_so(self, start_node: StartNode, store: Store) -> None:
        node = await start_node()
        await node.close()
        await node.close()
        with pytest.raises(ClosedError):
            await node.share(store.feed("log"))


class TestStreams:
    async def test_a_stream_by_public_key(self, start_node: StartNode) -> None:
        async def echo(stream: SecureStream) -> None:
            while data := await stream.read(65536):
                stream.write(data)
                await stream.drain()

        server_node = await start_node()
        server = await server_node.listen(echo)
        client = await start_node(server_node)
        stream = await client.connect(server.public_key)
        assert stream.remote_key == server_node.public_key
        stream.write(b"hello")
        assert await stream.readexactly(5) == b"hello"
        stream.close()
        await server.close()

    async def test_quic_carries_what_tcp_does_not(
        self, start_node: StartNode, store: Store
    ) -> None:
        async def echo(stream: SecureStream) -> None:
            stream.write(await stream.read(65536))
            await stream.drain()

        feed = store.feed("ours")
        feed.extend(b"%d" % number for number in range(500))
        server_node = await start_node(store=store)
        server = await server_node.listen(echo)
        await server_node.share(feed)
        assert server_node._parts is not None
        server_node._parts.ports.listener.close()
        client = await start_node(server_node)
        stream = await client.connect(server.public_key)
        assert stream.description.startswith("quic")
        stream.write(b"hello")
        assert await stream.read(100) == b"hello"
        stream.close()
        remote = await client.follow(feed.key)
        await remote.download(range(500))
        assert remote.feed[499] == b"499"

    async def test_a_handler_is_asked_who_may_come(self, start_node: StartNode) -> None:
        async def refuse(stream: SecureStream) -> None:
            raise AssertionError(stream)

        node = await start_node()
        server = await node.listen(refuse, allow=lambda _key: False)
        with pytest.raises(ConnectError):
            await (await start_node(node)).connect(server.public_key)

    async def test_nobody_of_that_name(self, start_node: StartNode) -> None:
        node = await start_node()
        with pytest.raises(NotFound):
            await (await start_node(node)).connect(KeyPair.generate().public_key)


class TestTopics:
    async def test_who_announces_a_topic_is_found_and_connected_to(
        self, start_node: StartNode
    ) -> None:
        async def greet(stream: SecureStream) -> None:
            stream.write(b"welcome")
            await stream.drain()

        host = await start_node()
        guest = await start_node(host)
        await host.listen(greet)
        assert await host.announce(b"the chat of Berlin..") == 1
        (found,) = [peer async for peer in guest.lookup(b"the chat of Berlin..")]
        assert found.public_key == host.public_key
        stream = await guest.connect(found.public_key)
        assert await stream.readexactly(7) == b"welcome"
        stream.abort()
        await host.withdraw(b"the chat of Berlin..")
        assert [peer async for peer in guest.lookup(b"the chat of Berlin..")] == []

    async def test_a_key_is_found_where_its_owner_listens(self, start_node: StartNode) -> None:
        async def nothing(stream: SecureStream) -> None:
            stream.close()

        host = await start_node()
        guest = await start_node(host)
        assert [peer async for peer in guest.find(host.public_key)] == []
        await host.listen(nothing)
        (found,) = [peer async for peer in guest.find(host.public_key)]
        assert found.addresses == (("127.0.0.1", int(host.address.rpartition(":")[2])),)
        with pytest.raises(ValueError, match="32 bytes, not 3"):
            await anext(guest.find(b"key"))

    async def test_a_topic_has_twenty_bytes(self, start_node: StartNode) -> None:
        node = await start_node()
        with pytest.raises(ValueError, match="20 bytes, not 4"):
            await node.announce(b"chat")
        with pytest.raises(ValueError, match="20 bytes, not 4"):
            await anext(node.lookup(b"chat"))


SERVE = """
import asyncio, sys
from feedlog import Store, decode_id
from net import Node

async def main(path, address, what):
    with Store(path) as store:
        async with Node(store, bootstrap=[address], host="127.0.0.1") as node:
            if what == "write":
                feed = store.feed("log")
                await node.share(feed)
            else:
                remote = await node.follow(decode_id(what))
                await remote.download(range(0, 150))
                feed = remote.feed
                await node.share(feed)
            print(feed.id, flush=True)
            await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class TestProcesses:
    async def test_a_reader_finishes_from_a_seeder_when_the_writer_is_killed(
        self, start_node: StartNode, tmp_path: Path
    ) -> None:
        with Store(tmp_path / "writer") as ours:
            ours.feed("log").extend(BLOCKS)
        first = await start_node()

        async def serve(name: str, what: str) -> tuple[asyncio.subprocess.Process, str]:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", SERVE, str(tmp_path / name), first.address, what,
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert process.stdout is not None
            return process, (await process.stdout.readline()).decode().strip()

        writer, key = await serve("writer", "write")
        seeder, same = await serve("seeder", key)
        assert key == same
        try:
            with Store(tmp_path / "reader") as store:
                node = await start_node(first, store=store)
                remote = await node.follow(decode_id(key))
                assert await remote.get(199) == BLOCKS[199]
                os.kill(writer.pid, signal.SIGKILL)
                await writer.wait()
                await remote.download(range(150), timeout=30)
                assert remote.feed[:150] == BLOCKS[:150]
                await node.close()
        finally:
            for process in (writer, seeder):
                if process.returncode is None:
                    process.kill()
                await process.wait()
                process._transport.close()  # type: ignore[attr-defined]  # asyncio leaves it open


class TestLimits:
    @pytest.mark.parametrize("limited", ["upload_limit", "download_limit"])
    async def test_bytes_a_second_are_kept(self, start_node: StartNode, limited: str) -> None:
        store = Store.memory()
        feed = store.feed("log")
        feed.extend(bytes([i]) * 40_000 for i in range(200))
        limits = {limited: 4_000_000.0}
        up, down = (limits, {}) if limited == "upload_limit" else ({}, limits)
        writer = await start_node(store=store, **up)
        await writer.share(feed)
        remote = await (await start_node(writer, **down)).follow(feed.key)
        await remote.update()
        loop = asyncio.get_running_loop()
        started = loop.time()
        await remote.download()
        # 8 MB at 4 MB/s, without what the window and the burst let through at once.
        assert loop.time() - started > 1.0
        assert list(remote.feed) == list(feed)

    async def test_a_limit_is_positive(self) -> None:
        with pytest.raises(ValueError, match="limit"):
            Node(Store.memory(), upload_limit=0)


def test_another_event_loop_is_refused(store: Store) -> None:
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        pytest.raises(RuntimeError, match=r"SelectorEventLoop, not on uvloop\.Loop"),
    ):
        runner.run(Node(store, host="127.0.0.1").start())
