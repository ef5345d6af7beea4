"""Sets of block indexes as sorted, disjoint, half-open ranges.

The form in which blocks are asked for, proven and counted: a clone of a million
blocks is one pair of numbers. Pure integers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """An immutable set of block indexes: `(start, stop)` pairs that neither touch nor overlap."""

    __slots__ = ("_starts", "pairs")

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        """Take any ranges in any order; empty ones vanish, touching ones merge."""
        merged: list[tuple[int, int]] = [pair for pair in pairs if pair[0] < pair[1]]
        if len(merged) > 1:
            merged = _merged(sorted(merged))
        self.pairs = tuple(merged)
        self._starts = [start for start, _ in merged]

    @classmethod
    def of(cls, indexes: Iterable[int]) -> Ranges:
        """Make the set of the given indexes; a `range` with step 1 costs one pair."""
        if isinstance(indexes, range) and indexes.step == 1:
            return cls([(indexes.start, indexes.stop)])
        return cls([(index, index + 1) for index in indexes])

    def __len__(self) -> int:
        """Count the indexes."""
        if len(self.pairs) == 1:
            ((start, stop),) = self.pairs
            return stop - start
        return sum(stop - start for start, stop in self.pairs)

    def __bool__(self) -> bool:
        """Tell whether any index is in the set."""
        return bool(self.pairs)

    def __iter__(self) -> Iterator[int]:
        """Yield the indexes in ascending order."""
        for start, stop in self.pairs:
            yield from range(start, stop)

    def __eq__(self, other: object) -> bool:
        """Compare as sets."""
        return isinstance(other, Ranges) and self.pairs == other.pairs

    def __hash__(self) -> int:
        """Hash as a set."""
        return hash(self.pairs)

    def __repr__(self) -> str:
        """Show the first ranges."""
        shown = ", ".join(f"{start}:{stop}" for start, stop in self.pairs[:8])
        return f"Ranges({shown}{', ...' if len(self.pairs) > 8 else ''})"

    def __contains__(self, index: int) -> bool:
        """Tell whether an index is in the set."""
        return self.touches(index, index + 1)

    def touches(self, start: int, stop: int) -> bool:
        """Tell whether any index of [start, stop) is in the set."""
        pairs = self.pairs
        if len(pairs) == 1:  # the usual set, asked at every node of a plan
            return start < pairs[0][1] and pairs[0][0] < stop
        at = bisect_right(self._starts, start)
        if at and pairs[at - 1][1] > start:
            return True
        return at < len(pairs) and pairs[at][0] < stop

    def covers(self, start: int, stop: int) -> bool:
        """Tell whether all indexes of [start, stop) are in the set."""
        at = bisect_right(self._starts, start)
        return bool(at) and self.pairs[at - 1][1] >= stop

    def minus(self, other: Ranges) -> Ranges:
        """Return the indexes that are in this set and not in the other."""
        result = []
        for start, stop in self.pairs:
            at = start
            first = max(bisect_right(other._starts, start) - 1, 0)
            for low, high in other.pairs[first:]:
                if low >= stop:
                    break
                if high > at:
                    result.append((at, low))
                    at = max(at, high)
            result.append((at, stop))
        return Ranges(result)

    def intersection(self, other: Ranges) -> Ranges:
        """Return the indexes that are in both sets."""
        return self.minus(self.minus(other))

    @property
    def stop(self) -> int:
        """One past the greatest index; 0 for the empty set."""
        return self.pairs[-1][1] if self.pairs else 0


def _merged(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in pairs:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged
