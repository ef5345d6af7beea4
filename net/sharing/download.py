"""A download: many blocks that are wanted at once, until the last is here.

    await download(fetcher, range(1000), progress)

Invariant: however it ends, nothing of it is wanted afterwards; what has come is kept.
Must not know peers, or who has which of the blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from net.replicate.spans import Span
from net.replicate.wants import Want
from net.sharing.fetcher import Fetcher

Progress = Callable[[int, int], None]
"""Called with how many blocks of how many are here."""


async def download(
    fetcher: Fetcher, blocks: Iterable[int] | None, progress: Progress | None
) -> None:
    """Bring blocks here: all that the feed has now, or those given.

    Raises `IndexError` for one past the end as the peers know it, `ValueError` for a negative.
    """
    feed, core = fetcher.feed, fetcher.core
    if blocks is None:
        await fetcher.update()
        blocks = range(feed.length)
    spans = spans_of(blocks)
    if spans and spans[-1][1] > feed.length:
        await fetcher.update()
        if spans[-1][1] > feed.length:
            raise IndexError(
                f"block {spans[-1][1] - 1} is past the end: the feed has {feed.length} blocks"
            )
    want = core.wants.add(spans)
    try:
        for start, stop in core.standing.held:
            want.missing.remove(start, stop)
            core.wants.bulk.remove(start, stop)
        fetcher.pursue()
        await _finish(fetcher, want, progress)
    finally:
        core.wants.drop(want)


async def _finish(fetcher: Fetcher, want: Want, progress: Progress | None) -> None:
    while True:
        fetcher.check()
        if progress is not None:
            progress(want.done, want.total)
        if want.finished:
            return
        await fetcher.waiting.for_change()


def spans_of(blocks: Iterable[int]) -> list[Span]:
    """Return ascending spans of block indexes; a range of step 1 is one."""
    if isinstance(blocks, range) and blocks.step == 1:
        return [(blocks.start, blocks.stop)] if blocks else []
    spans: list[Span] = []
    for index in sorted(set(blocks)):
        if index < 0:
            raise ValueError(f"block {index} to download: negative indexes name no block")
        if spans and spans[-1][1] == index:
            spans[-1] = (spans[-1][0], index + 1)
        else:
            spans.append((index, index + 1))
    return spans
