"""Does the DHT stay quick when nodes die? A hundred nodes in one process, on loopback.

Ours beside the stock lookups of the `kademlia` package, alive and with 30 % of the nodes killed.
`first` is the time to the first answer of a lookup, `whole` until nothing more is found. Topics are
announced while all are alive and looked for by random others. Stock lookups with dead nodes wait
out timeouts of 5 s in turn, so there are few of them: docs/adr/0004-kademlia.md.

Run by hand: `python -m benchmarks.dht_network` (about two minutes, ours alone `--ours`: seconds).
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import resource
import statistics
import sys
import time

from kademlia.network import Server  # type: ignore[import-untyped]  # it has no annotations

from feedlog import KeyPair
from net.carriers.udp import UdpSocket
from net.dht.node import DhtNode

NODES = 100
DEAD = 30
TOPICS = 40
STOCK_TOPICS = 3
HERE = [("127.0.0.1", 4000)]


def show(name: str, seconds: list[float], success: str = "") -> None:
    times = sorted(1000 * s for s in seconds)
    middle, worst = statistics.median(times), times[-1]
    print(f"| {name} | {middle:.1f} | {worst:.0f} | {success} |")


async def look(node: DhtNode, topic: bytes) -> tuple[float | None, float]:
    started, first = time.perf_counter(), None
    async for _ in node.lookup(topic):
        first = first or time.perf_counter() - started
    return first, time.perf_counter() - started


async def ours() -> None:
    nodes: list[tuple[DhtNode, UdpSocket]] = []
    joins = []
    for _ in range(NODES):
        udp = await UdpSocket.open("127.0.0.1")
        bootstrap = [nodes[0][0].address] if nodes else []
        node = DhtNode(KeyPair.generate(), udp, bootstrap=bootstrap)
        started = time.perf_counter()
        await node.start()
        joins.append(time.perf_counter() - started)
        nodes.append((node, udp))
    show("join", joins)
    random.shuffle(nodes)
    announcers = {os.urandom(20): random.choice(nodes[DEAD:])[0] for _ in range(TOPICS)}
    for phase in ("alive", f"{DEAD} % dead"):
        if phase != "alive":
            for node, udp in nodes[:DEAD]:
                await node.close()
                udp.close()
        live = [node for node, _ in nodes[DEAD:]]
        if phase == "alive":
            announces = []
            for topic, announcer in announcers.items():
                started = time.perf_counter()
                await announcer.announce(topic, HERE)
                announces.append(time.perf_counter() - started)
            show(f"announce, {phase}", announces)
        results = []
        for topic, announcer in announcers.items():
            reader = random.choice([node for node in live if node is not announcer])
            results.append(await look(reader, topic))
        found = [first for first, _ in results if first is not None]
        show(f"lookup, first, {phase}", found, f"{len(found)} of {TOPICS}")
        show(f"lookup, whole, {phase}", [whole for _, whole in results])
        if phase != "alive":
            announces = []
            for _ in range(TOPICS):
                started = time.perf_counter()
                await random.choice(live).announce(os.urandom(20), HERE)
                announces.append(time.perf_counter() - started)
            show(f"announce, {phase}", announces)
    for node, udp in nodes[DEAD:]:
        await node.close()
        udp.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{NODES} nodes in one process: {peak:.0f} MB at most\n")


async def stock() -> None:
    logging.disable(logging.CRITICAL)
    servers = []
    for _ in range(NODES):
        server = Server(ksize=20)
        await server.listen(0, "127.0.0.1")
        servers.append(server)
    ports = [server.transport.get_extra_info("sockname")[1] for server in servers]
    for server in servers[1:]:
        await server.bootstrap([("127.0.0.1", ports[0])])
    random.shuffle(servers)
    names = [f"topic {n}" for n in range(STOCK_TOPICS)]
    for phase in ("alive", f"{DEAD} % dead"):
        if phase != "alive":
            for server in servers[:DEAD]:
                server.stop()
        live = servers[DEAD:]
        stores, gets, found = [], [], 0
        for name in names:
            started = time.perf_counter()
            await random.choice(live).set(f"{name} {phase}", "127.0.0.1:4000")
            stores.append(time.perf_counter() - started)
        for name in names:
            started = time.perf_counter()
            found += await random.choice(live).get(f"{name} alive") is not None
            gets.append(time.perf_counter() - started)
        show(f"stock store, {phase}", stores)
        show(f"stock lookup, {phase}", gets, f"{found} of {STOCK_TOPICS}")
    for server in servers[DEAD:]:
        server.stop()


def main() -> None:
    print("| | median ms | worst ms | found |\n|---|---|---|---|")
    asyncio.run(ours())
    if "--ours" not in sys.argv:
        print("| | median ms | worst ms | found |\n|---|---|---|---|")
        asyncio.run(stock())


if __name__ == "__main__":
    main()
