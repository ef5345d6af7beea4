"""How a newly signed head fits the one that is known: extends it, forks from it, contradicts it.

Nodes decide. A head counts as extending ours where the proof shows our roots
unchanged, as contradicting ours where it shows one changed. A head of a newer
fork keeps the blocks up to the first that is not shown to be common. What shows
neither is refused: the sender has to prove more. Specified in docs/spec/feed.md,
section 9.

Knows heads and nodes, verified and stored. Must not write.
"""

from __future__ import annotations

from bisect import bisect_right

from feedlog import flat_tree
from feedlog.errors import ForkConflict, InvalidProof
from feedlog.flat_tree import NodeIndex
from feedlog.head import Head
from feedlog.log import Log
from feedlog.merkle import Roots, TreeNode
from feedlog.proof import Verified
from feedlog.storage import Reader


def kept_length(
    reader: Reader, log: Log, ours: Head, head: Head, verified: Verified, since: int
) -> int:
    """Return how many of our blocks belong to the new head's feed, too.

    `since` is the length that the proof builds on. Raises `InvalidProof` where the
    proof does not show how both heads go together, `ForkConflict` where it shows
    that they do not.
    """
    if head.fork < ours.fork:
        raise InvalidProof(f"head is of fork {head.fork}, older than fork {ours.fork} known here")
    if head.fork > ours.fork:
        return max(since, _common(reader, log, min(ours.length, head.length), _Shown(verified)))
    if head.length > ours.length:
        if since != ours.length:
            _require_extension(reader, log, ours, head, _Shown(verified))
    else:
        _require_same(reader, log, ours, head, verified)
    return ours.length


class _Shown:
    """The nodes that a proof has shown, by index.

    Only those with their size: they are stored together with their sibling, so that
    what lies below them can be proven on. A bare hash can contradict, but not link.
    """

    def __init__(self, verified: Verified) -> None:
        self.hashes = verified.hashes
        self._nodes = verified.nodes
        self._runs = sorted(verified.runs, key=lambda run: run.start)
        self._starts = [run.start for run in self._runs]

    def get(self, index: NodeIndex) -> TreeNode | None:
        """Return a node, or None where it was not shown."""
        if index in self._nodes:
            return self._nodes[index]
        at = bisect_right(self._starts, flat_tree.last_block(index)) - 1
        return self._runs[at].get(index) if at >= 0 else None


def _common(reader: Reader, log: Log, limit: int, shown: _Shown) -> int:
    """Return how far equal nodes, shown and stored, tile the feed from its start.

    At each place the largest node is tried first: few steps, as a head's own roots do.
    """
    at = 0
    while at < limit:
        level = min(at & -at or limit, limit - at).bit_length() - 1
        for candidate in range(level, -1, -1):
            index = flat_tree.node(candidate, at >> candidate)
            node = shown.get(index)
            if node is not None and log.find_nodes(reader, [index]).get(index) == node:
                at += 1 << candidate
                break
        else:
            return at
    return at


def _require_extension(reader: Reader, log: Log, ours: Head, head: Head, shown: _Shown) -> None:
    """Check that a longer head extends ours, though the proof does not build on our length."""
    roots = flat_tree.roots(ours.length)
    unshown = False
    for index, stored in zip(roots, log.nodes(reader, roots), strict=True):
        node = shown.get(index)
        if (node or stored) != stored or shown.hashes.get(index, stored[1]) != stored[1]:
            raise ForkConflict(ours, head)
        unshown = unshown or node is None
    if unshown:
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
        raise ForkConflict(ours, head)
