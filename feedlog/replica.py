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
from functools import partial
from typing import Any

from feedlog import catalog, flat_tree
from feedlog.apply import apply, raise_conflict
from feedlog.encryption import BlockCipher
from feedlog.errors import BlockMissing, ForkConflict, NotWritable, StoreError
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
        staging: Staging,
        read_only: bool,
    ) -> None:
        super().__init__(key, log, manifest, cipher)
        self._storage = storage
        self._read_only = read_only
        self._staging = staging
        self._sound: int | None = None
        """A commit in which there was no evidence against the writer."""
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
        if entry is not None:
            self._learn_manifest(reader)
        if generation is not None:
            self._seen = generation, state
        return state

    def _learn_manifest(self, reader: Reader) -> None:
        """Take over the manifest that another process has learned from a proof."""
        if self.manifest is None:
            meta = catalog.load_feed(reader, self._log.number)
            if meta is not None and meta.manifest:
                self.manifest = Manifest.from_bytes(meta.manifest)

    def _latest(self) -> Head | None:
        seen = self._seen
        if seen is None or seen[0] != self._storage.generation():
            with self._proving() as reader:  # what waits does not change the head
                return self._state(reader)[0]
        return seen[1][0]

    def _waiting(self, index: int) -> bytes | None:
        """Return a block that waits to be stored, unless the feed has left its fork."""
        head = self._latest()
        return self._staging.block(head.fork, index) if head else None

    @property
    def generation(self) -> int:
        """The number of the store's latest commit: while it is the same, nothing has changed."""
        return self._storage.generation()

    def _have(self) -> Ranges:
        waiting = self._staging.batches  # before the stored ones: in between it may be written
        with self._proving() as reader:
            head, _ = self._state(reader)
            stored = self._log.have.ranges(reader, head.length if head else 0)
        pairs = list(stored.pairs)
        for batch in waiting:
            if head and batch.fork == head.fork:
                pairs += [(index, index + 1) for index in tuple(batch.blocks)]
        return Ranges(pairs) if waiting else stored

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
        if self.manifest is None:
            self._latest()
        verified = apply(self._storage, self._log, self.key, self.manifest, proof)
        if self.manifest is None:
            self.manifest = verified.manifest
        self._changed()
        return verified

    def accept(self, proof: Proof) -> Verified:
        """Verify a proof as `apply` does, and store what it shows soon.

        Made for many small proofs of blocks below the present head: they wait in
        memory, where this object's reads find them, until `flush` writes all in one
        transaction. Any read but that of a single block flushes, as do `apply`, a
        transaction of the store, closing it, and 8 MiB that wait. Other proofs are
        applied at once. Raises as `apply` does.
        """
        losses = self._staging.losses
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
        self._refuse_conflict(head.fork)
        trusted = Trusted(partial(self._node, head.fork), question)
        verified = verify(self.key, proof, manifest=self.manifest, trusted=trusted)
        if not self._staging.add(verified, losses):
            raise StoreError("what the proof may build on could not be written")
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

        Raises `StoreError` where the disk refuses; observers are called then as well.
        """
        if self._staging.batches:
            try:
                self._staging.flush(self._storage)
            except BaseException:
                self._changed()
                raise

    def _refuse_conflict(self, fork: int) -> None:
        """Raise `ForkConflict` where there is evidence, as far as a new commit may have some."""
        if self._sound is not None and self._seen is not None and self._sound == self._seen[0]:
            return
        with self._proving() as reader:
            raise_conflict(reader, self._log.number, fork)
            self._sound = reader.generation

    def _node(self, fork: int, index: NodeIndex) -> TreeNode | None:
        """Return a node that is stored, or will be."""
        node = self._staging.node(fork, index)
        if node is None:
            node = self._log.find_nodes(self._storage, (index,)).get(index)
        return node

    def anchors(self, blocks: Iterable[int]) -> list[NodeIndex]:
        """Return nodes that are held and that shorten a proof of these blocks to this reader.

        For the ends of each range, the lowest stored node above it: pass them as
        `anchors` to the other side's `prove`, with `since` = this feed's length.
        Blocks past that length have none. Nodes that were come by lately count first.
        """
        head = self._latest()
        fork, length = (head.fork, head.length) if head else (0, 0)
        edges = {
            edge
            for start, stop in Ranges.of(blocks).pairs
            if start < length
            for edge in (start, min(stop, length) - 1)
        }
        found = {self._lowest(fork, length, edge) for edge in edges}
        return sorted(index for index in found if index is not None)

    def _lowest(self, fork: int, length: int, block: int) -> NodeIndex | None:
        """Return the lowest node above a block that is known, below its root."""
        start, stop = flat_tree.root_span(length, block)
        levels = range((stop - start).bit_length() - 1)  # the root itself is known anyway
        path = [NodeIndex((block >> level << level + 1) + (1 << level) - 1) for level in levels]
        staging = self._staging
        for index in path:
            if staging.node(fork, index):
                return index
        return next((index for index in path if self._node(fork, index)), None)

    @property
    def conflict(self) -> ForkConflict | None:
        """The evidence that the writer contradicted itself in the present fork, if there is any."""
        with self._proving() as reader:
            head, _ = self._state(reader)
            evidence = catalog.load_evidence(reader, self._log.number)
            if evidence is None or (head is not None and evidence.fork < head.fork):
                return None
            return ForkConflict(*catalog.contradicting_heads(evidence))
