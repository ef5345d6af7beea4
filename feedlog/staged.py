"""Blocks of a replica that are verified and wait to be written, many in one transaction.

A transaction costs as much for one small proof as for fifty, and a reader who asks for one
block after another needs the block, not the disk. So `Feed.accept` keeps what a proof has
shown here, where this process's reads find it, and `Feed.flush` writes it: at the latest
before anything is read of the feed that is not a single block.

Invariant: what waits was verified against a head that was stored, and is seen and written
while the feed is still of that head's fork: forks only grow. What cannot be written is
forgotten: with its fork, with its feed, or because the flush raises. Then everything is, for
what was verified later may build on it.

Knows one feed's entries. Must not know clocks: who accepts says when to flush.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

from feedlog import catalog, flat_tree
from feedlog.errors import CorruptError
from feedlog.flat_tree import NodeIndex
from feedlog.log import Log
from feedlog.merkle import Run, TreeNode
from feedlog.plan import Question
from feedlog.proof import Verified
from feedlog.storage import Storage, Writer

MAX_STAGED = 8 << 20
"""Bytes of memory that wait; more are written at once, whoever was to see to it."""

ENTRY_SIZE = 256
"""About what a node takes, or a block besides its bytes: a feed's blocks may all be empty."""

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
        self.key = key
        self._log = log
        self._lock = threading.Lock()
        self.batches: tuple[_Batch, ...] = ()
        """What waits; empty, mostly."""
        self.losses = 0
        """How often everything was forgotten."""
        self.known: tuple[int, dict[NodeIndex, TreeNode]] = (0, {})
        """A fork, and nodes of it that were verified here lately, stored or not."""

    @property
    def full(self) -> bool:
        """Whether so much waits that it should be written now."""
        return sum(batch.size for batch in self.batches) > MAX_STAGED

    def block(self, fork: int, index: int) -> bytes | None:
        """Return a block of this fork that waits, as it will be stored."""
        for batch in self.batches:
            block = batch.blocks.get(index) if batch.fork == fork else None
            if block is not None:
                return block
        return None

    def node(self, fork: int, index: NodeIndex) -> TreeNode | None:
        """Return a node of this fork that waits or was verified lately."""
        known_fork, known = self.known
        node = known.get(index) if known_fork == fork else None
        if node is not None:
            return node
        for batch in self.batches:
            node = batch.nodes.get(index) if batch.fork == fork else None
            if node is not None:
                return node
        return None

    def add(self, verified: Verified, losses: int) -> bool:
        """Keep what a proof against the present head has shown.

        `losses` is what it was before the proof was verified. If something was lost
        since, the proof may build on that: then nothing is kept, and this is False.
        """
        fork, length = verified.fork, verified.length
        nodes = verified.nodes
        runs = []
        for run in verified.runs:
            if run.stop - run.start > 1:
                runs.append(run)
            else:
                nodes.update(run.nodes())
        with self._lock:
            if losses != self.losses:
                return False
            batch = self.batches[-1] if self.batches else None
            if batch is None or batch.closed or (batch.fork, batch.length) != (fork, length):
                batch = _Batch(fork, length)
                self.batches = (*self.batches, batch)
            entries = len(verified.blocks) - len(batch.nodes)
            batch.blocks.update(verified.blocks)
            batch.nodes.update(nodes)
            batch.runs += runs
            entries += len(batch.nodes) + sum(2 * (run.stop - run.start) for run in runs)
            batch.size += sum(map(len, verified.blocks.values())) + ENTRY_SIZE * entries
            known_fork, known = self.known
            if known_fork < fork or len(known) > MAX_KNOWN:
                self.known = fork, dict(nodes)
            elif known_fork == fork:
                known.update(nodes)
        return True

    def forget(self) -> None:
        """Drop everything."""
        with self._lock:
            self.losses += 1
            self.batches = ()
            self.known = self.known[0], {}

    def flush(self, storage: Storage) -> None:
        """Write everything, or raise and forget it.

        Inside of a transaction that it joins, it stays here as well: that one may fail.
        """
        try:
            with storage.write() as writer:
                with self._lock:
                    batches = self.batches
                    for batch in batches:
                        batch.closed = True
                for batch in batches:
                    self._write(writer, batch)
        except BaseException:
            self.forget()
            raise
        if writer.committed is None:
            return
        with self._lock:  # another thread may have written them as well, and gone on
            self.batches = tuple([batch for batch in self.batches if batch not in batches])

    def _write(self, writer: Writer, batch: _Batch) -> None:
        """Store a batch, unless its fork or its feed is gone or has evidence against it."""
        log = self._log
        entry = log.last_entry(writer)
        head = log.decode_head(entry)[0] if entry else None
        if head is None or head.fork != batch.fork or head.length < batch.length:
            return
        if catalog.find_by_key(writer, self.key) != log.number:
            return
        evidence = catalog.load_evidence(writer, log.number)
        if evidence is not None and evidence.fork >= head.fork:
            return
        if not log.merge(writer, batch.nodes, batch.runs, batch.blocks):
            raise CorruptError(
                f"verified nodes differ from those stored for {len(batch.blocks)} blocks"
            )


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
