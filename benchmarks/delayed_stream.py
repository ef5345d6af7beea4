"""How many bytes a second does one encrypted stream carry over a link with delay and loss?

Ours goes over the carrier that two nodes choose on such a link, TCP; beside it the peers' own UDP
transport, bare, and TCP, bare. Counting begins after `SETTLE` seconds: the question is what rate a
long transfer reaches, not how fast it starts; `delayed_link` asks that.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from time import perf_counter

from benchmarks.harness import Bench, figure_of, node_command
from benchmarks.link import FAR_ADDRESS, NEAR_ADDRESS, Link, why_not
from benchmarks.report import Answer, Figure, Times
from feedlog import Store
from net import Node, SecureStream

ROUND_TRIP = 40.0
SETTLE = 2.0
CHUNK = bytes(64 << 10)


async def send() -> None:
    """Send to whoever connects until killed."""

    async def handler(stream: SecureStream) -> None:
        while True:
            stream.write(CHUNK)
            await stream.drain()

    async with Node(Store.memory(), host=FAR_ADDRESS) as node:
        await node.listen(handler)
        print(json.dumps({"key": f"{node.public_key.hex()} {node.address}"}), flush=True)
        await asyncio.Event().wait()


async def receive(told: str, measure: float) -> dict[str, object]:
    """Read for `measure` seconds once the transfer has settled."""
    key, address = told.split()
    async with Node(Store.memory(), host=NEAR_ADDRESS, bootstrap=[address]) as node:
        stream = await node.connect(bytes.fromhex(key))
        settled = perf_counter() + SETTLE
        while perf_counter() < settled:
            await stream.read(1 << 20)
        start = perf_counter()
        received = 0
        while perf_counter() < start + measure:
            received += len(await stream.read(1 << 20))
        rate = received / (perf_counter() - start) / 1e6
        stream.close()
    return {"peer": "feedlog", "version": "", "unit": "MB/s", "runs": [rate]}


def theirs(link: Link, wire: str, measure: float) -> Figure:
    """What a bare stream of the peers reaches across the same link."""
    same = {"wire": wire, "settle": SETTLE, "measure": measure}
    figure = figure_of(
        link.ask(
            node_command("link_stream.js", {**same, "role": "serve", "host": NEAR_ADDRESS}),
            lambda _: node_command(
                "link_stream.js", {**same, "role": "receive", "host": FAR_ADDRESS}
            ),
        )
    )
    if wire == "tcp":
        return Figure("bare TCP", figure.unit, figure.runs)
    return figure


def run(bench: Bench) -> Iterator[Answer]:
    """Receive for six seconds, without loss and with one packet of a hundred lost each way."""
    if (reason := why_not()) is not None:
        print(f"delayed_stream: not asked: {reason}", file=sys.stderr)
        return
    measure = 0.5 if bench.quick else 6.0
    command = [sys.executable, "-m", "benchmarks.delayed_stream"]
    for loss in (0.0,) if bench.quick else (0.0, 1.0):
        with Link(delay_ms=ROUND_TRIP / 2, loss_percent=loss) as link:
            figure = figure_of(
                link.ask([*command, "send"], lambda key: [*command, "receive", key, str(measure)])
            )
            wires = ("udx", "tcp") if bench.has_peers else ()
            peers = tuple(theirs(link, wire, measure) for wire in wires)
        yield Answer(
            f"one stream, {ROUND_TRIP:g} ms RTT, {loss:g} % loss",
            figure,
            peers,
            (Times(0.5, "udx-native"),),
        )


if __name__ == "__main__":
    if sys.argv[1] == "send":
        asyncio.run(send())
    else:
        print(json.dumps(asyncio.run(receive(sys.argv[2], float(sys.argv[3])))))
