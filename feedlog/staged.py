"""Blocks of a replica that are verified and wait to be written, many in one transaction.

A transaction costs as much for one small proof as for fifty, and a reader who asks for one
block after another needs the block, not the disk. So `Feed.accept` keeps what a proof has
shown here, where this process's reads find it, and `Feed.flush` writes it: at the latest
before anything is read of the feed that is not a single block.

Invariant: what waits was verified against a head that was stored, and is written while the
feed is still of that head's fork: forks only grow. What cannot be written is forgotten:
with its fork, or because the flush raises.

Knows one feed's entries. Must not know clocks: who accepts says when to flush.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

from feedlog import catalog, flat_tree
from feedlog.apply import raise_conflict
from feedlog.errors import CorruptError
from feedlog.flat_tree import NodeIndex
from feedlog.log import Log
from feedlog.merkle import Run, TreeNode
from feedlog.plan import Question
from feedlog.proof import Verified
from feedlog.storage import Storage, Writer

MAX_STAGED = 8 << 20
"""Bytes of blocks that wait; more are written at once, whoever was to see to it."""

MAX_KNOWN = 1 << 14
"""Nodes that are remembered after they were written, about 3 MB: a reader of scattered
blocks comes by the upper ones again with each."""


class _Batch:
    """What proofs against one head have shown."""

    def __init__(self, fork: int, length: int) -> None:
        self.fork = fork
        self.length = length
        self.closed = False
        self.size = 0
        self.blocks: dict[int, bytes] = {}
        self.nodes: dict[NodeIndex, TreeNode] = {}
        self.runs: list[Run] = []


class Staging:
    """What waits of one feed. Blocks may be added in one thread and written in another."""

    def __init__(self, log: Log, key: bytes) -> None:
        self._log = log
        self._key = key
        self._lock = threading.Lock()
        self.batches: tuple[_Batch, ...] = ()
        """What waits; empty, mostly."""
        self.known: dict[NodeIndex, TreeNode] = {}
        """Nodes that were verified here lately, stored or not."""
        self._fork = 0

    @property
    def full(self) -> bool:
        """Whether so much waits that it should be written now."""
        return sum(batch.size for batch in self.batches) > MAX_STAGED

    def block(self, index: int) -> bytes | None:
        """Return a block that waits, as it will be stored."""
        for batch in self.batches:
            block = batch.blocks.get(index)
            if block is not None:
                return block
        return None

    def add(self, verified: Verified) -> None:
        """Keep what a proof against the present head has shown."""
        fork, length = verified.fork, verified.length
        nodes = verified.nodes
        runs = []
        for run in verified.runs:
            if run.stop - run.start > 1:
                runs.append(run)
            else:
                nodes.update(run.nodes())
        with self._lock:
            batch = self.batches[-1] if self.batches else None
            if batch is None or batch.closed or (batch.fork, batch.length) != (fork, length):
                batch = _Batch(fork, length)
                self.batches = (*self.batches, batch)
            batch.blocks.update(verified.blocks)
            batch.nodes.update(nodes)
            batch.runs += runs
            batch.size += sum(map(len, verified.blocks.values()))
        if len(self.known) > MAX_KNOWN or self._fork != fork:
            self.known = dict(batch.nodes)
            self._fork = fork
        self.known.update(nodes)

    def forget(self) -> None:
        """Drop everything."""
        with self._lock:
            self.batches = ()
        self.known = {}

    def flush(self, storage: Storage) -> None:
        """Write everything, or raise and forget it.

        Inside of a transaction that it joins, it stays here as well: that one may fail.
        """
        try:
            with storage.write() as writer:
                before = storage.generation()
                with self._lock:
                    batches = self.batches
                    for batch in batches:
                        batch.closed = True
                written = [self._write(writer, batch) for batch in batches]
            if any(written) and storage.generation() == before:
                return
        except BaseException:
            self.forget()
            raise
        with self._lock:
            self.batches = self.batches[len(batches) :]

    def _write(self, writer: Writer, batch: _Batch) -> bool:
        """Store a batch; False, with nothing stored, where the feed has left its fork."""
        log = self._log
        catalog.require_feed(writer, log.number, self._key)
        entry = log.last_entry(writer)
        head = log.decode_head(entry)[0] if entry else None
        if head is None or head.fork != batch.fork or head.length < batch.length:
            return False
        raise_conflict(writer, log.number, head.fork)
        if not log.merge(writer, batch.nodes, batch.runs, batch.blocks):
            raise CorruptError(
                f"verified nodes differ from those stored for {len(batch.blocks)} blocks"
            )
        return True


class Trusted(Mapping[NodeIndex, TreeNode]):
    """Nodes that a proof may build on, each looked up when it is asked for.

    A plan names no others than the roots of the trusted length and the anchors.
    """

    def __init__(self, find: Callable[[NodeIndex], TreeNode | None], question: Question) -> None:
        self._find = find
        self._question = question

    def get(self, index: NodeIndex, default: object = None) -> TreeNode | None:  # type: ignore[override]  # no default is asked for
        """Return the node, or None."""
        del default
        return self._find(index)

    def __getitem__(self, index: NodeIndex) -> TreeNode:
        """Return the node."""
        node = self._find(index)
        if node is None:
            raise KeyError(index)
        return node

    def __iter__(self) -> Iterator[NodeIndex]:
        """Yield the roots and the anchors that are here."""
        question = self._question
        for index in (*flat_tree.roots(question.since), *question.anchors):
            if self._find(index) is not None:
                yield index

    def __len__(self) -> int:
        """Count them."""
        return sum(1 for _ in self)
