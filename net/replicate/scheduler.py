"""What is asked of whom: the requests in flight, and the next ones.

Blocked blocks are asked for at once, at the peer that answers soonest, and again at
another when the answer is late. Read-ahead and downloads fill each peer's window, a
chunk a request, the rarest of the next chunks first. A block is in flight at one peer,
except where somebody waits and at the tail of a download, when a free peer doubles what
the slowest one still owes. A peer that does not answer loses its work to others.
Specified in docs/spec/replication.md, section 5.

Invariant: `busy` is what the requests in flight, but the late ones, still owe, and what
has come and is not verified yet.
Time comes in as `now`. Must not know messages, proofs or channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from net.replicate.chunks import CHUNK_SPANS, cut, first_chunk, free_spans
from net.replicate.link import Asked, Link
from net.replicate.spans import Span, Spans, size
from net.replicate.wants import Wants

URGENT_BLOCKS = 256
"""Blocks of one urgent request, and URGENT_REQUESTS of them in flight at a peer: what is
blocked does not wait for a window, so it has a limit of its own."""
URGENT_REQUESTS = 64
MAX_CHUNK_BLOCKS = 8192
RAREST_OF = 16
"""Next chunks among which the rarest goes first: further on, order is worth more."""
SCANNED_SPANS = 1024
"""Spans looked at to find what is rare: a peer may offer every other block."""
MAX_COPIES = 2
"""Peers that are asked for one block at a time."""
SILENT_AFTER = 30.0
"""Seconds without an answer after which a peer that owes one is let go."""
FIRST_REST = 0.05
LAST_REST = 10.0
"""Seconds that a peer is not asked for blocks after it refused some: doubling while it brings
none. One that refuses at once, what it offers still, would be asked before all others for ever."""
BLOCK_OVERHEAD = 32
"""Bytes that a block costs in a proof besides its data."""


class Scheduler:
    """The requests of one feed."""

    def __init__(self, wants: Wants) -> None:
        self.wants = wants
        self.links: list[Link] = []
        self.busy = Spans()
        self.depth = 0
        """The longest chain of requests each of which was sent after the last was answered."""
        self.block_size = 1024
        """Bytes that we expect of a block."""
        self._urgent_busy = Spans()
        self._landing = Spans()
        self._next_id = 0

    # Choosing.

    def next_requests(self, link: Link, now: float) -> Iterator[Asked]:
        """Yield what to ask of a peer now; each is in flight when it is yielded."""
        wants = self.wants
        while wants.blocked and link.usable and link.urgent < URGENT_REQUESTS:
            spans = self._urgent(link)
            if not spans:
                break
            yield self._ask(link, spans, now, urgent=True)
            if size(spans) < URGENT_BLOCKS:
                break  # these were all
        while (wants.ahead or wants.bulk) and link.usable and link.pace.room > 0:
            spans = self._chunk(link) or self._tail(link, now)
            if not spans:
                break
            yield self._ask(link, spans, now, urgent=False)

    def ask(self, link: Link, now: float, cost: int, spans: Iterable[Span] = ()) -> Asked:
        """Put a request of the caller's in flight: a head, a byte, a hint."""
        return self._ask(link, list(spans), now, urgent=True, extra=cost)

    def _ask(
        self, link: Link, spans: list[Span], now: float, *, urgent: bool, extra: int = 0
    ) -> Asked:
        self._next_id += 1
        count = spans[0][1] - spans[0][0] if len(spans) == 1 else size(spans)
        cost = extra + count * (self.block_size + BLOCK_OVERHEAD)
        asked = Asked(
            self._next_id,
            Spans(spans),
            urgent,
            cost,
            sent_at=now,
            delivered_then=link.pace.delivered,
            depth=self.depth + 1,
        )
        if not link.asked:
            link.heard_at = now
        link.asked[asked.id] = asked
        link.pace.asked(cost)
        self.busy.update(spans)
        if urgent:
            self._urgent_busy.update(spans)
        return asked

    def _urgent(self, link: Link) -> list[Span]:
        """Return blocks that somebody waits for and that are not about to come."""
        busy, blocked = self._urgent_busy, self.wants.blocked
        if busy != self.busy:
            busy = self._coming()
        if len(self.links) == 1 and not busy and blocked.stop - blocked.start == 1:
            # A reader of one block after another, the usual guest.
            index = blocked.start
            return [(index, index + 1)] if link.offers(index) else []
        free = free_spans(blocked, link.have, busy, link.base or 0)
        if len(self.links) == 1:
            return first_chunk(free, URGENT_BLOCKS)
        spans: list[Span] = []
        room = URGENT_BLOCKS
        for start, stop in free:
            for index in range(start, stop):
                if self._soonest(index) is not link:
                    continue
                spans.append((index, index + 1))
                room -= 1
                if not room:
                    return spans
        return spans

    def _coming(self) -> Spans:
        """Return what is in flight and would come no sooner if it were asked for again."""
        coming = self._urgent_busy.copy()
        for link in self.links:
            ahead = 0
            for asked in link.asked.values():
                if asked.late:
                    continue
                ahead += asked.cost
                if not asked.urgent and ahead <= link.pace.overtaken:
                    coming.update(asked.spans)
        return coming

    def _soonest(self, index: int) -> Link | None:
        """Return the peer that we expect to answer soonest for a block."""
        able = [link for link in self.links if link.usable and link.offers(index)]
        return min(able, key=_delay, default=None)

    def _chunk(self, link: Link) -> list[Span]:
        """Return the next chunk that nobody has been asked for."""
        limit = max(1, min(MAX_CHUNK_BLOCKS, link.pace.chunk // self.block_size))
        limit = 1 << limit.bit_length() - 1  # a subtree
        for layer in self.wants.layers:
            free = free_spans(layer, link.have, self.busy, link.base or 0)
            if len(self.links) > 1 and layer is self.wants.bulk:
                found = self._rarest(link, free, limit)
            else:
                found = first_chunk(free, limit)
            if found:
                return found
        return []

    def _rarest(self, link: Link, free: Iterator[Span], limit: int) -> list[Span]:
        """Return a chunk that only this peer has, or of the next ones the one that fewest have."""
        others = [other for other in self.links if other is not link and other.usable]
        near = list(islice(free, SCANNED_SPANS))
        alone = near if others else []
        for other in others:
            alone = [gap for span in alone for gap in other.have.gaps(*span)][:SCANNED_SPANS]
        if alone:
            return first_chunk(iter(alone), limit)
        chunks = list(islice(cut(iter(near), limit), RAREST_OF))
        if len(others) < 2 or len(chunks) < 2:
            return chunks[0] if chunks else []
        return min(
            chunks,
            key=lambda chunk: (
                sum(other.have.covers(start, stop) for other in others for start, stop in chunk)
                / len(chunk)
            ),
        )

    def _tail(self, link: Link, now: float) -> list[Span]:
        """Return what another peer owes and this one would bring sooner."""
        worst: Asked | None = None
        latest = 0.0
        for other in self.links:
            if other is link:
                continue
            for asked in other.asked.values():
                if asked.late or asked.urgent or asked.copies >= MAX_COPIES or not asked.spans:
                    continue
                due = asked.sent_at + other.pace.time_for(0) - now
                if due > latest and all(link.have.covers(*span) for span in asked.spans):
                    worst, latest = asked, due
        if worst is None or worst.spans.stop > (link.base or 0):
            return []
        if link.pace.time_for(worst.cost) * 2 > latest:
            return []
        worst.copies += 1
        return list(islice(worst.spans, CHUNK_SPANS))

    # What happens to requests.

    def landed(self, start: int, stop: int) -> None:
        """Note that blocks have come, unverified: nobody owes them any more."""
        self._landing.add(start, stop)
        self.busy.add(start, stop)
        self._urgent_busy.add(start, stop)
        for link in self.links:
            for asked in link.asked.values():
                if asked.spans:
                    asked.spans.remove(start, stop)

    def dropped(self, start: int, stop: int) -> None:
        """Note that what had landed was wrong: it can be asked for again."""
        self._landing.remove(start, stop)
        self._rebuild()

    def arrived(self, start: int, stop: int) -> None:
        """Note that blocks are held."""
        if self._landing:
            self._landing.remove(start, stop)
        if self.busy:
            self.busy.remove(start, stop)
            self._urgent_busy.remove(start, stop)
        self.wants.arrived(start, stop)
        for link in self.links:
            for asked in link.asked.values():
                if asked.spans:
                    asked.spans.remove(start, stop)

    def answered(self, link: Link, asked: Asked, taken: int, now: float) -> None:
        """Learn from a record of `taken` bytes."""
        link.heard_at = now
        if taken:
            link.refusals = 0
        if link.stalled:
            link.stalled = False
            for other in link.asked.values():
                other.late = False
            self._rebuild()
        if not asked.answered:
            asked.answered = True
            if asked.urgent or link.pace.round_trip is None:
                link.pace.first_answer(now, asked.sent_at)
        if not asked.urgent or taken > self.block_size:
            link.pace.answered(now, asked.sent_at, asked.delivered_then, taken)
        link.pace.settled(min(taken, asked.cost))
        asked.cost = max(0, asked.cost - taken)
        self.depth = max(self.depth, asked.depth)

    def refused(self, link: Link, asked: Asked, now: float) -> None:
        """Learn that a peer does not bring (the rest of) what it was asked for."""
        self.answered(link, asked, 0, now)
        if asked.spans and asked.sent_at >= link.rests_until:
            link.rests_until = now + min(LAST_REST, FIRST_REST * 2 ** min(link.refusals, 8))
            link.refusals += 1
            link.resting = True
        self.finished(link, asked)

    def finished(self, link: Link, asked: Asked) -> None:
        """Forget a request: what it still owes can be asked for again."""
        if link.asked.pop(asked.id, None) is None:
            return
        link.pace.settled(asked.cost)
        if asked.spans and not asked.late:
            self._release(asked.spans)

    def lost(self, link: Link) -> None:
        """Forget a peer and all that it owes."""
        self.links.remove(link)
        link.asked.clear()
        self._rebuild()

    def reset(self) -> None:
        """Forget everything in flight: the feed is not what it was."""
        for link in self.links:
            for asked in list(link.asked.values()):
                self.finished(link, asked)
        self._rebuild()

    def _release(self, spans: Spans) -> None:
        self.busy.subtract(spans)
        self._urgent_busy.subtract(spans)
        if any(asked.copies > 1 for link in self.links for asked in link.asked.values()):
            self._rebuild()

    def _rebuild(self) -> None:
        self.busy, self._urgent_busy = self._landing.copy(), self._landing.copy()
        for link in self.links:
            for asked in link.asked.values():
                if not asked.late:
                    self.busy.update(asked.spans)
                    if asked.urgent:
                        self._urgent_busy.update(asked.spans)

    # Time.

    def deadline(self) -> float | None:
        """Return when `expire` is due."""
        times = [self._due(link) for link in self.links if link.asked]
        times += [link.rests_until for link in self.links if link.resting]
        return min(times, default=None)

    def _due(self, link: Link) -> float:
        patience = SILENT_AFTER if link.stalled else link.pace.patience
        times = [link.heard_at + patience]
        if len(self.links) > 1:
            times += [
                asked.sent_at + link.pace.hedge_after
                for asked in link.asked.values()
                if asked.urgent and not asked.late
            ]
        return min(times)

    def expire(self, now: float) -> list[Link]:
        """Give the work of peers that are late to others; return those silent for too long."""
        silent = []
        for link in self.links:
            link.resting = link.resting and now < link.rests_until
            if not link.asked:
                continue
            if now >= link.heard_at + SILENT_AFTER:
                silent.append(link)
            if now >= link.heard_at + link.pace.patience:
                link.stalled = True
                for asked in link.asked.values():
                    asked.late = True
            elif len(self.links) > 1:
                for asked in link.asked.values():
                    if asked.urgent and now >= asked.sent_at + link.pace.hedge_after:
                        asked.late = True
        self._rebuild()
        return silent


def _delay(link: Link) -> tuple[int, float]:
    late = sum(asked.late for asked in link.asked.values())
    return late, link.pace.round_trip or 0.0
