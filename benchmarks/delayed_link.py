"""How fast are remote blocks read over a link with delay?

Each end runs in a process and a network namespace of its own, joined by `benchmarks/link.py`; the
peers are asked over the same link, over their own UDP transport and over TCP. Plain TCP that sends
as many bytes without any protocol shows what the link gives.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import tempfile
from collections.abc import Iterator
from time import perf_counter

from benchmarks.harness import Bench, figure_of, node_command
from benchmarks.link import FAR_ADDRESS, NEAR_ADDRESS, Link, why_not
from benchmarks.nodes import across, serve
from benchmarks.report import Answer, Figure, Times
from feedlog import Store

ROUND_TRIP = 50.0
"""Milliseconds; half of them each way."""

SIZE = 1024

FLOOR_PORT = 4976


def serve_feed(count: int) -> None:
    """Fill a feed and serve it until killed."""
    with tempfile.TemporaryDirectory() as path, Store(path, durability="relaxed") as store:
        feed = store.feed("delayed")
        feed.extend(i.to_bytes(4, "little") * (SIZE // 4) for i in range(count))
        asyncio.run(serve(feed, store))


async def clone(told: str, count: int) -> dict[str, object]:
    """Download the feed that is served across the link."""
    with tempfile.TemporaryDirectory() as path, Store(path, durability="relaxed") as store:
        async with across(told, store) as remote:
            start = perf_counter()
            await remote.download(range(count), timeout=None)
            rate = count / (perf_counter() - start)
    return {"peer": "feedlog", "version": "", "unit": "blocks/s", "runs": [rate]}


def python(link: Link, count: int, far: str, near: str) -> Figure:
    """The figure of two roles of this file across a link that is up."""
    command = [sys.executable, "-m", "benchmarks.delayed_link"]
    near_command = [*command, near, str(count)]
    return figure_of(link.ask([*command, far, str(count)], lambda key: [*near_command, key]))


def send(count: int) -> None:
    """Send as many bytes as the blocks have to everyone who connects, without any protocol."""
    listener = socket.create_server((FAR_ADDRESS, FLOOR_PORT))
    print(json.dumps({"key": ""}), flush=True)
    while True:
        connection = listener.accept()[0]
        connection.sendall(bytes(count * SIZE))
        connection.close()


def receive(count: int) -> dict[str, object]:
    """Read what `send` sends."""
    with socket.create_connection((FAR_ADDRESS, FLOOR_PORT)) as connection:
        start = perf_counter()
        left = count * SIZE
        while left > 0:
            left -= len(connection.recv(1 << 20))
        rate = count / (perf_counter() - start)
    return {"peer": "plain TCP", "version": "", "unit": "blocks/s", "runs": [rate]}


def theirs(link: Link, count: int, wire: str) -> Figure:
    """What hypercore reaches across the same link."""
    same = {"peer": "hypercore-11", "wire": wire, "count": count, "size": SIZE}
    figure = figure_of(
        link.ask(
            node_command("link_feed.js", {**same, "role": "serve", "host": NEAR_ADDRESS}),
            lambda key: node_command(
                "link_feed.js", {**same, "role": "clone", "host": FAR_ADDRESS, "key": key}
            ),
        )
    )
    return Figure(f"{figure.who} ({wire})", figure.unit, figure.runs, figure.version)


def run(bench: Bench) -> Iterator[Answer]:
    """Clone 10,000 blocks of 1 KiB over links of several round trips and losses."""
    if (reason := why_not()) is not None:
        print(f"delayed_link: not asked: {reason}", file=sys.stderr)
        return
    count = bench.size(10_000, 500)
    cases = [(ROUND_TRIP, 0.0)]
    if not bench.quick:
        cases += [(0.0, 0.0), (20.0, 0.0), (200.0, 0.0), (20.0, 1.0), (ROUND_TRIP, 1.0)]
    for round_trip, loss in cases:
        with Link(delay_ms=round_trip / 2, loss_percent=loss) as link:
            runs = [python(link, count, "serve", "clone").median for _ in range(bench.repeat)]
            floor = python(link, count, "send", "receive")
            peers = (
                tuple(theirs(link, count, wire) for wire in ("udx", "tcp"))
                if bench.has_peers
                else ()
            )
        target = (Times(20.0, "hypercore-11 (udx)"),) if (round_trip, loss) == cases[0] else ()
        yield Answer(
            f"{count} remote blocks of 1 KiB, {round_trip:g} ms RTT, {loss:g} % loss",
            Figure("feedlog", "blocks/s", tuple(runs), facts={"rtt": round_trip, "loss": loss}),
            (*peers, floor),
            target,
        )


def play(role: str, count: int, told: str = "") -> None:
    """Be one of the processes at the ends of the link."""
    match role:
        case "serve":
            serve_feed(count)
        case "send":
            send(count)
        case "clone":
            print(json.dumps(asyncio.run(clone(told, count))))
        case "receive":
            print(json.dumps(receive(count)))


if __name__ == "__main__":
    play(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
