"""One feed on one channel with one peer: what was said, and what is to be said.

Every message that comes in passes through here; what cannot come from a correct peer is
a `PeerError`. The serving side is complete in itself (`serving`); answers to our own
requests are matched with what was asked, and handed up as `Arrival`s, unverified.

Invariant: an arrival answers a request of ours, and shows nothing that was not asked for.
Must not know sockets, or the other peers. Specified in docs/spec/replication.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec import structs

from feedlog import Proof
from feedlog.errors import DecodeError
from feedlog.proof import Verified
from net.errors import LimitError, ProtocolError
from net.replicate import messages
from net.replicate.link import Asked, Link
from net.replicate.messages import (
    Cancel,
    Data,
    Have,
    Info,
    NoData,
    Request,
    Want,
    pack_runs,
    unpack_runs,
)
from net.replicate.serving import MAX_HINTED, Handler, Serving
from net.replicate.spans import Span, Spans
from net.replicate.standing import Standing

MAX_OFFER_PIECES = 16_384
"""Spans of a peer's blocks that we remember; 256 KiB. What it offers beyond is not used."""
MAX_OUTBOX = 1 << 20
"""Bytes of messages, other than data, that wait for a peer which does not read."""
MAX_PUSH = 512 << 10
"""Bytes of a push; a sender of ours stays below half of it."""


@dataclass(slots=True, eq=False)
class Query:
    """A question that is not about known blocks: the latest head, a byte, an extension's hint."""

    hint: tuple[str, bytes] | None = None
    seek: int | None = None
    tried: set[int] = field(default_factory=set)
    """The sessions that were asked."""
    reasons: list[str] = field(default_factory=list)
    """How those that gave no answer put it."""
    landing: int = 0
    """Answers that have come and are not verified yet."""
    heard: bool = False
    """Whether it is answered, unless one who claims to know more does."""
    verified: Verified | None = None
    """What that answer has shown; None where it was that there is nothing newer."""
    done: bool = False


@dataclass(slots=True, eq=False)
class Sent:
    """A request of ours that is not answered to its end."""

    request: Request
    asked: Asked
    query: Query | None = None
    length: int = 0
    """The length of our head when it was sent: if it is another now, the answer may not fit."""
    base: int | None = None
    """The length that further records are against; None before the first record."""


@dataclass(slots=True, eq=False)
class Arrival:
    """A proof that came, to be verified and stored."""

    session: Session
    proof: Proof
    size: int
    """Bytes of the message."""
    sent: Sent | None
    """What it answers; None for a push."""
    last: bool = True
    wasted: int = 0
    """Blocks in it that had come another way before."""
    landed: bool = False
    """Whether its blocks are noted as being neither owed nor stored."""


