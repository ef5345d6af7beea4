"""What to ask one peer for, cut out of what is wanted.

    free_spans(wanted, have, busy, base)    the blocks that it offers and nobody owes
    cut(free, limit)                        chunks of them
    first_chunk(free, limit)                the first of these

Invariant: chunks are disjoint, have at most `limit` blocks and `CHUNK_SPANS` spans each, and
hold together every block that went in, in its order.
Must not know peers or urgency. Pure integers.
"""

from __future__ import annotations

from collections.abc import Iterator

from net.replicate.spans import Span, Spans

CHUNK_SPANS = 256
"""Spans of one request."""
MAX_HOLES = 1024
"""Holes of an offer that are looked behind: it may have every other block, and a peer says so in
few bytes, again and again."""


def free_spans(wanted: Spans, have: Spans, busy: Spans, base: int) -> Iterator[Span]:
    """Yield what is wanted, on offer below `base`, and asked of nobody.

    Does not look far where an offer is all holes, and what it has between them is asked for.
    """
    holes = 0
    for start, stop in wanted:
        if start >= base:
            return
        for number, (low, high) in enumerate(have.within(start, min(stop, base))):
            yield from busy.gaps(low, high)
            holes += number > 0
            if holes == MAX_HOLES:
                return


def first_chunk(free: Iterator[Span], limit: int) -> list[Span]:
    """Return the first chunk of spans, empty where there are none."""
    return next(cut(free, limit), [])


def cut(free: Iterator[Span], limit: int) -> Iterator[list[Span]]:
    """Cut spans into chunks of `limit` blocks, at multiples of it where a span is longer.

    So the chunks of a long span are whole subtrees, which take the fewest hashes.
    """
    chunk: list[Span] = []
    room = limit
    for first, stop in free:
        start = first
        while start < stop:
            end = min(stop, start + room)
            if not chunk and end < stop:
                end -= end % limit if end % limit < end - start else 0
            chunk.append((start, end))
            room -= end - start
            start = end
            if room <= 0 or len(chunk) == CHUNK_SPANS or (start < stop):
                yield chunk
                chunk, room = [], limit
    if chunk:
        yield chunk
