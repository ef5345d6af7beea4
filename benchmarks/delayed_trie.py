"""How many round trips does a lookup in a remote trie take, over a link with delay?

The reader is connected and up to date, and has nothing of the trie but what its lookups before
brought. In milliseconds on a link of 50 ms there and back, so that one round trip reads as 50.
hypertrie has its own extension for this on; its streams go over TCP.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from statistics import median
from time import perf_counter

from benchmarks.delayed_link import ROUND_TRIP
from benchmarks.harness import Bench, figure_of, node_command
from benchmarks.link import FAR_ADDRESS, NEAR_ADDRESS, Link, why_not
from benchmarks.nodes import across, serve
from benchmarks.report import Answer, Figure, Limit
from benchmarks.trie_put import entries
from feedlog import Store
from feedlog_cli.remote_trie import RemoteTrie
from trie import Trie

ALLOWANCE = 10.0
"""Milliseconds for the work on both sides: a second round trip would take 50."""

GETS = 20


def serve_trie(count: int) -> None:
    """Fill a trie and serve it until killed."""
    with tempfile.TemporaryDirectory() as path, Store(path, durability="relaxed") as store:
        feed = store.feed("delayed")
        with Trie(feed).batch() as batch:
            for key, value in entries(count):
                batch[key] = value
        asyncio.run(serve(feed, store))


async def lookups(told: str, count: int) -> dict[str, object]:
    """Look up keys that lie apart, one after another."""
    given = entries(count)
    spent = []
    with tempfile.TemporaryDirectory() as path, Store(path, durability="relaxed") as store:
        async with across(told, store) as remote:
            trie = RemoteTrie(remote)
            await trie.get(given[-1][0])
            for turn in range(GETS):
                key, value = given[turn * 7919 % count]
                start = perf_counter()
                found = await trie.get(key)
                spent.append((perf_counter() - start) * 1000)
                assert found == value
    return {"peer": "feedlog", "version": "", "unit": "ms", "runs": [median(spent)]}


def run(bench: Bench) -> Iterator[Answer]:
    """Look up twenty of 10,000 keys."""
    if (reason := why_not()) is not None:
        print(f"delayed_trie: not asked: {reason}", file=sys.stderr)
        return
    count = bench.size(10_000, 1000)
    python = [sys.executable, "-m", "benchmarks.delayed_trie"]
    same = {"count": count, "gets": GETS}
    with Link(delay_ms=ROUND_TRIP / 2) as link:
        figure = figure_of(
            link.ask([*python, "serve", str(count)], lambda key: [*python, "get", str(count), key])
        )
        peers: tuple[Figure, ...] = ()
        if bench.has_peers:
            serve_command = node_command(
                "link_trie.js", {**same, "role": "serve", "host": NEAR_ADDRESS}
            )
            line = link.ask(
                serve_command,
                lambda key: node_command(
                    "link_trie.js", {**same, "role": "get", "host": FAR_ADDRESS, "key": key}
                ),
            )
            peers = (figure_of(line),)
    yield Answer(
        f"remote trie get, {ROUND_TRIP:g} ms RTT",
        figure,
        peers,
        (Limit(ROUND_TRIP + ALLOWANCE, "ms"),),
        lower_is_better=True,
    )


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve_trie(int(sys.argv[2]))
    else:
        print(json.dumps(asyncio.run(lookups(sys.argv[3], int(sys.argv[2])))))
