"""A process with one node at a time, for each line of standard input one command, one JSON answer.

python -m tests.natbed.member          prints READY

["serve", [hosts], port, options]        nodes to bootstrap from, one on each host
["listen", [bootstrap], port, options]   a node that echoes what comes by stream
["start", [bootstrap], port, options]    a node that connects
["connect", key, seconds]                what came of it: way, milliseconds, or error
["talk after", pause, seconds]           a message there and back on the last stream
["talk until", way, seconds]             numbered bytes there and back until it runs by that way
["improve"]                              looks for a better way for it once; which way it runs then
["nat"]   ["way"]   ["look every", seconds]   ["stop"]
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from feedlog import Store
from net.dht.hashing import peer_topic
from net.discovery import PeerAddress
from net.errors import NetError
from net.node import Node
from net.secure.stream import SecureStream

MESSAGE = bytes(range(256)) * 400


async def echo(stream: SecureStream) -> None:
    while data := await stream.read(1 << 16):
        stream.write(data)
        await stream.drain()


class Member:
    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.stores: list[Store] = []
        self.stream: SecureStream | None = None

    async def serve(self, hosts: list[str], port: int, options: dict[str, Any]) -> list[str]:
        for host in hosts:
            first = [self.nodes[0].address] if self.nodes else []
            await self._open(Node(Store.memory(), bootstrap=first, host=host, port=port, **options))
        return [node.address for node in self.nodes]

    async def listen(self, bootstrap: list[str], port: int, options: dict[str, Any]) -> str:
        key = await self.start(bootstrap, port, options)
        await self.nodes[0].listen(echo)
        return key

    async def places(self, key: str) -> int:
        topic = peer_topic(bytes.fromhex(key))
        node = self.nodes[0]
        assert node._parts is not None
        while True:
            relays = [
                len(peer.relays) async for peer in node._parts.network.discovery.lookup(topic)
            ]
            if any(relays):
                return max(relays)
            await asyncio.sleep(0.05)

    async def start(self, bootstrap: list[str], port: int, options: dict[str, Any]) -> str:
        await self.stop()
        self.stores = [Store.memory()]
        node = Node(self.stores[0], bootstrap=bootstrap, port=port, **options)
        await self._open(node)
        return node.public_key.hex()

    async def _open(self, node: Node) -> None:
        self.nodes.append(node)
        await node.start()

    async def connect(self, key: str, seconds: float) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        found: dict[str, Any] = {"nat": self.nat()}
        try:
            self.stream = await self.nodes[0].connect(bytes.fromhex(key), timeout=seconds)
        except NetError as error:
            found["error"] = f"{type(error).__name__}: {error}"
        else:
            found["way"] = self.stream.description
            found["carried"] = await self.talk(10.0)
        found["ms"] = round(1e3 * (loop.time() - began))
        return found

    async def share(self, bootstrap: list[str], port: int, options: dict[str, Any]) -> str:
        await self.start(bootstrap, port, options)
        feed = self.stores[0].feed("log")
        feed.extend(b"block %d" % number for number in range(10))
        await self.nodes[0].share(feed)
        return feed.key.hex()

    async def read(self, key: str, seconds: float, index: int = 9) -> list[str]:
        [node] = self.nodes
        remote = await node.follow(bytes.fromhex(key))
        block = await remote.get(index, timeout=seconds)
        return [block.decode(), *(one.stream.description for one in node.connections)]

    async def talk(self, seconds: float) -> bool:
        assert self.stream is not None
        async with asyncio.timeout(seconds):
            self.stream.write(MESSAGE)
            return await self.stream.readexactly(len(MESSAGE)) == MESSAGE

    async def talk_after(self, pause: float, seconds: float) -> bool:
        await asyncio.sleep(pause)
        return await self.talk(seconds)

    async def talk_until(self, way: str, seconds: float) -> int:
        """Send without a pause what an echo sends back; return how much, if it came in order."""
        stream = self.stream
        assert stream is not None
        sent: list[int] = []

        async def send() -> None:
            while not stream.description.startswith(way):
                sent.append(len(sent))
                stream.write(sent[-1].to_bytes(8, "big") * 8192)
                await stream.drain()
            stream.write(bytes(8))

        async with asyncio.timeout(seconds):
            sending = asyncio.ensure_future(send())
            expected = 0
            while (number := await stream.readexactly(8)) != bytes(8) or not expected:
                rest = await stream.readexactly(8 * 8191)
                assert number + rest == expected.to_bytes(8, "big") * 8192
                expected += 1
            await sending
        assert expected == len(sent)
        return 8 * 8192 * expected

    async def several(self, key: str, count: int, seconds: float) -> list[str]:
        """Open streams beside the one that there is; return the ways that all go in the end."""
        connects = (self.nodes[0].connect(bytes.fromhex(key)) for _ in range(count))
        streams = await asyncio.gather(*connects)
        async with asyncio.timeout(seconds):
            while not all("tcp" in one.description for one in streams):  # noqa: ASYNC110 - untold
                await asyncio.sleep(0.1)
        ways = [stream.description for stream in streams]
        for stream in streams:
            stream.abort()
        return ways

    async def improve(self) -> str:
        assert self.stream is not None
        assert self.nodes[0]._parts is not None
        upgrades = self.nodes[0]._parts.reach.upgrades
        await upgrades._improve(self.stream, PeerAddress(self.stream.remote_key, ()), b"")
        return self.way()

    def look_every(self, seconds: float) -> None:
        """Look for a direct way that often."""
        assert self.nodes[0]._parts is not None
        self.nodes[0]._parts.reach.upgrades._pauses = (seconds,)

    def way(self) -> str:
        assert self.stream is not None
        return self.stream.description

    def nat(self) -> str:
        return self.nodes[0].nat.kind.name

    async def stop_without_a_word(self) -> None:
        """Be gone as after a power cut: nothing is withdrawn."""
        [node] = self.nodes
        assert node._parts is not None
        node._parts.announcer._topics.clear()
        await self.stop()

    async def stop(self) -> None:
        if self.stream is not None:
            self.stream.abort()
            self.stream = None
        while self.nodes:
            await self.nodes.pop().close()


async def main() -> None:
    loop = asyncio.get_running_loop()
    member = Member()
    print("READY", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, *arguments = json.loads(line)
        answer = getattr(member, command.replace(" ", "_"))(*arguments)
        if asyncio.iscoroutine(answer):
            answer = await answer
        print(json.dumps(answer), flush=True)
    await member.stop()


if __name__ == "__main__":
    asyncio.run(main())
