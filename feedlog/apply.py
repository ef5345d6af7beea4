"""Applying a proof to a replica: verify, link, store.

Verification is pure and happens outside the write transaction, unless the feed
changes meanwhile; then what the proof showed is stored in one. A signed
head is accepted only where it is shown to extend, or to be extended by, what is
held: what cannot be linked is refused, and what contradicts is kept as evidence.
Specified in docs/spec/feed.md, section 9.

Knows proofs and one feed's entries. Must not know where proofs come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from feedlog import catalog, flat_tree
from feedlog.errors import ForkConflict, InvalidProof
from feedlog.flat_tree import NodeIndex
from feedlog.head import Head
from feedlog.link import kept_length
from feedlog.log import Entry, Log
from feedlog.manifest import Manifest
from feedlog.merkle import TreeNode
from feedlog.proof import Proof, Verified, verify
from feedlog.ranges import Ranges
from feedlog.storage import Reader, Storage, Writer


def apply(
    storage: Storage, log: Log, key: bytes, manifest: Manifest | None, proof: Proof
) -> Verified:
    """Verify a proof and store what it shows; see `Feed.apply`."""
    refused: InvalidProof | None = None
    with storage.read() as reader:
        entry = log.last_entry(reader)
        try:
            ours, verified = _check(reader, log, entry, key, manifest, proof)
        except InvalidProof as error:
            refused = error
    conflict: ForkConflict | None = None
    with storage.write() as writer:
        catalog.require_feed(writer, log.number, key)
        latest = log.last_entry(writer)
        if latest != entry:
            # Somebody, or the transaction that this one joins, has changed the feed.
            ours, verified = _check(writer, log, latest, key, manifest, proof)
        elif refused is not None:
            raise refused
        try:
            _store(writer, log, ours, proof, verified)
        except ForkConflict as found:
            conflict = found
            _keep(writer, log.number, conflict, proof)
    if conflict is not None:
        raise conflict
    return verified


def _check(
    reader: Reader,
    log: Log,
    entry: Entry | None,
    key: bytes,
    manifest: Manifest | None,
    proof: Proof,
) -> tuple[Head | None, Verified]:
    """Verify a proof against one state of the feed; return the head of that state, too."""
    ours = log.decode_head(entry)[0] if entry else None
    trusted = _trusted(reader, log, ours, proof)
    return ours, verify(key, proof, manifest=manifest or proof.manifest, trusted=trusted)


def raise_conflict(reader: Reader, number: int, fork: int) -> None:
    """Raise `ForkConflict` if there is evidence against the writer in this fork or a later one."""
    evidence = catalog.load_evidence(reader, number)
    if evidence is not None and evidence.fork >= fork:
        raise ForkConflict(*catalog.contradicting_heads(evidence))


def _trusted(
    reader: Reader, log: Log, ours: Head | None, proof: Proof
) -> Mapping[NodeIndex, TreeNode]:
    """Return the nodes that the proof builds on, as they are stored here."""
    question = proof.question
    if not question.since:
        return {}
    if ours is None or question.since > ours.length:
        raise InvalidProof(
            f"proof builds on length {question.since}, known here is {ours.length if ours else 0}"
        )
    if not question.signed and proof.fork != ours.fork:
        raise InvalidProof(f"proof is of fork {proof.fork}, known here is fork {ours.fork}")
    return _Stored(reader, log, [*flat_tree.roots(question.since), *question.anchors])


class _Stored(Mapping[NodeIndex, TreeNode]):
    """Nodes as they are stored, each read when it is asked for: a proof needs few of its roots."""

    def __init__(self, reader: Reader, log: Log, indexes: Sequence[NodeIndex]) -> None:
        self._reader = reader
        self._log = log
        self._indexes = indexes

    def __getitem__(self, index: NodeIndex) -> TreeNode:
        if index not in self._indexes:
            raise KeyError(index)
        return self._log.find_nodes(self._reader, [index])[index]

    def __iter__(self) -> Iterator[NodeIndex]:
        return iter(self._log.find_nodes(self._reader, self._indexes))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _store(writer: Writer, log: Log, ours: Head | None, proof: Proof, verified: Verified) -> None:
    """Store what was shown; a `ForkConflict` leaves everything as it was."""
    head, kept = verified.head, 0
    if ours is not None:
        raise_conflict(writer, log.number, head.fork if head else ours.fork)
        if head is not None:
            since = proof.question.since
            kept = kept_length(writer, log, ours, head, verified, since)
            if head.fork > ours.fork:
                log.truncate(writer, kept)
    if not log.merge(writer, verified.nodes, verified.runs, verified.blocks):
        if head is None or ours is None or head.fork > ours.fork:
            raise InvalidProof("proof differs from nodes that are verified here")
        raise ForkConflict(ours, head)
    if head is not None and verified.byte_length is not None:
        writer.put(*log.head_entry(head, verified.byte_length))
        if log.have.dense and head.length > kept:
            missing = Ranges([(kept, head.length)]).minus(Ranges.of(verified.blocks))
            log.have.remove(writer, missing)
        _learn_manifest(writer, log.number, verified)


def _learn_manifest(writer: Writer, number: int, verified: Verified) -> None:
    meta = catalog.load_feed(writer, number)
    if meta is not None and not meta.manifest and verified.manifest is not None:
        catalog.save_feed(writer, number, meta.with_manifest(verified.manifest.to_bytes()))


def _keep(writer: Writer, number: int, conflict: ForkConflict, proof: Proof) -> None:
    """Store the evidence of a conflict."""
    left, right = conflict.left, conflict.right
    catalog.save_evidence(
        writer,
        number,
        catalog.Evidence(
            fork=left.fork,
            left=(left.length, left.tree_hash, left.signatures),
            right=(right.length, right.tree_hash, right.signatures),
            proof=proof.to_bytes(),
        ),
    )
