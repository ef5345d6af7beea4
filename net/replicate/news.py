"""What the peers of a feed are told without asking: where we stand, what we hold, new blocks.

A new head is pushed, with the blocks that it brings and their proof, to a peer that
follows and was up to date; others hear of it if it is news to them. That we have come
to hold blocks waits a little for more of it.

Invariant: what waits for a peer that does not read is bounded (`session.MAX_OUTBOX`).
Must not know what we want ourselves. Specified in docs/spec/replication.md, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from feedlog import BlockMissing, Head
from net.replicate import messages
from net.replicate.messages import Data, Have, Info, Want, pack_runs
from net.replicate.serving import Handler
from net.replicate.session import Session
from net.replicate.spans import Spans
from net.replicate.standing import Standing

PUSH_SIZE = 128 << 10
"""Bytes of new blocks that are pushed; a follower asks for more than that in its own time."""
PUSH_BLOCKS = 1024

TELL_AFTER = 0.05
"""Seconds that news of held blocks wait for more of it."""


class News:
    """What is to be said of one feed."""

    def __init__(
        self,
        standing: Standing,
        sessions: list[Session],
        handlers: Mapping[str, Handler],
        *,
        rebase: Callable[[Session], None],
    ) -> None:
        self.feed = standing.feed
        self.standing = standing
        self.sessions = sessions
        self.handlers = handlers
        self.live = False
        """Whether peers shall push new blocks to us."""
        self.tell_at: float | None = None
        """When what peers shall hear of held blocks is due."""
        self._rebase = rebase

    def follow_head(self, before: Head | None) -> None:
        """Tell of a new head of ours: push it, or say that there is one."""
        head = self.standing.head
        assert head is not None, "a feed does not lose its last head"
        pushes: dict[int, bytes | None] = {}
        for session in self.sessions:
            self._rebase(session)
            if session.doubted and not session.congested:
                session.doubted = False
                session.put(Want(0, messages.MAX_LENGTH))
            position = (head.fork, head.length)
            if session.position >= position and (
                session.known == position
                or (not self.live and session.link.have.covers(0, head.length))
            ):
                continue  # it has no use for our news or for us, nor we for its pushes
            if before is not None and self._push(session, before, head, pushes):
                continue
            session.info_due = True

    def _push(
        self, session: Session, before: Head, head: Head, pushes: dict[int, bytes | None]
    ) -> bool:
        """Send new blocks with their proof to a peer that follows; tell whether it was done."""
        remote = session.remote
        if (
            remote is None
            or not remote.downloading
            or session.position != (before.fork, before.length)
            or head.fork != before.fork
            or session.outbox
        ):
            return False
        if before.length not in pushes:
            pushes[before.length] = self._make_push(before.length, head.length)
        push = pushes[before.length]
        if push is None:
            return False
        session.put_encoded(push)
        session.claim(head.fork, head.length)
        session.told.remove(before.length, head.length)
        session.link.have.add(before.length, head.length)
        self._rebase(session)
        return True

    def _make_push(self, since: int, length: int) -> bytes | None:
        if length - since > PUSH_BLOCKS or not self.standing.held.covers(since, length):
            return None
        try:
            proof = self.feed.prove(
                blocks=range(since, length), since=since, length=length, max_bytes=PUSH_SIZE
            )
        except (BlockMissing, ValueError):
            return None
        if len(proof.data) < length - since:
            return None
        return messages.encode(Data(messages.PUSH, proof.to_bytes(), last=True))

    def tell(self, start: int, stop: int, now: float, but: Session | None = None) -> None:
        """Note that peers should hear whether we hold [start, stop)."""
        for session in self.sessions:
            if session is not but and not session.link.have.covers(start, stop):
                session.told.add(start, stop)
                if self.tell_at is None:
                    self.tell_at = now + TELL_AFTER

    def next_message(self, session: Session) -> tuple[bytes, bool] | None:
        """Return the next message for a peer and whether it is urgent; None for none."""
        if session.info_due:
            session.info_due = False
            session.known = (self.standing.fork, self.standing.length)
            if not session.greeted:
                session.greeted = True
                self._put_haves(session)  # first, so that who learns our length knows what to ask
            session.put(
                Info(
                    messages.VERSION,
                    self.standing.fork,
                    self.standing.length,
                    self.live,
                    tuple(self.handlers),
                )
            )
        if session.told_due:
            session.told_due = False
            self._put_haves(session)
        return session.next_message()

    def announce(self) -> None:
        """Tell all peers that our `live` or `handlers` have changed."""
        for session in self.sessions:
            session.info_due = True

    def _put_haves(self, session: Session) -> None:
        told, session.told = session.told, Spans()
        held = self.standing.held
        for start, stop in told:
            spans = list(held.within(start, stop))
            for at in range(0, max(1, len(spans)), messages.MAX_RUNS):
                part = spans[at : at + messages.MAX_RUNS]
                low = start if at == 0 else part[0][0]
                last = at + messages.MAX_RUNS >= len(spans)
                high = stop if last else spans[at + messages.MAX_RUNS][0]
                session.put(Have(low, high, pack_runs(part, low)))

    def handle_timeout(self, now: float) -> None:
        """Say what has waited long enough."""
        if self.tell_at is not None and now >= self.tell_at:
            self.tell_at = None
            for session in self.sessions:
                session.told_due = bool(session.told)
