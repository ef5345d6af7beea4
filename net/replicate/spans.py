"""A set of block indexes that changes, as sorted half-open spans.

What is wanted, asked for and offered is nearly always a few long runs, also for a feed
of a billion blocks, so every operation costs a bisection and a splice.

Invariant: spans are disjoint, do not touch, and ascend. Pure integers.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Span = tuple[int, int]


class Spans:
    """A mutable set of block indexes."""

    __slots__ = ("_starts", "_stops")

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for start, stop in spans:
            self.add(start, stop)

    @classmethod
    def ascending(cls, spans: Iterable[Span]) -> Spans:
        """Make a set of spans that come in order and do not touch, which takes no search."""
        made = cls()
        pairs = tuple(spans)
        made._starts = [start for start, _ in pairs]
        made._stops = [stop for _, stop in pairs]
        return made

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __len__(self) -> int:
        return sum(self._stops) - sum(self._starts)

    def __iter__(self) -> Iterator[Span]:
        if len(self._starts) == 1:
            return iter(((self._starts[0], self._stops[0]),))
        return iter(list(zip(self._starts, self._stops, strict=True)))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Spans)
            and self._starts == other._starts
            and self._stops == other._stops
        )

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        shown = ", ".join(f"{start}:{stop}" for start, stop in list(self)[:8])
        return f"Spans({shown}{', ...' if self.pieces > 8 else ''})"

    def __contains__(self, index: int) -> bool:
        at = bisect_right(self._starts, index)
        return at > 0 and self._stops[at - 1] > index

    @property
    def pieces(self) -> int:
        """How many spans it takes: what the set costs in memory."""
        return len(self._starts)

    @property
    def start(self) -> int:
        """The least index, 0 for the empty set."""
        return self._starts[0] if self._starts else 0

    @property
    def stop(self) -> int:
        """One past the greatest index, 0 for the empty set."""
        return self._stops[-1] if self._stops else 0

    def add(self, start: int, stop: int) -> None:
        """Add [start, stop)."""
        if start >= stop:
            return
        if not self._starts:
            self._starts.append(start)
            self._stops.append(stop)
            return
        low = bisect_left(self._stops, start)
        high = bisect_right(self._starts, stop)
        if low < high:
            start = min(start, self._starts[low])
            stop = max(stop, self._stops[high - 1])
        self._starts[low:high] = [start]
        self._stops[low:high] = [stop]

    def remove(self, start: int, stop: int) -> None:
        """Remove [start, stop)."""
        if start >= stop or not self._starts or start >= self._stops[-1]:
            return
        if start <= self._starts[0] and self._stops[-1] <= stop:
            self._starts.clear()
            self._stops.clear()
            return
        low = bisect_right(self._stops, start)
        high = bisect_left(self._starts, stop)
        if low >= high:
            return
        first, last = self._starts[low], self._stops[high - 1]
        starts, stops = [], []
        if first < start:
            starts.append(first)
            stops.append(start)
        if stop < last:
            starts.append(stop)
            stops.append(last)
        self._starts[low:high] = starts
        self._stops[low:high] = stops

    def update(self, spans: Iterable[Span]) -> None:
        """Add many spans."""
        for start, stop in spans:
            self.add(start, stop)

    def subtract(self, spans: Iterable[Span]) -> None:
        """Remove many spans."""
        for start, stop in spans:
            self.remove(start, stop)

    def limit(self, pieces: int) -> None:
        """Forget all spans but the first `pieces`."""
        del self._starts[pieces:], self._stops[pieces:]

    def covers(self, start: int, stop: int) -> bool:
        """Tell whether all of [start, stop) is in the set."""
        at = bisect_right(self._starts, start)
        return at > 0 and self._stops[at - 1] >= stop

    def within(self, start: int, stop: int) -> Iterator[Span]:
        """Yield the parts of the set that lie in [start, stop)."""
        at = bisect_right(self._stops, start)
        while at < len(self._starts) and self._starts[at] < stop:
            yield max(start, self._starts[at]), min(stop, self._stops[at])
            at += 1

    def gaps(self, start: int, stop: int) -> Iterator[Span]:
        """Yield the parts of [start, stop) that are not in the set."""
        at = start
        for low, high in self.within(start, stop):
            if at < low:
                yield at, low
            at = high
        if at < stop:
            yield at, stop

    def changes(self, other: Spans) -> Spans:
        """Return what is in one of two sets only; spans that both have cost next to nothing."""
        ours, theirs = set(self), set(other)
        changed = Spans()
        for start, stop in ours - theirs:
            changed.update(other.gaps(start, stop))
        for start, stop in theirs - ours:
            changed.update(self.gaps(start, stop))
        return changed

    def copy(self) -> Spans:
        """Return a set that changes on its own."""
        other = Spans()
        other._starts, other._stops = self._starts[:], self._stops[:]
        return other


def size(spans: Iterable[Span]) -> int:
    """Count the indexes of disjoint spans."""
    return sum(stop - start for start, stop in spans)
