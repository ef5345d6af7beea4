"""How fast is a feed downloaded over a link with delay and loss?

Two amounts, many small blocks and few large ones, over links of four round trips, without loss
and with one packet in a hundred lost each way. Each end runs in a process and a network namespace
of its own, joined by `benchmarks/link.py`. The peers are asked over the same link, over their own
UDP transport and over TCP. What the link gives is shown by plain TCP that sends as many bytes
without any protocol, and by rsync, where it is installed, that copies a file as large.

Nobody gets more than LIMIT seconds: whoever is not done by then is stopped, and his figure is what
he brought in that time, marked as such. `benchmarks/pictures.py` draws the curves.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.harness import Bench, figure_of, node_command
from benchmarks.link import FAR_ADDRESS, NEAR_ADDRESS, Link, why_not
from benchmarks.nodes import across, serve
from benchmarks.report import Answer, Figure, Times
from feedlog import Store

ROUND_TRIP = 50.0
"""Milliseconds of the link on which we have a target; half of them each way."""
ROUND_TRIPS = (0.0, 20.0, ROUND_TRIP, 200.0)
LOSSES = (0.0, 1.0)
"""Packets lost of a hundred, each way."""

SMALL = (10_000, 1 << 10)
LARGE = (1526, 64 << 10)
"""Blocks and their size: 10 MB and 100 MB."""

LIMIT = 5.0
"""Seconds for one transfer."""

FLOOR_PORT = 4976

UNIT = "MB/s"


def result(peer: str, transferred: int, begun: float, whole: int) -> dict[str, object]:
    """What a process at the near end says: its rate, and whether it was stopped."""
    rate = transferred / (perf_counter() - begun) / 1e6
    stopped = {} if transferred >= whole else {"stopped": LIMIT}
    return {"peer": peer, "version": "", "unit": UNIT, "runs": [rate], **stopped}


def serve_feed(count: int, size: int) -> None:
    """Fill a feed and serve it until killed."""
    with tempfile.TemporaryDirectory() as path, Store(path, durability="relaxed") as store:
        feed = store.feed("delayed")
        feed.extend(i.to_bytes(4, "little") * (size // 4) for i in range(count))
        asyncio.run(serve(feed, store))


async def clone(told: str, count: int, size: int) -> dict[str, object]:
    """Download the feed that is served across the link."""
    brought = 0

    def progress(done: int, _: int) -> None:
        nonlocal brought
        brought = done

    with tempfile.TemporaryDirectory() as path, Store(path, durability="relaxed") as store:
        async with across(told, store) as remote:
            start = perf_counter()
            try:
                async with asyncio.timeout(LIMIT):
                    await remote.download(range(count), timeout=None, progress=progress)
            except TimeoutError:
                return result("feedlog", brought * size, start, count * size)
            return result("feedlog", count * size, start, count * size)


def send(count: int, size: int) -> None:
    """Send as many bytes as the blocks have to everyone who connects, without any protocol."""
    listener = socket.create_server((FAR_ADDRESS, FLOOR_PORT))
    print(json.dumps({"key": ""}), flush=True)
    while True:
        connection = listener.accept()[0]
        try:
            connection.sendall(bytes(count * size))
        except OSError:
            continue  # the reader has had enough
        finally:
            connection.close()


def receive(count: int, size: int) -> dict[str, object]:
    """Read what `send` sends."""
    whole = count * size
    with socket.create_connection((FAR_ADDRESS, FLOOR_PORT)) as connection:
        start = perf_counter()
        read = 0
        while read < whole and perf_counter() < start + LIMIT:
            connection.settimeout(max(0.01, start + LIMIT - perf_counter()))
            try:
                read += len(connection.recv(1 << 20))
            except TimeoutError:
                break
        return result("plain TCP", read, start, whole)


def share_file(count: int, size: int) -> None:
    """Let a file as large as the blocks be copied by rsync until killed."""
    path = Path(tempfile.mkdtemp())
    (path / "file").write_bytes(os.urandom(count * size))
    (path / "conf").write_text(f"use chroot = no\nuid = 0\n[feed]\npath = {path}\n")
    print(json.dumps({"key": ""}), flush=True)
    command = ["rsync", "--daemon", "--no-detach", f"--config={path}/conf"]
    os.execvp("rsync", [*command, f"--port={FLOOR_PORT}", f"--address={FAR_ADDRESS}"])


def copy_file(count: int, size: int) -> dict[str, object]:
    """Copy the file that is shared across the link; connecting counts, waiting for it does not."""
    while True:
        try:
            socket.create_connection((FAR_ADDRESS, FLOOR_PORT)).close()
        except ConnectionRefusedError:
            continue
        break
    with tempfile.TemporaryDirectory() as name:
        source = f"rsync://{FAR_ADDRESS}:{FLOOR_PORT}/feed/file"
        start = perf_counter()
        quiet = subprocess.DEVNULL  # it says at length that it was killed
        command = ["rsync", "--whole-file", "--inplace", source, name]
        with subprocess.Popen(command, stderr=quiet) as copying:
            try:
                copying.wait(LIMIT)
            except subprocess.TimeoutExpired:
                copying.kill()
            copied = Path(name, "file")
            brought = copied.stat().st_size if copied.exists() else 0
            return result("rsync", brought, start, count * size)


def python(link: Link, amount: tuple[int, int], far: str, near: str) -> Figure:
    """The figure of two roles of this file across a link that is up."""
    command = [sys.executable, "-m", "benchmarks.delayed_link"]
    sizes = [str(number) for number in amount]
    near_command = [*command, near, *sizes]
    return figure_of(link.ask([*command, far, *sizes], lambda key: [*near_command, key]))


def theirs(link: Link, amount: tuple[int, int], wire: str) -> Figure:
    """What hypercore reaches across the same link."""
    count, size = amount
    same = {"peer": "hypercore-11", "wire": wire, "count": count, "size": size, "limit": LIMIT}
    figure = figure_of(
        link.ask(
            node_command("link_feed.js", {**same, "role": "serve", "host": NEAR_ADDRESS}),
            lambda key: node_command(
                "link_feed.js", {**same, "role": "clone", "host": FAR_ADDRESS, "key": key}
            ),
        )
    )
    return Figure(f"{figure.who} ({wire})", figure.unit, figure.runs, figure.version, figure.facts)


def run(bench: Bench) -> Iterator[Answer]:
    """Download both amounts over every link."""
    if (reason := why_not()) is not None:
        print(f"delayed_link: not asked: {reason}", file=sys.stderr)
        return
    amounts = ((500, 1 << 10), (32, 64 << 10)) if bench.quick else (SMALL, LARGE)
    links = (
        [(ROUND_TRIP, 0.0)] if bench.quick else [(r, loss) for loss in LOSSES for r in ROUND_TRIPS]
    )
    for round_trip, loss in links:
        for amount in amounts:
            with Link(delay_ms=round_trip / 2, loss_percent=loss) as link:
                yield ask(bench, link, amount, round_trip, loss)


def ask(
    bench: Bench, link: Link, amount: tuple[int, int], round_trip: float, loss: float
) -> Answer:
    """Have everyone bring one amount over one link."""
    count, size = amount
    ours = python(link, amount, "serve", "clone")
    facts = {"rtt": round_trip, "loss": loss, "size": size, **ours.facts}
    floors = [python(link, amount, "send", "receive")]
    if shutil.which("rsync"):
        floors.append(python(link, amount, "share", "copy"))
    peers = [theirs(link, amount, wire) for wire in ("udx", "tcp")] if bench.has_peers else []
    work = f"{count:,} blocks of {size >> 10} KiB, {round_trip:g} ms RTT, {loss:g} % loss"
    print(f"  {work}: {ours.median:.3g} {UNIT}", file=sys.stderr, flush=True)
    return Answer(
        work,
        Figure("feedlog", UNIT, ours.runs, facts=facts),
        (*peers, *floors),
        (Times(20.0, "hypercore-11 (udx)"),)
        if (amount, round_trip, loss) == (SMALL, ROUND_TRIP, 0.0)
        else (),
    )


def play(role: str, count: int, size: int, told: str = "") -> None:
    """Be one of the processes at the ends of the link."""
    match role:
        case "serve":
            serve_feed(count, size)
        case "send":
            send(count, size)
        case "share":
            share_file(count, size)
        case "clone":
            print(json.dumps(asyncio.run(clone(told, count, size))))
        case "receive":
            print(json.dumps(receive(count, size)))
        case "copy":
            print(json.dumps(copy_file(count, size)))


if __name__ == "__main__":
    play(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
