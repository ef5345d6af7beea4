"""How much memory does a node take: idle, with a thousand idle peers, serving a large feed?

Every node is a process of its own on loopback, and its figure is what the system says of it:
resident bytes of its own (anonymous; where a store's pages are mapped they are the system's cache
and given back when somebody else needs the room) or all of them. A thousand peers are a crowd of
connections with a channel about a feed each; followers of the large feed are nodes with stores,
which download random ranges for some seconds while the serving node is watched. The peers are a
hyperdht node with a hypercore, and a hypercore over TCP whose followers share one process.

`python -m benchmarks.memory --gigabytes 10 --followers 50` asks at full size; a run among the other
benchmarks is smaller.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.harness import Bench, node_command, why_no_peers
from benchmarks.report import Answer, Figure, Limit, table
from feedlog import KeyPair, Store
from net import Node
from net.addresses import parse_address
from net.carriers.tcp import connect_tcp
from net.channels import Channel
from net.replicate.messages import PROTOCOL as REPLICATE
from net.replicate.messages import Info, encode
from net.secure.opening import open_stream
from net.sharing.connection import PROTOCOL as CHANNELS
from net.sharing.connection import Connection

LOOPBACK = "127.0.0.1"
BLOCK = 64 << 10
RANGE = 16
"""Blocks that a follower asks for at once: a mebibyte, somewhere in the feed."""
WATCH = 0.5
"""Seconds between two looks at the serving node."""
BATCH = 256
"""Blocks appended in one transaction."""


def say(value: object) -> None:
    """Tell the measuring process something."""
    print(json.dumps(value), flush=True)


# What the processes do.


def fill(path: str, blocks: int) -> None:
    """Make a store with a feed."""
    with Store(path, durability="relaxed") as store:
        feed = store.feed("memory")
        for start in range(0, blocks, BATCH):
            stop = min(start + BATCH, blocks)
            feed.extend(random.randbytes(BLOCK) for _ in range(start, stop))


async def host(path: str) -> None:
    """Serve the feed of a store until killed, if there is one."""
    with Store(path, durability="relaxed") as store:
        async with Node(store, host=LOOPBACK) as node:
            key = ""
            for info in store.feeds():
                await node.share(store.feed(key=info.key))
                key = info.key.hex()
            say({"key": key, "node": node.public_key.hex(), "address": node.address})
            await asyncio.Event().wait()


class Quiet:
    """A follower of a feed that wants nothing of it."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    def channel_opened(self, channel: Channel) -> None:
        """Introduce ourselves, once."""
        channel.send(encode(Info(1, 0, 0)))
        self.opened.set()

    def message_received(self, channel: Channel, data: bytes, _: bool) -> None:
        """Take what the node says."""
        channel.consume(len(data))

    def channel_drained(self, _: Channel) -> None:
        """Send no more."""

    def channel_closed(self, _: Channel, reason: str) -> None:
        """Peers are to stay."""
        raise RuntimeError(f"the node has closed a channel: {reason}")


async def crowd(told: str, count: int) -> None:
    """Be many idle peers."""
    known = json.loads(told)
    address, node, key = parse_address(known["address"]), known["node"], bytes.fromhex(known["key"])

    async def come() -> Connection:
        stream = await open_stream(
            await connect_tcp(*address), KeyPair.generate(), bytes.fromhex(node), protocol=CHANNELS
        )
        connection, handler = Connection(stream), Quiet()
        connection.open(key, REPLICATE, handler)
        await handler.opened.wait()
        return connection

    stays = [await come() for _ in range(count)]
    say(len(stays))
    await asyncio.Event().wait()


async def follow(path: str, told: str, seed: int, seconds: float) -> None:
    """Download random ranges for some seconds; say how many bytes it were."""
    known = json.loads(told)
    rng = random.Random(seed)
    with Store(path, durability="relaxed") as store:
        async with Node(store, host=LOOPBACK, bootstrap=[known["address"]]) as node:
            remote = await node.follow(bytes.fromhex(known["key"]))
            length = await remote.update()
            say("ready")
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                start = rng.randrange(length - RANGE + 1)
                await remote.download(range(start, start + RANGE), timeout=None)
            say(sum(map(len, remote.feed.have)) * BLOCK)


# How they are watched.


def role(*words: object) -> list[str]:
    """The command that plays one of these roles."""
    return [sys.executable, "-m", "benchmarks.memory", *map(str, words)]


class Process:
    """One of them."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def line(self) -> str:
        """What it says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process ended with {self._process.wait()}")
        return line

    def memory(self, *kinds: str) -> float:
        """Megabytes of the kinds that /proc names."""
        text = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        fields = dict(line.split(":", 1) for line in text.splitlines())
        return sum(int(fields[kind].split()[0]) for kind in kinds) * 1024 / 1e6

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def serving(path: Path, blocks: int) -> Iterator[tuple[Process, str]]:
    """A node that serves a feed, and what its peers have to be told."""
    if blocks:
        subprocess.run(role("fill", path, blocks), check=True)
    process = Process(role("host", path))
    try:
        told = process.line().strip()
        yield process, told
    finally:
        process.kill()


def idle(path: Path) -> float:
    """Megabytes of a node that has a store and no peers."""
    with serving(path, 0) as (node, _):
        time.sleep(2)
        return node.memory("VmRSS")


