"""One member of a network of processes: a node whose test talks to it by lines of JSON.

    python -m tests.processes.member STORE HOST BOOTSTRAP UPLOAD-LIMIT

In:  ["write", [sizes]]  ["truncate", n]  ["follow", key]  ["download", start, stop]
     ["get", i, seconds]  ["cut"]  ["stall", seconds]  ["state"]  ["quic_only"]  ["identity"]
     ["ways"]
Out: the address first, then one line for each command; a download reports its progress in lines.
What follows a feed downloads all of it, also what comes, and shares it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from typing import Any

from feedlog import Feed, Store
from net import DeadlineError, NetError, Node, Remote


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


class Member:
    def __init__(self, store: Store, node: Node) -> None:
        self.store = store
        self.node = node
        self.feed: Feed | None = None
        self.remote: Remote | None = None
        self.keeping: asyncio.Task[None] | None = None

    async def write(self, sizes: list[int]) -> list[object]:
        if self.feed is None:
            self.feed = self.store.feed("log")
            await self.node.share(self.feed)
        self.feed.extend(random.randbytes(size) for size in sizes)
        return [self.feed.key.hex(), self.feed.length]

    async def truncate(self, length: int) -> list[int]:
        assert self.feed is not None
        self.feed.truncate(min(length, self.feed.length))
        return [self.feed.fork, self.feed.length]

    async def follow(self, key: str, keep: bool) -> bool:
        self.remote = await self.node.follow(bytes.fromhex(key))
        self.feed = self.remote.feed
        await self.node.share(self.feed)
        if keep:
            self.keeping = asyncio.create_task(self.keep(self.remote))
        return True

    async def keep(self, remote: Remote) -> None:
        """Download whatever there is; a newer head ends the download of an older one."""
        download: asyncio.Task[None] | None = None
        async for _, length in remote.heads():
            if download is not None:
                download.cancel()
            download = asyncio.create_task(remote.download(range(length)))

    async def download(self, start: int, stop: int) -> str:
        assert self.remote is not None
        await self.remote.download(range(start, stop), progress=lambda done, _: say(done))
        return "done"

    async def get(self, index: int, seconds: float) -> str:
        assert self.remote is not None
        try:
            return (await self.remote.get(index, timeout=seconds)).hex()
        except DeadlineError:
            return "deadline"

    async def cut(self) -> int:
        """Lose every connection, as when a cable is pulled."""
        connections = self.node.connections
        for connection in connections:
            connection.stream.abort()
        return len(connections)

    async def stall(self, seconds: float) -> bool:
        """Do nothing for a time, as on a machine with too much to do."""
        asyncio.get_running_loop().call_soon(time.sleep, seconds)
        return True

    async def quic_only(self) -> bool:
        """Accept no TCP connections any more, as behind a firewall."""
        assert self.node._parts is not None
        self.node._parts.ports.stop()
        return True

    async def identity(self) -> str:
        return self.node.public_key.hex()

    async def ways(self) -> list[str]:
        return [connection.stream.description for connection in self.node.connections]

    async def state(self) -> list[Any]:
        if self.feed is None:
            return [0, 0, 0, ""]
        feed = self.feed
        held = sum(map(len, feed.have))
        return [feed.fork, feed.length, held, feed.root_hash().hex() if feed.length else ""]


async def main(path: str, host: str, bootstrap: str, limit: str) -> None:
    known = [bootstrap] if bootstrap else []
    upload = float(limit) or None
    with Store(path) as store:
        node = Node(store, host=host, bootstrap=known, upload_limit=upload)
        with contextlib.suppress(NetError):  # it keeps trying
            await node.start()
        member = Member(store, node)
        say(node.address)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command, *arguments = json.loads(line)
            say(await getattr(member, command)(*arguments))
        if member.keeping is not None:
            member.keeping.cancel()
        await node.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
