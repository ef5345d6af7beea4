"""How many bytes a second does one stream through a hole carry, before and after it moves to TCP?

Two nodes with a link of delay and loss between them, and at each end a firewall that lets in only
what belongs to a flow from inside: so they are introduced, punch, and speak QUIC; then the stream
moves to TCP that both have opened at once, with one congestion controller of the system's or
another. Beside it the peers' own UDP transport, bare and without a firewall. Counting begins
`SETTLE` seconds after the stream is where it shall be.

    python -m benchmarks.delayed_punched
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

from benchmarks.harness import node_command, why_no_peers
from benchmarks.link import FAR_ADDRESS, NEAR_ADDRESS, Link, why_not
from feedlog import Store
from net import Node, SecureStream
from net.carriers.medium import Medium

ROUND_TRIP = 40.0
SETTLE = 4.0
MEASURE = 8.0
MEETING_PORT = 7000
NETWORK = "10.77.0.0/30"
CHUNK = bytes(64 << 10)
COMMAND = [sys.executable, "-m", "benchmarks.delayed_punched"]
LOSSES = (0.0, 0.1, 1.0)
CONTROLLERS = ("cubic", "bbr")
AVAILABLE = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")

FIREWALL = f"""
table ip filter {{{{
  chain input {{{{
    type filter hook input priority 0; policy accept;
    {{rule}}
    iifname "wan" ct state established,related accept
    iifname "wan" udp dport {MEETING_PORT} accept
    iifname "wan" drop
  }}}}
}}}}
"""
NO_TCP = 'iifname "wan" meta l4proto tcp drop'
"""The rule that keeps a stream on QUIC."""


async def send() -> None:
    """Send to whoever connects until killed; another node beside this one introduces."""

    async def handler(stream: SecureStream) -> None:
        while True:
            stream.write(CHUNK)
            await stream.drain()

    async with (
        Node(Store.memory(), host=FAR_ADDRESS, port=MEETING_PORT) as meeting,
        behind_a_wall(FAR_ADDRESS, meeting.address) as node,
    ):
        await node.listen(handler)
        print(json.dumps({"key": f"{node.public_key.hex()} {meeting.address}"}), flush=True)
        await asyncio.Event().wait()


async def receive(way: str, told: str) -> dict[str, float]:
    """Return the MB/s that come over a way, and the seconds of processor for each 100 MB."""
    key, address = told.split()
    async with behind_a_wall(NEAR_ADDRESS, address) as node:
        stream = await node.connect(bytes.fromhex(key))
        while stream.medium is not Medium(f"punched {way}"):
            await stream.read(1 << 20)
        await read_for(stream, SETTLE)
        spent, start = process_time(), perf_counter()
        received = await read_for(stream, MEASURE)
        rate = received / (perf_counter() - start) / 1e6
        spent = process_time() - spent
        stream.abort()
    return {"rate": rate, "cost": spent / received * 1e8}


async def read_for(stream: SecureStream, seconds: float) -> int:
    end, received = perf_counter() + seconds, 0
    while perf_counter() < end:
        received += len(await stream.read(1 << 20))
    return received


def behind_a_wall(host: str, meeting: str) -> Node:
    """Return a node that the DHT does not count on: its questions would open the firewall."""
    return Node(Store.memory(), host=host, bootstrap=[meeting], ephemeral=True)


def ours(loss: float, controller: str = "") -> str:
    """Return what comes over TCP with a congestion controller, or over QUIC without one."""
    way = "tcp" if controller else "quic"
    wall = FIREWALL.format(rule="" if controller else NO_TCP)
    with Link(delay_ms=ROUND_TRIP / 2, loss_percent=loss) as link:
        for namespace in (link.near, link.far):
            raising = link.inside(namespace, ["nft", "-f", "-"])
            subprocess.run(raising, input=wall, text=True, check=True)
            if controller:
                route = f"ip route change {NETWORK} dev wan congctl {controller}"
                subprocess.run(link.inside(namespace, route.split()), check=True)
        answer = link.ask([*COMMAND, "send"], partial(command_to_receive, way))
    return f"{way} {controller} {answer['rate']:.1f} ({answer['cost']:.1f})"


def command_to_receive(way: str, told: str) -> list[str]:
    """Return the command line of the end that reads."""
    return [*COMMAND, "receive", way, told]


def theirs(loss: float) -> str:
    same = {"wire": "udx", "settle": SETTLE, "measure": MEASURE}
    serve = node_command("link_stream.js", {**same, "role": "serve", "host": NEAR_ADDRESS})
    ask = node_command("link_stream.js", {**same, "role": "receive", "host": FAR_ADDRESS})
    with Link(delay_ms=ROUND_TRIP / 2, loss_percent=loss) as link:
        return f"{link.ask(serve, lambda _: ask)['runs'][0]:.1f}"


def ask() -> None:
    """Print a line for each loss."""
    if (reason := why_not()) is None and shutil.which("nft") is None:
        reason = "a firewall needs the `nft` command (nftables)"
    if reason is not None:
        sys.exit(f"delayed_punched: not asked: {reason}")
    missing = why_no_peers()
    controllers = [name for name in CONTROLLERS if name in AVAILABLE.read_text().split()]
    print("loss %, MB/s (seconds of the reader's processor for 100 MB)", flush=True)
    for loss in LOSSES:
        row = [ours(loss, controller) for controller in ("", *controllers)]
        peers = missing or f"udx-native {theirs(loss)}"
        print(f"{loss:4g}", *row, peers, sep=" | ", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        asyncio.run(send())
    elif sys.argv[1:2] == ["receive"]:
        print(json.dumps(asyncio.run(receive(*sys.argv[2:4]))))
    else:
        ask()
