"""Applying a proof to a replica: verify, link, store.

Verification is pure and happens outside the write transaction, unless the feed
changes meanwhile; then what the proof showed is stored in one. A signed
head is accepted only where it is shown to extend, or to be extended by, what is
held: what cannot be linked is refused, and what contradicts is kept as evidence.
Specified in docs/spec/feed.md, section 9.

Knows proofs and one feed's entries. Must not know where proofs come from.
"""

from __future__ import annotations

from feedlog import catalog, flat_tree
from feedlog.errors import ForkConflict, InvalidProof
from feedlog.flat_tree import NodeIndex
from feedlog.head import Head
from feedlog.log import Entry, Log
from feedlog.manifest import Manifest
from feedlog.merkle import Roots, TreeNode
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
        except _Conflict as found:
            conflict = ForkConflict(found.left, found.right)
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


class _Conflict(Exception):
    def __init__(self, left: Head, right: Head) -> None:
        self.left = left
        self.right = right


def _trusted(
    reader: Reader, log: Log, ours: Head | None, proof: Proof
) -> dict[NodeIndex, TreeNode]:
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
    return log.find_nodes(reader, [*flat_tree.roots(question.since), *question.anchors])


def _store(writer: Writer, log: Log, ours: Head | None, proof: Proof, verified: Verified) -> None:
    head = verified.head
    if ours is not None:
        raise_conflict(writer, log.number, head.fork if head else ours.fork)
        if head is not None:
            _link(writer, log, ours, head, proof, verified)
    if not log.merge(writer, verified.nodes, verified.runs, verified.blocks):
        if head is None or ours is None:
            raise InvalidProof("proof differs from nodes that are verified here")
        raise _Conflict(ours, head)
    if head is not None and verified.byte_length is not None:
        log.put_head(writer, head, verified.byte_length)
        _learn_manifest(writer, log.number, verified)


def _link(
    writer: Writer, log: Log, ours: Head, head: Head, proof: Proof, verified: Verified
) -> None:
    """Make room for a signed head beside ours, or raise."""
    if head.fork < ours.fork:
        raise InvalidProof(f"head is of fork {head.fork}, older than fork {ours.fork} known here")
    if head.fork > ours.fork:
        log.truncate(writer, proof.question.since)
    elif head.length > ours.length:
        if proof.question.since != ours.length:
            _require_shown(writer, log, ours, head, verified)
        if log.have.dense:
            log.have.remove(writer, Ranges([(ours.length, head.length)]))
    else:
        _require_same(writer, log, ours, head, verified)


def _require_shown(reader: Reader, log: Log, ours: Head, head: Head, verified: Verified) -> None:
    """Check that a longer head extends ours, though the proof does not build on our length."""
    roots = flat_tree.roots(ours.length)
    shown = _shown(verified, roots)
    for index, stored in zip(roots, log.nodes(reader, roots), strict=True):
        if index in shown and shown[index] != stored:
            raise _Conflict(ours, head)
    if len(shown) < len(roots):
        raise InvalidProof(
            f"proof does not show that length {head.length} extends length {ours.length}: "
            f"prove it with since={ours.length}"
        )


def _require_same(reader: Reader, log: Log, ours: Head, head: Head, verified: Verified) -> None:
    """Check that a head no longer than ours is one that ours extends."""
    assert verified.manifest is not None, "verified proofs have their manifest"
    if head.length == ours.length:
        same = head.tree_hash == ours.tree_hash
    else:
        indexes = flat_tree.roots(head.length)
        stored = log.find_nodes(reader, indexes)
        if len(stored) < len(indexes):
            raise InvalidProof(
                f"the head of length {head.length} cannot be linked to length {ours.length} here"
            )
        roots = Roots(verified.manifest.suite, head.length, [stored[index] for index in indexes])
        same = head.tree_hash == roots.tree_hash()
    if not same:
        raise _Conflict(ours, head)


def _shown(verified: Verified, indexes: list[NodeIndex]) -> dict[NodeIndex, TreeNode]:
    """Return those of the nodes that the proof has shown."""
    shown = {index: verified.nodes[index] for index in indexes if index in verified.nodes}
    for index in indexes:
        block, level = flat_tree.last_block(index), flat_tree.level(index)
        for start, columns in verified.runs:
            if start <= block < start + len(columns) and level < len(columns[block - start]):
                shown[index] = columns[block - start][level]
    return shown


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
