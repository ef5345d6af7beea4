"""What this node wants of a feed, by urgency.

    BLOCKED   somebody waits for exactly this block: asked for at once, outside of windows
    AHEAD     a reader will want it next
    BULK      a download

Invariant: a block leaves every want when it has arrived, and a want without missing
blocks is finished. Must not know peers, or whom to ask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from net.replicate.spans import Span, Spans


class Want:
    """A set of blocks that somebody wants, and what is missing of it."""

    def __init__(self, spans: Iterable[Span], *, ahead: bool) -> None:
        self.spans = Spans(spans)
        """Everything that was wanted."""
        self.missing = self.spans.copy()
        self.ahead = ahead

    def __repr__(self) -> str:
        return f"<Want {self.done} of {self.total}>"

    @property
    def total(self) -> int:
        """How many blocks were wanted."""
        return len(self.spans)

    @property
    def done(self) -> int:
        """How many of them are held."""
        return self.total - len(self.missing)

    @property
    def finished(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


class Wants:
    """All that is wanted of one feed."""

    def __init__(self) -> None:
        self.blocked = Spans()
        self.ahead = Spans()
        self.bulk = Spans()
        self._waiting: Counter[int] = Counter()
        self._wants: list[Want] = []

    def __bool__(self) -> bool:
        return bool(self.blocked or self.ahead or self.bulk)

    @property
    def layers(self) -> tuple[Spans, Spans]:
        """What is not urgent, the more pressing first."""
        return self.ahead, self.bulk

    def block(self, index: int) -> None:
        """Note that somebody waits for a block; as often as it is called."""
        self._waiting[index] += 1
        self.blocked.add(index, index + 1)

    def unblock(self, index: int) -> None:
        """Note that one of them waits no more."""
        self._waiting[index] -= 1
        if self._waiting[index] <= 0:
            del self._waiting[index]
            self.blocked.remove(index, index + 1)

    def add(self, spans: Iterable[Span], *, ahead: bool = False) -> Want:
        """Want many blocks."""
        want = Want(spans, ahead=ahead)
        self._wants.append(want)
        (self.ahead if ahead else self.bulk).update(want.missing)
        return want

    def drop(self, want: Want) -> None:
        """Want them no more; what another want has in common with it stays wanted."""
        if want in self._wants:
            self._wants.remove(want)
            layer = self.ahead if want.ahead else self.bulk
            layer.subtract(want.missing)
            for other in self._wants:
                if other.ahead == want.ahead:
                    layer.update(other.missing)

    def arrived(self, start: int, stop: int) -> None:
        """Note that [start, stop) is held now."""
        self.blocked.remove(start, stop)
        if not self._wants:
            return
        self.ahead.remove(start, stop)
        self.bulk.remove(start, stop)
        for want in self._wants:
            want.missing.remove(start, stop)

    def lost(self, start: int, stop: int) -> None:
        """Note that [start, stop) is not held any more: the feed has forked or was cleared."""
        for want in self._wants:
            again = list(want.spans.within(start, stop))
            want.missing.update(again)
            (self.ahead if want.ahead else self.bulk).update(again)
        for index in self._waiting:
            if start <= index < stop:
                self.blocked.add(index, index + 1)