def thousand(path: Path, count: int) -> float:
    """Megabytes of a node with idle peers."""
    with serving(path, 100) as (node, told), ExitStack() as stack:
        peers = Process(role("crowd", told, count))
        stack.callback(peers.kill)
        peers.line()
        time.sleep(2)
        return node.memory("VmRSS")


def large(path: Path, gigabytes: float, followers: int, seconds: float) -> Figure:
    """Greatest megabytes of its own that a node held while many read a large feed from it."""
    blocks = int(gigabytes * 1e9 / BLOCK)
    with serving(path / "host", blocks) as (node, told), ExitStack() as stack:
        own, mapped = node.memory("RssAnon"), 0.0
        readers = []
        for seed in range(followers):
            reader = Process(role("follow", path / f"follower{seed}", told, seed, seconds))
            stack.callback(reader.kill)
            readers.append(reader)
        before = own
        for reader in readers:
            reader.line()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            own = max(own, node.memory("RssAnon"))
            mapped = max(mapped, node.memory("RssFile"))
            time.sleep(WATCH)
        read = sum(int(reader.line()) for reader in readers)
    facts = {
        "MB at first": before,
        "MB of the store mapped": mapped,
        "MB read by all": read / 1e6,
        "MB/s": read / 1e6 / seconds,
        "gigabytes": gigabytes,
        "followers": followers,
    }
    return Figure("feedlog", "MB", (own,), facts={k: round(v, 1) for k, v in facts.items()})


def their_idle() -> Figure:
    """Megabytes of an idle hyperdht node with a hypercore."""
    node = Process(node_command("memory.js", {"role": "idle"}))
    try:
        node.line()
        time.sleep(2)
        return Figure("hyperdht and hypercore", "MB", (node.memory("VmRSS"),))
    finally:
        node.kill()


def their_large(path: Path, gigabytes: float, followers: int, seconds: float) -> Figure:
    """The same as `large` for hypercore; its store is read and not mapped."""
    amount = {"count": int(gigabytes * 1e9 / BLOCK), "size": BLOCK, "dir": str(path / "theirs")}
    subprocess.run(node_command("memory.js", {"role": "fill", **amount}), check=True)
    node = Process(node_command("memory.js", {"role": "serve", **amount}))
    try:
        told = json.loads(node.line())
        asked = {"role": "follow", **amount, **told, "followers": followers, "time": seconds}
        readers = subprocess.Popen(node_command("memory.js", asked), stdout=subprocess.PIPE)
        own = 0.0
        while readers.poll() is None:
            own = max(own, node.memory("RssAnon"))
            time.sleep(WATCH)
        read = int(readers.communicate()[0])
    finally:
        node.kill()
    facts = {"MB read by all": round(read / 1e6, 1), "MB/s": round(read / 1e6 / seconds, 1)}
    return Figure("hypercore-11", "MB", (own,), facts=facts)


def answers(
    gigabytes: float, followers: int, seconds: float, crowd: int, *, peers: bool
) -> Iterator[Answer]:
    """Ask all three."""
    with tempfile.TemporaryDirectory(prefix="feedlog-bench-") as name:
        path = Path(name)
        figure = Figure("feedlog", "MB", (idle(path / "idle"),))
        others = (their_idle(),) if peers else ()
        yield Answer("an idle node", figure, others, (Limit(60, "MB"),), lower_is_better=True)
        figure = Figure("feedlog", "MB", (thousand(path / "thousand", crowd),))
        what = f"a node with {crowd:,} idle peers"
        yield Answer(what, figure, (), (Limit(250, "MB"),), lower_is_better=True)
        figure = large(path, gigabytes, followers, seconds)
        what = f"serving {gigabytes:g} GB to {followers} followers"
        others = (their_large(path, gigabytes, followers, seconds),) if peers else ()
        note = "; ".join(
            f"{side.who}: {name} {value:,}"
            for side in (figure, *others)
            for name, value in side.facts.items()
        )
        yield Answer(what, figure, others, (), lower_is_better=True, note=note)


def run(bench: Bench) -> Iterator[Answer]:
    """An idle node, one with many idle peers, and one that serves a feed larger than memory."""
    if bench.quick:
        return answers(0.1, 3, 2.0, 50, peers=bench.has_peers)
    return answers(1.0, 50, 20.0, 1000, peers=bench.has_peers)


def main(words: Sequence[str]) -> None:
    """Be one of the processes, or ask at the size that is wanted."""
    match words:
        case ["fill", path, blocks]:
            fill(path, int(blocks))
        case ["host", path]:
            asyncio.run(host(path))
        case ["crowd", told, count]:
            asyncio.run(crowd(told, int(count)))
        case ["follow", path, told, seed, seconds]:
            asyncio.run(follow(path, told, int(seed), float(seconds)))
        case _:
            parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
            parser.add_argument("--gigabytes", type=float, default=10.0)
            parser.add_argument("--followers", type=int, default=50)
            parser.add_argument("--seconds", type=float, default=60.0)
            parser.add_argument("--peers", type=int, default=1000)
            given = parser.parse_args(words)
            sizes = given.gigabytes, given.followers, given.seconds, given.peers
            print(table(list(answers(*sizes, peers=why_no_peers() is None))))


if __name__ == "__main__":
    main(sys.argv[1:])
