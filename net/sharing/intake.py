"""From a proof that has come to the disk.

Small proofs of blocks are verified at once, in the turn of the event loop in which they
came, and wait in memory for a transaction that they share. Others are applied: in the
loop, where the last such batch did not wait, or else in a thread, a batch at a time.

Invariant: outcomes are reported in the order of the arrivals, each once; and what was
accepted is written within a tick of the swarm's, or reported as lost.
Must not know peers, or what is asked for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from time import monotonic, thread_time

from feedlog import Feed, Store
from feedlog.errors import FeedlogError
from net.replicate.session import Arrival
from net.replicate.storing import Outcome, store_proofs

INLINE_BLOCKS = 256
"""Blocks that are verified in the event loop at once, a millisecond's work. More go to a
thread: it is no sooner done there, but others get their turn."""
INLINE_SIZE = 4 << 20
INLINE_WAIT = 0.005
"""Seconds that a transaction in the loop may wait: for an fsync it waits longer, on most disks.
What it works does not count. A thread would work as long, and keep the loop from the
interpreter meanwhile; the hand-over alone costs as much as storing ten blocks."""

STAGED_PROOFS = 256
"""Accepted proofs that are written without waiting for the tick."""
STAGED_SIZE = 2 << 20
"""Bytes of them. A thread that writes them takes its time: no more is taken at twice that."""

Report = Callable[[list[Arrival], list[Outcome]], None]


class Intake:
    """What comes of one feed, on its way to the store."""

    def __init__(
        self,
        feed: Feed,
        store: Store,
        executor: Executor,
        *,
        report: Report,
        lost: Callable[[FeedlogError], None],
    ) -> None:
        self._feed = feed
        self._store = store
        self._executor = executor
        self._on_report = report
        self._on_lost = lost
        self._loop = asyncio.get_running_loop()
        self.generation = feed.generation
        """The latest commit of the store with which nothing has changed but what we wrote."""
        self._last_wait = 0.0
        self._staged = 0
        self._staged_size = 0
        self._changing: set[int] = set()
        self._applying = False
        self._writing = False
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a thread is at it, so that more is taken only when that is done."""
        return self._applying or (self._writing and self._staged_size >= STAGED_SIZE)

    @property
    def waits(self) -> bool:
        """Whether something was accepted that is not written."""
        return self._staged > 0

    @property
    def changing(self) -> bool:
        """Whether it is we who change the feed now, in this thread."""
        return threading.get_ident() in self._changing

    def take(self, arrivals: list[Arrival]) -> bool:
        """Verify and store; tell whether that is done and reported, or will take a while."""
        proofs = [arrival.proof for arrival in arrivals]
        size = sum(arrival.size for arrival in arrivals)
        if size > INLINE_SIZE or sum(len(proof.data) for proof in proofs) > INLINE_BLOCKS:
            self._in_thread(arrivals)
        elif not any(proof.question.signed for proof in proofs):
            self.accept(arrivals)
        elif self._writing or self._last_wait > INLINE_WAIT:
            self._in_thread(arrivals)
        else:
            before = _waited()
            outcomes = self._apply(arrivals)
            self._last_wait = _waited() - before
            self._on_report(arrivals, outcomes)
        return not self._applying

    def accept(self, arrivals: list[Arrival]) -> None:
        """Verify proofs of blocks, and report; also while a thread is at others."""
        outcomes: list[Outcome] = []
        thread = threading.get_ident()
        self._changing.add(thread)
        for arrival in arrivals:
            try:
                outcomes.append(self._feed.accept(arrival.proof))
            except FeedlogError as error:
                outcomes.append(error)
        self._changing.discard(thread)
        self._staged += len(arrivals)
        self._staged_size += sum(arrival.size for arrival in arrivals)
        self._on_report(arrivals, outcomes)
        if self._staged >= STAGED_PROOFS or self._staged_size >= STAGED_SIZE:
            self.flush()

    def _apply(self, arrivals: list[Arrival]) -> list[Outcome]:
        proofs = [arrival.proof for arrival in arrivals]
        thread = threading.get_ident()
        self._changing.add(thread)
        try:
            return store_proofs(self._feed, proofs, self._store.transaction)
        finally:
            self._changing.discard(thread)

    def _in_thread(self, arrivals: list[Arrival]) -> None:
        self._applying = True
        future = self._loop.run_in_executor(self._executor, self._apply, arrivals)
        future.add_done_callback(lambda done: self._applied(arrivals, done))

    def _applied(self, arrivals: list[Arrival], done: asyncio.Future[list[Outcome]]) -> None:
        self._applying = False
        if not self._closed and not done.cancelled():
            self._on_report(arrivals, done.result())

    def flush(self) -> None:
        """Write what was accepted, in the loop or, where that waits long, in a thread."""
        if self._applying or self._writing or not self._staged:
            return
        self._staged = self._staged_size = 0
        if self._last_wait <= INLINE_WAIT:
            self._flushed(self._write())
            return
        self._writing = True
        future = self._loop.run_in_executor(self._executor, self._write)
        future.add_done_callback(self._written)

    def _write(self) -> FeedlogError | None:
        before = _waited()
        try:
            generation = self._feed.generation
            self._feed.flush()
            if self.generation == generation == self._feed.generation - 1:
                self.generation += 1  # nobody else has committed anything meanwhile
        except FeedlogError as error:
            return error
        finally:
            self._last_wait = _waited() - before
        return None

    def _written(self, done: asyncio.Future[FeedlogError | None]) -> None:
        self._writing = False
        if not self._closed and not done.cancelled():
            self._flushed(done.result())
            self._on_report([], [])

    def _flushed(self, error: FeedlogError | None) -> None:
        if error is not None:
            self._on_lost(error)

    def close(self) -> None:
        """Write what was accepted, and take nothing more."""
        if not self._closed:
            self._closed = True
            self._write()


def _waited() -> float:
    """Return the seconds, from some moment on, in which this thread did not work."""
    return monotonic() - thread_time()
