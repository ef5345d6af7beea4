"""A feed as replication sees it: grown by proofs, and asked what it has and lacks.

What somebody else signed comes in through `apply`, which stores it, and `accept`,
which stores it soon (`feedlog.staged`). Whoever wants to hear of changes, a network
for example, observes them.

Invariant: nothing is kept that was not verified against the feed's key.
Knows proofs. Must not sign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

from feedlog import catalog, flat_tree
from feedlog.apply import apply
from feedlog.encryption import BlockCipher
from feedlog.errors import BlockMissing, ForkConflict, NotWritable
from feedlog.flat_tree import NodeIndex
from feedlog.head import Head
from feedlog.log import Log
from feedlog.manifest import Manifest
from feedlog.merkle import TreeNode
from feedlog.proof import Proof, Verified, verify
from feedlog.ranges import Ranges
from feedlog.staged import Staging, Trusted
from feedlog.storage import Reader, Storage
from feedlog.view import View


class Replica(View):
    """The live feed of a store, without its writer."""

    def __init__(
        self,
        storage: Storage,
        log: Log,
        key: bytes,
        *,
        manifest: Manifest | None,
        cipher: BlockCipher | None,
        read_only: bool,
    ) -> None:
        super().__init__(key, log, manifest, cipher)
        self._storage = storage
        self._read_only = read_only
        self._staging = Staging(log, key)
        self._seen: tuple[int, tuple[Head | None, int]] | None = None
        """The head and byte length as of a commit; a later one may have changed them."""
        self._observers: list[Callable[[], None]] = []

    def _reading(self) -> AbstractContextManager[Reader]:
        if self._staging.batches:
            self.flush()
        return self._storage.read()

    def _proving(self) -> AbstractContextManager[Reader]:
        return self._storage.read()

    def _state(self, reader: Reader) -> tuple[Head | None, int]:
        generation = reader.generation
        seen = self._seen
        if seen is not None and seen[0] == generation:
            return seen[1]
        entry = self._log.last_entry(reader)
        state = (None, 0) if entry is None else self._log.decode_head(entry)
        if generation is not None:
            self._seen = generation, state
        return state

    def _latest(self) -> Head | None:
        seen = self._seen
        if seen is None or seen[0] != self._storage.generation():
            return super()._latest()
        return seen[1][0]

    @property
    def generation(self) -> int:
        """The number of the store's latest commit: while it is the same, nothing has changed."""
        return self._storage.generation()

    def _have(self) -> Ranges:
        waiting = self._staging.batches  # before the stored ones: in between it may be written
        with self._proving() as reader:
            head, _ = self._state(reader)
            stored = self._log.have.ranges(reader, head.length if head else 0)
        if not waiting:
            return stored
        staged = ((index, index + 1) for batch in waiting for index in batch.blocks)
        return Ranges([*stored.pairs, *staged])

    def _refuse_read_only(self) -> None:
        if self._read_only:
            raise NotWritable("the store was opened read-only")

    def observe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after each change made through this object; returns how to stop that.

        The call comes in the thread that made the change and, inside of a store's
        `transaction`, before its commit: note that something has changed, look later.
        """
        self._observers.append(callback)
        return lambda: self._observers.remove(callback)

    def _changed(self) -> None:
        for callback in tuple(self._observers):
            callback()

    # Proofs of others.

    def apply(self, proof: Proof) -> Verified:
        """Verify a proof against the feed's key and what is held, and store what it shows.

        Returns what was verified. Raises `InvalidProof`, with nothing stored, where
        the proof does not hold or does not link to this replica; `ForkConflict`
        where it shows that the writer signed two heads that contradict each other:
        the evidence is kept then, and nothing else. Inside a transaction the evidence
        is kept only if the error is caught there.
        """
        self._refuse_read_only()
        self.flush()
        verified = apply(self._storage, self._log, self.key, self.manifest, proof)
        if self.manifest is None:
            self.manifest = verified.manifest
        self._changed()
        return verified

    def accept(self, proof: Proof) -> Verified:
        """Verify a proof as `apply` does, and store what it shows soon.

        Made for many small proofs of blocks below the present head: they wait in
        memory, where this object's reads find them, until `flush` writes all in one
        transaction. Any read but that of a single block flushes, as do `apply`, closing the
        store, and 8 MiB that wait. Other proofs are applied at once.
        """
        question, head = proof.question, self._latest()
        if (
            head is None
            or self.manifest is None
            or question.signed
            or question.since != head.length
            or proof.fork != head.fork
        ):
            return self.apply(proof)
        self._refuse_read_only()
        trusted = Trusted(self._node, question)
        verified = verify(self.key, proof, manifest=self.manifest, trusted=trusted)
        self._staging.add(verified)
        if self._staging.full:
            self.flush()
        self._changed()
        return verified

    def prove(self, blocks: Iterable[int] = (), **options: Any) -> Proof:
        """Prove blocks, tree nodes and a head; see `View.prove`.

        Looks at what waits to be written only where it is missed: who serves while
        it reads would wait for the disk with every proof.
        """
        if not self._staging.batches:
            return super().prove(blocks, **options)
        wanted = blocks if isinstance(blocks, range) else tuple(blocks)
        try:
            return super().prove(wanted, **options)
        except BlockMissing:
            self.flush()
            return super().prove(wanted, **options)

    def flush(self) -> None:
        """Write what `accept` has left waiting; what cannot be written is forgotten.

        Raises `StoreError`, or `ForkConflict` for a feed with contradicting heads.
        """
        if self._staging.batches:
            self._staging.flush(self._storage)

    def _node(self, index: NodeIndex) -> TreeNode | None:
        """Return a node that is stored, or will be."""
        node = self._staging.known.get(index)
        if node is None:
            node = self._log.find_nodes(self._storage, (index,)).get(index)
        return node

    def anchors(self, blocks: Iterable[int]) -> list[NodeIndex]:
        """Return nodes that are held and that shorten a proof of these blocks to this reader.

        For the ends of each range, the lowest stored node above it: pass them as
        `anchors` to the other side's `prove`, with `since` = this feed's length.
        Blocks past that length have none. Nodes that were come by lately count first.
        """
        length = self.length
        edges = {
            edge
            for start, stop in Ranges.of(blocks).pairs
            if start < length
            for edge in (start, min(stop, length) - 1)
        }
        found = {self._lowest(edge, length) for edge in edges}
        return sorted(index for index in found if index is not None)

    def _lowest(self, block: int, length: int) -> NodeIndex | None:
        """Return the lowest node above a block that is known, below its root."""
        start, stop = flat_tree.root_span(length, block)
        levels = range((stop - start).bit_length() - 1)  # the root itself is known anyway
        path = [NodeIndex((block >> level << level + 1) + (1 << level) - 1) for level in levels]
        known = self._staging.known
        for index in path:
            if index in known:
                return index
        return next((index for index in path if self._node(index)), None)

    @property
    def conflict(self) -> ForkConflict | None:
        """The evidence that the writer contradicted itself in the present fork, if there is any."""
        with self._reading() as reader:
            head, _ = self._state(reader)
            evidence = catalog.load_evidence(reader, self._log.number)
            if evidence is None or (head is not None and evidence.fork < head.fork):
                return None
            return ForkConflict(*catalog.contradicting_heads(evidence))
