"""Answering one peer's requests about one feed.

Requests wait in two lines, urgent and bulk; `next` turns the one that is due into one
record of at most `RECORD_SIZE`, so a large request yields to an urgent one after each.
What is not held is left out: a replica serves what it has, for every length whose
nodes it has, and needs neither the writer nor an encryption key.

Invariant: a peer's requests cost at most `MAX_WAITING` queue places, `MAX_WAITING_SPANS` and
one record.
Reads the feed. Must not know channels, other peers, or what we want ourselves.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from feedlog import BlockMissing, Feed, FeedlogError, Proof
from feedlog.errors import DecodeError, StoreError
from net.errors import ProtocolError
from net.replicate import messages
from net.replicate.messages import Data, NoData, Request
from net.replicate.spans import Span, Spans
from net.replicate.standing import Standing

RECORD_SIZE = 1 << 20
"""Bytes of blocks in one record; a larger block travels alone."""
RECORD_BLOCKS = 8192
"""Blocks in one record: what a verifier takes 50 ms for in the worst case."""
RECORD_SPANS = 1024
"""Spans in one record: each costs a proof up to 40 hashes."""
MAX_WAITING = 512
"""Requests of one peer that wait; more are answered with BUSY."""
MAX_WAITING_SPANS = 1 << 16
"""Spans of one peer's requests that wait; twice what an asker of ours has in flight, and 10 MB.
So many steps, too, does it cost at most that an urgent request takes its blocks out of others."""
MAX_HINTED = 1024
"""Blocks that an extension's handler may add to an answer."""

Handler = Callable[[Feed, bytes], Iterable[int]]
"""Names the blocks that answer an extension's message; may raise `DecodeError`."""


@dataclass(slots=True)
class Waiting:
    """A request and what of its blocks is still to be sent."""

    request: Request
    spans: Spans
    base: tuple[int, int] | None = None
    """What the next record builds on and is proven against; None before the first."""


