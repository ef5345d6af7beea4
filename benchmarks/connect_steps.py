"""Where does the time of a connect by public key go? Microseconds of each step, on loopback.

A DHT of ten nodes, a listener and a dialler in one process, as in `benchmarks/connect.py`. The
clock is that of the process, so that other work on the machine counts for little; all parties
pay on it. A node that holds the record itself finds it without asking; one that is ephemeral
holds nothing. The last line is the time from following a feed to its first block.

Run by hand: `python -m benchmarks.connect_steps` (about ten seconds). Its figures stand in
docs/adr/0016-what-a-connect-does.md.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from statistics import median
from time import process_time
from typing import Any

from benchmarks.connect import DHT_NODES, hold, network
from benchmarks.nodes import LOOPBACK
from feedlog import Store
from net import Node
from net.reaching import dial, reach
from net.reaching.reception import Reception
from net.secure.handshake import Handshake

CONNECTS = 60
NETWORKS = 3
FEW = 5
"""Connects at first whose time is not counted: caches of the processor and of addresses fill."""
PAUSE = 0.02
"""Seconds in which what the last connect has left behind comes to its end."""

STEPS = {
    "record found": "find the record",
    "connecting": "choose ways",
    "arrived": "TCP, at the listener",
    "handshake begun": "TCP, at the dialler",
    "identified": "make and read the first message",
    "established": "make and read the second",
    "done": "hand over the stream",
}
"""The moments, and the step that ends with each."""

Marks = list[tuple[str, float]]


def stamp(marks: Marks, owner: Any, name: str, moment: str) -> None:
    """Have calls of `owner.name` note when they begin."""
    plain = getattr(owner, name)

    def noted(*arguments: object, **named: object) -> object:
        marks.append((moment, process_time()))
        return plain(*arguments, **named)

    setattr(owner, name, noted)


def stamp_end(marks: Marks, owner: Any, name: str, moment: str) -> None:
    """Have calls of the coroutine function `owner.name` note when they end."""
    plain: Callable[..., Awaitable[object]] = getattr(owner, name)

    async def noted(*arguments: object, **named: object) -> object:
        result = await plain(*arguments, **named)
        marks.append((moment, process_time()))
        return result

    setattr(owner, name, noted)


async def connects(marks: Marks, *, holds: bool) -> dict[str, list[float]]:
    """Connect again and again, from a node that holds the listener's record, or holds nothing.

    Returns the microseconds of each step and of all.
    """
    steps: dict[str, list[float]] = defaultdict(list)
    networks = 0
    while networks < NETWORKS:
        async with (
            network(DHT_NODES) as address,
            Node(Store.memory(), host=LOOPBACK, bootstrap=[address]) as listening,
            Node(
                Store.memory(), host=LOOPBACK, bootstrap=[address], ephemeral=not holds
            ) as dialling,
        ):
            await listening.listen(hold)
            if holding(dialling) != holds:
                continue
            networks += 1
            for number in range(CONNECTS + FEW):
                await asyncio.sleep(PAUSE)
                marks.clear()
                before = started = process_time()
                stream = await dialling.connect(listening.public_key)
                marks.append(("done", process_time()))
                stream.close()
                if number < FEW:
                    continue
                for moment, at in marks:
                    steps[moment].append(1e6 * (at - before))
                    before = at
                steps["all"].append(1e6 * (before - started))
    return steps


def holding(node: Node) -> bool:
    """Tell whether a node holds anybody's record."""
    dht = node._running().network.dht  # noqa: SLF001 - who holds what is nobody else's affair
    assert dht is not None, "a node has one unless it is given another discovery"
    return dht.counters["records held"] > 0


async def follows() -> list[float]:
    """Return the microseconds from following a feed of a stranger to its first block."""
    spent = []
    async with network(DHT_NODES) as address:
        source = Store.memory()
        feed = source.feed("feed")
        feed.append(b"block")
        async with Node(source, host=LOOPBACK, bootstrap=[address]) as serving:
            await serving.share(feed)
            for _ in range(FEW + CONNECTS // NETWORKS):
                node = Node(Store.memory(), host=LOOPBACK, bootstrap=[address], ephemeral=True)
                async with node:
                    await asyncio.sleep(PAUSE)
                    started = process_time()
                    remote = await node.follow(feed.key)
                    await remote.get(0)
                    spent.append(1e6 * (process_time() - started))
    return spent[FEW:]


def main() -> None:
    """Print a table for people and ADRs."""
    marks: Marks = []
    stamp(marks, reach.Reach, "connect", "record found")
    stamp(marks, dial, "connect_tcp", "connecting")
    stamp(marks, Reception, "arrived", "arrived")
    stamp(marks, reach, "open_stream", "handshake begun")
    stamp(marks, Handshake, "accept", "identified")
    stamp_end(marks, reach, "open_stream", "established")
    asks = asyncio.run(connects(marks, holds=False))
    holds = asyncio.run(connects(marks, holds=True))
    print("| us, median | asks others | holds the record |\n|---|---|---|")
    for moment, step in [*STEPS.items(), ("all", "all")]:
        print(f"| {step} | {median(asks[moment]):.0f} | {median(holds[moment]):.0f} |")
    print(f"| follow a feed to its first block | {median(asyncio.run(follows())):.0f} | |")


if __name__ == "__main__":
    main()
