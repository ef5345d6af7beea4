"""Which blocks a user means: `7`, `10:20`, `5:`, `-3:`, as Python writes slices."""

from __future__ import annotations

import re

from feedlog_cli.errors import UsageError

_BOUND = r"-?\d{1,15}"
"""Fifteen digits are more than any feed's length has; longer numbers are typing errors."""

_NUMBER = re.compile(rf"{_BOUND}\Z", re.ASCII)
_RANGE = re.compile(rf"({_BOUND})?:({_BOUND})?\Z", re.ASCII)


def parse_range(text: str, length: int) -> range:
    """Return the blocks that the text names in a feed of `length` blocks.

    A single number must be a block of the feed (`IndexError`); a range is cut to what there is,
    as slices are. Raises `UsageError` for other text.
    """
    if match := _RANGE.match(text):
        start, stop = (int(part) if part else None for part in match.groups())
        return range(*slice(start, stop).indices(length))
    if not _NUMBER.match(text):
        raise UsageError(f"blocks are written as 7, 10:20, 5: or -3:, not {text[:60]!r}")
    index = int(text)
    at = index + length if index < 0 else index
    if not 0 <= at < length:
        raise IndexError(f"block {index} is past the end: the feed has {length} blocks")
    return range(at, at + 1)