class Session:
    """One peer, as far as one feed is concerned."""

    def __init__(
        self, number: int, standing: Standing, handlers: Mapping[str, Handler], name: str = ""
    ) -> None:
        self.number = number
        self.name = name
        """What people call the peer."""
        self.link = Link()
        self.serving = Serving(standing, handlers)
        self.remote: Info | None = None
        """Where the peer stands, by its own word; None before it has said so."""
        self.sent: dict[int, Sent] = {}
        self.arrivals: deque[Arrival] = deque()
        self.refusals: deque[tuple[Sent, str]] = deque()
        self.unasked = 0
        """Blocks that came after we had cancelled them."""
        self.told = Spans()
        """Blocks of which the peer shall hear whether we hold them."""
        self.info_due = True
        self.told_due = False
        """Whether the peer has asked for what is in `told`."""
        self.doubted = False
        """Whether blocks that it offered were refused: it is asked again after the next head."""
        self.greeted = False
        """Whether our first Info and what we hold were queued."""
        self.known = (0, 0)
        """Fork and length that the peer takes us to have."""
        self.failures = 0
        """Queries in a row in which the peer did not have what it claimed."""
        self.distrusted = False
        """Whether a head of it did not build on what we have: the next is asked for whole."""
        self.probe: Query | None = None
        """The question for its whole head, after a proof failed: it lies, or the writer does."""
        self.outbox: deque[tuple[bytes, bool]] = deque()
        self.blocks_received = 0
        self.bytes_received = 0
        self._outbox_size = 0
        self._highest = 0

    def __repr__(self) -> str:
        return f"<Session {self.number} with {self.name}>"

    @property
    def wants_to_send(self) -> bool:
        """Whether there may be something to send."""
        return bool(self.outbox or self.info_due or self.told_due or self.serving)

    @property
    def position(self) -> tuple[int, int]:
        """Fork and length that the peer claims; less than any where it claims nothing."""
        return (self.remote.fork, self.remote.length) if self.remote else (-1, 0)

    @property
    def congested(self) -> bool:
        """Whether so much waits for the peer that it is to be asked for nothing more."""
        return self._outbox_size > MAX_OUTBOX // 2

    def claim(self, fork: int, length: int) -> None:
        """Note that the peer has, or will have when it has read what was pushed, a head."""
        if self.remote is not None and (fork, length) > self.position:
            self.remote = structs.replace(self.remote, fork=fork, length=length)

    # Sending.

    def put(self, message: messages.Message, *, urgent: bool = False) -> None:
        """Queue a message that is not an answer; raises `LimitError` for a peer that reads none."""
        encoded = messages.encode(message)
        self._outbox_size += len(encoded)
        if self._outbox_size > MAX_OUTBOX:
            raise LimitError(f"peer reads none of {self._outbox_size} bytes", MAX_OUTBOX)
        self.outbox.append((encoded, urgent))

    def put_encoded(self, message: bytes) -> None:
        """Queue a message that is encoded already."""
        self._outbox_size += len(message)
        self.outbox.append((message, False))

    def put_request(self, sent: Sent) -> None:
        """Queue a request and expect its answer."""
        self.sent[sent.request.id] = sent
        self._highest = max(self._highest, sent.request.id)
        self.put(sent.request, urgent=True)

    def next_message(self) -> tuple[bytes, bool] | None:
        """Return the next message to send, and whether it is urgent."""
        if self.outbox:
            encoded, urgent = self.outbox.popleft()
            self._outbox_size -= len(encoded)
            return encoded, urgent
        answer = self.serving.next()
        if answer is None:
            return None
        return messages.encode(answer[0]), answer[1]

    # Receiving.

    def receive(self, data: bytes) -> bool:
        """Take a message of the peer; raises `PeerError`.

        Returns whether it tells us or brings us something; requests do not.
        """
        try:
            message = messages.decode(data)
            if isinstance(message, Data):
                self._on_data(message, len(data))
                return True
        except DecodeError as error:
            raise ProtocolError(str(error), code="decode") from error
        if isinstance(message, Request):
            self.serving.add(message)
            return False
        match message:
            case Info():
                position = self.position
                self.remote = message
                if position[0] == message.fork:
                    self.claim(*position)  # it was written before our push came there
            case Have():
                self._on_have(message)
            case Want(start, stop):
                self.told.add(start, stop)
                self.told_due = True
                if self.told.pieces > MAX_OFFER_PIECES:
                    raise LimitError(f"wants {self.told.pieces} spans at once", MAX_OFFER_PIECES)
            case NoData(number, reason):
                self._on_no_data(number, reason)
            case Cancel(number):
                self.serving.cancel(number)
            case None:
                pass  # a newer peer knows what it means
        return True

    def _on_have(self, message: Have) -> None:
        offer = self.link.have
        offer.remove(message.start, message.stop)
        for start, stop in unpack_runs(message.runs, message.start):
            if offer.pieces < MAX_OFFER_PIECES:
                offer.add(start, stop)
        offer.limit(MAX_OFFER_PIECES)  # taking out of a span has made two of it

    def _on_no_data(self, number: int, reason: str) -> None:
        sent = self.sent.get(number)
        if sent is None:
            self._check_known(number)
            return
        self.refusals.append((sent, reason))

    def _on_data(self, message: Data, size: int) -> None:
        proof = Proof.from_bytes(message.proof)
        if message.id == messages.PUSH:
            if size > MAX_PUSH:
                raise LimitError(f"push of {size} bytes", MAX_PUSH)
            _check_push(proof)
            self.arrivals.append(Arrival(self, proof, size, None))
            return
        sent = self.sent.get(message.id)
        if sent is None:
            self._check_known(message.id)
            self.unasked += len(proof.data)
            return
        self._check_answer(sent, proof)
        arrival = Arrival(self, proof, size, sent, message.last)
        if sent.query is None:
            arrival.wasted = _count_outside(sent.asked.spans, proof.question.blocks.pairs)
        sent.base = proof.length
        self.arrivals.append(arrival)

    def _check_known(self, number: int) -> None:
        """A late answer to what we have cancelled is no fault; one to what never was is."""
        if number > self._highest:
            raise ProtocolError(f"answer to request {number}, which was not made", code="unasked")

    def _check_answer(self, sent: Sent, proof: Proof) -> None:
        """Raise `ProtocolError` unless the proof is of the form that was asked for."""
        request, question = sent.request, proof.question
        if sent.base is not None:
            fits = not question.signed and question.length == sent.base
        elif question.signed:
            newer = proof.fork > request.fork
            fits = request.length != request.since or not request.length
            fits &= question.since <= request.since if newer else question.since == request.since
            fits &= request.length in {0, question.length}
        else:
            fits = question.since == request.since
        fits &= not question.hashes or set(question.hashes) <= set(request.hashes)
        fits &= not question.anchors or set(question.anchors) <= set(request.anchors)
        fits &= proof.seek == (request.seek if sent.base is None else None)
        extra, pairs = 0, question.blocks.pairs
        if pairs and pack_runs(pairs) != request.runs:
            extra = _count_outside(Spans(unpack_runs(request.runs)), pairs)
        allowed = MAX_HINTED if request.hint else int(request.seek is not None)
        if not fits or extra > allowed:
            raise ProtocolError(
                f"the answer to request {request.id} shows what was not asked for", code="unasked"
            )


def _check_push(proof: Proof) -> None:
    """Raise `ProtocolError` unless the proof shows a head and nothing but blocks that it brings."""
    question = proof.question
    old = bool(question.blocks) and question.blocks.pairs[0][0] < question.since
    if not question.signed or question.hashes or question.anchors or proof.seek is not None or old:
        raise ProtocolError("a push shows what was not asked for", code="unasked")


def _count_outside(asked: Spans, pairs: Iterable[Span]) -> int:
    """Count the blocks of disjoint spans that are not in a set."""
    return sum(
        stop - start - sum(b - a for a, b in asked.within(start, stop))
        for start, stop in pairs
        if not asked.covers(start, stop)
    )