class Serving:
    """One peer's requests."""

    def __init__(self, standing: Standing, handlers: Mapping[str, Handler]) -> None:
        self._feed = standing.feed
        self._standing = standing
        self._handlers = handlers
        self._lines: tuple[deque[Waiting], deque[Waiting]] = (deque(), deque())
        self._refused: deque[NoData] = deque()
        self.blocks_sent = 0
        self.bytes_sent = 0

    def __bool__(self) -> bool:
        return bool(self._refused or self._lines[0] or self._lines[1])

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._lines[0]) + len(self._lines[1])

    def add(self, request: Request) -> None:
        """Take a request. An urgent one takes its blocks out of those that wait."""
        spans = Spans.ascending(messages.unpack_runs(request.runs))
        full = self.waiting >= MAX_WAITING
        if full or (spans.pieces > 1 and self._pieces + spans.pieces > MAX_WAITING_SPANS):
            if len(self._refused) < MAX_WAITING:
                self._refused.append(NoData(request.id, messages.BUSY))
                return
            raise ProtocolError(f"more than {2 * MAX_WAITING} requests at once", code="flood")
        if request.urgent and self._lines[False]:
            # Each span that is taken out may make two of one.
            others = (MAX_WAITING_SPANS - self._pieces) // max(1, spans.pieces) - 1
            for other in itertools.islice(self._lines[False], max(0, others)):
                other.spans.subtract(spans)
        self._lines[request.urgent].append(Waiting(request, spans))

    @property
    def _pieces(self) -> int:
        return sum(waiting.spans.pieces for line in self._lines for waiting in line)

    def cancel(self, number: int) -> None:
        """Forget a request."""
        for line in self._lines:
            for waiting in line:
                if waiting.request.id == number:
                    line.remove(waiting)
                    return

    def clear(self) -> None:
        """Forget all requests."""
        for line in self._lines:
            line.clear()
        self._refused.clear()

    def next(self) -> tuple[Data | NoData, bool] | None:
        """Return the next answer and whether it is urgent; None when nothing waits."""
        if self._refused:
            return self._refused.popleft(), True
        line = self._lines[True] or self._lines[False]
        if not line:
            return None
        waiting = line[0]
        urgent = waiting.request.urgent
        answer = self._answer(waiting)
        if isinstance(answer, NoData) or answer.last:
            line.popleft()
        return answer, urgent

    def _answer(self, waiting: Waiting) -> Data | NoData:
        number = waiting.request.id
        try:
            proof = self._prove(waiting)
        except _Refused as refused:
            return NoData(number, refused.reason)
        except BlockMissing:
            return NoData(number, messages.MISSING)
        except DecodeError as error:
            raise ProtocolError(str(error), code="decode") from error
        except StoreError:
            return NoData(number, messages.STOPPED)
        except (FeedlogError, IndexError, ValueError):
            # The numbers of the request and the feed as it is now do not go together.
            return NoData(number, messages.UNKNOWN)
        encoded = proof.to_bytes()
        self.blocks_sent += len(proof.data)
        self.bytes_sent += len(encoded)
        return Data(number, encoded, last=not waiting.spans)

    def _prove(self, waiting: Waiting) -> Proof:
        """Prove the next part of a request and take it out of what is to be sent."""
        request = waiting.request
        since, length = waiting.base or _base(self._standing, request)
        if waiting.base is None and request.hint is not None:
            self._add_hinted(waiting, request.hint, length)
        if waiting.spans.stop > length:
            waiting.spans.remove(length, messages.MAX_LENGTH)
        first = waiting.base is None
        waiting.base = (length, length)  # what follows builds on what the first record shows
        signed = length != since or not length or (first and self._is_newer(request))
        bare = not (first and (request.hashes or request.seek is not None))
        blocks = self._part(waiting) if waiting.spans else []
        if not blocks and bare and not (first and signed):
            raise _Refused(messages.MISSING if request.runs else messages.CURRENT)
        ranges = list(itertools.starmap(range, blocks))
        proof = self._feed.prove(
            ranges[0] if len(ranges) == 1 else itertools.chain.from_iterable(ranges),
            since=since,
            length=length,
            signed=signed,
            # Nodes of an older fork need not exist in ours.
            hashes=request.hashes if first and not self._is_newer(request) else (),
            seek=request.seek if first else None,
            anchors=request.anchors if since == request.since else (),
            max_bytes=RECORD_SIZE if request.seek is None or not first else None,
        )
        waiting.spans.subtract(proof.question.blocks.pairs)
        return proof

    def _is_newer(self, request: Request) -> bool:
        """Tell whether an asker lacks our fork: news, even where it is but a shorter feed."""
        head = self._standing.head
        return head is not None and request.fork < head.fork

    def _part(self, waiting: Waiting) -> list[Span]:
        """Return the next blocks that are held, at most `RECORD_BLOCKS`, and drop those before."""
        held = self._standing.held
        spans: list[Span] = []
        room = RECORD_BLOCKS if waiting.request.seek is None else 1
        for start, stop in waiting.spans:
            for low, high in held.within(start, stop):
                spans.append((low, min(high, low + room)))
                room -= spans[-1][1] - low
                if not room or len(spans) == RECORD_SPANS:
                    waiting.spans.subtract(held.gaps(waiting.spans.start, spans[-1][1]))
                    return spans
        waiting.spans = Spans(spans)
        return spans

    def _add_hinted(self, waiting: Waiting, hint: tuple[str, bytes], length: int) -> None:
        handler = self._handlers.get(hint[0])
        if handler is None:
            raise _Refused(messages.UNSUPPORTED)
        for number, index in enumerate(handler(self._feed, hint[1])):
            if number == MAX_HINTED:
                break
            if 0 <= index < length and self._feed.has(index):
                waiting.spans.add(index, index + 1)


class _Refused(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason


def _base(standing: Standing, request: Request) -> tuple[int, int]:
    """Return the length to build a proof on and the length to prove against."""
    head = standing.head
    if head is None:
        raise _Refused(messages.UNKNOWN if request.since else messages.CURRENT)
    if request.fork > head.fork:
        raise _Refused(messages.UNKNOWN)
    if request.fork < head.fork:
        if request.length:
            raise _Refused(messages.UNKNOWN)
        return _common(standing.feed, request), head.length
    length = request.length or head.length
    if request.since > length or length > head.length:
        raise _Refused(messages.CURRENT if not request.length else messages.UNKNOWN)
    return request.since, length


def _common(feed: Feed, request: Request) -> int:
    """Return a length up to which an older fork, the asker's, is likely the same as ours.

    Where every truncation since left its head here, the shortest of them is; the asker
    finds out if it is not so, and asks again with `since` 0.
    """
    shortest = min((one.length for one in feed.heads() if one.fork > request.fork), default=0)
    return min(request.since, shortest)
