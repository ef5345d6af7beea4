"""Iterating over a feed as it grows, without a clock.

The caller brings the waiting: a sleep, an event, a condition. So the same loop serves
a script that polls and a test that never sleeps. See `Feed.follow`.

Knows batches of blocks and the fork they are from. Must not know time or storage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

Batch = tuple[int | None, list[bytes]]
"""The fork that a feed is in, None before its first head, and the blocks from a place on."""


def follow(read: Callable[[int], Batch], start: int, wait: Callable[[], object]) -> Iterator[bytes]:
    """Yield what `read` gives from `start` on, until `wait` is true or the fork is another."""
    at, first = start, None
    while True:
        fork, blocks = read(at)
        first = fork if first is None else first
        if fork != first:
            return
        yield from blocks
        at += len(blocks)
        if not blocks and wait():
            return
