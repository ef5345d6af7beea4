"""Checking a stored feed against itself, from the first block to the signatures.

Everything that the engine relies on is computed anew from what is on the disk:

    record      parses, and is written as it would be written today
    block       hashes to its leaf, has the leaf's size, and is noted as held
    node        hashes from its two children, where these are here
                hangs together: up to the signed root, each node has its sibling
    head        its tree hash and byte length come from the roots, a quorum signed it
    evidence    both heads are signed and contradict each other
    pages       no block is noted as held that is not here

Streams through the entries in one read transaction and keeps one page of held
blocks at a time, so that the memory is the same for any feed. Specified in
docs/spec/store.md.

Knows everything that is stored of one feed. Must not change anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pyroaring import BitMap

from feedlog import catalog, flat_tree, layout
from feedlog.errors import CorruptError, DecodeError, InvalidProof
from feedlog.flat_tree import NodeIndex
from feedlog.have import PAGE_BITS, PAGE_BLOCKS
from feedlog.head import Head
from feedlog.layout import Record
from feedlog.log import Log
from feedlog.manifest import Manifest
from feedlog.merkle import Roots, TreeNode
from feedlog.proof import Proof
from feedlog.storage import Reader


@dataclass(slots=True)
class AuditReport:
    """What an audit counted, up to the first fault if there is one."""

    heads: int = 0
    """Signed heads, each verified."""
    records: int = 0
    """Blocks of which anything is stored."""
    nodes: int = 0
    """Nodes of the tree."""
    blocks: int = 0
    """Blocks held, each hashed."""
    bytes: int = 0
    """Bytes of the blocks held."""
    fault: CorruptError | None = field(default=None)
    """The first thing that is wrong, in the order of the log; None for a sound feed."""


def audit(reader: Reader, log: Log, key: bytes, manifest: Manifest | None) -> AuditReport:
    """Check all that one state of the store has of a feed; see `Feed.audit`."""
    report = AuditReport()
    try:
        _Audit(reader, log, key, manifest, report).run()
    except CorruptError as fault:
        report.fault = fault
    return report


class _Audit:
    def __init__(
        self,
        reader: Reader,
        log: Log,
        key: bytes,
        manifest: Manifest | None,
        report: AuditReport,
    ) -> None:
        self.reader = reader
        self.log = log
        self.key = key
        self.report = report
        self.manifest = manifest
        entry = log.last_entry(reader)
        self.length = log.decode_head(entry)[0].length if entry else 0
        self.roots = frozenset(flat_tree.roots(self.length))
        self.page = -1
        self.bits = BitMap()
        self.seen = 0
        self.outside: int | None = None

    def run(self) -> None:
        if self.manifest is not None and self.manifest.key() != self.key:
            raise CorruptError("the manifest does not hash to the feed's key")
        for key, value in self.log.entries(self.reader):
            block, kind = layout.block_of(key), key[layout.KEY_SIZE :]
            if self.outside is not None and (block, kind) != (self.outside, layout.DATA_SUFFIX):
                raise CorruptError(f"the data of block {self.outside} is gone from the disk")
            if not kind:
                self._record(block, value)
            elif kind == layout.DATA_SUFFIX:
                self._data(block, value)
            elif kind[:1] == layout.HEAD_SUFFIX and len(key) == layout.HEAD_KEY_SIZE:
                self._head(*layout.decode_head(key, value))
            else:
                raise CorruptError(f"entry {key.hex()} is none of a feed")
        self._turn_to(-(-self.length >> PAGE_BITS))
        self._evidence()

    # Blocks.

    def _record(self, block: int, value: bytes) -> None:
        record = layout.parse_record(value, block)
        if record is None:
            raise CorruptError(f"the record of block {block} does not parse")
        self.report.records += 1
        self._turn_to(block >> PAGE_BITS)
        if block >= self.length:
            raise CorruptError(f"block {block} is stored past the length {self.length}")
        if record.held != (block & PAGE_BLOCKS - 1 in self.bits):
            noted, found = ("missing", "here") if record.held else ("held", "not here")
            raise CorruptError(f"block {block} is noted as {noted} and is {found}")
        if record.data is not None:
            self._block(block, record.data)
        for level in sorted(record.nodes):
            self._node(block, level, record)
        self.outside = block if record.outside else None
        self.seen += record.held

    def _data(self, block: int, data: bytes) -> None:
        if self.outside is None:
            raise CorruptError(f"the data of block {block} belongs to no record")
        self.outside = None
        self._block(block, data)

    def _block(self, block: int, data: bytes) -> None:
        leaf = self.log.find_nodes(self.reader, [flat_tree.node(0, block)])
        expected = (len(data), self._required().suite.leaf(data))
        if leaf.get(flat_tree.node(0, block)) != expected:
            raise CorruptError(f"block {block} does not hash to its leaf")
        self.report.blocks += 1
        self.report.bytes += len(data)

    def _turn_to(self, page: int) -> None:
        """Close the pages of held blocks before `page`, and open it."""
        while self.page < page:
            if self.page >= 0:
                start = self.page << PAGE_BITS
                noted = self.bits.range_cardinality(0, min(self.length - start, PAGE_BLOCKS))
                if noted != self.seen:
                    raise CorruptError(
                        f"{noted} blocks are noted as held from block {start} on, "
                        f"and {self.seen} are here"
                    )
            self.page += 1
            self.bits = self.log.have.page(self.reader, self.page)
            self.seen = 0

    # The tree.

    def _node(self, block: int, level: int, record: Record) -> None:
        self.report.nodes += 1
        index = flat_tree.node(level, block >> level)
        if level:
            left, right = flat_tree.children(index)
            below = self.log.find_nodes(self.reader, [left])
            pair = (below.get(left), record.nodes.get(level - 1))
            if pair[0] and pair[1] and record.nodes[level] != self._parent(pair[0], pair[1]):
                raise CorruptError(f"tree node {index} does not hash from {left} and {right}")
        if index not in self.roots and not self._hangs(index):
            raise CorruptError(f"tree node {index} hangs from no signed root")

    def _parent(self, left: TreeNode, right: TreeNode) -> TreeNode:
        size = left[0] + right[0]
        return size, self._required().suite.parent(size, left[1], right[1])

    def _hangs(self, index: NodeIndex) -> bool:
        """Tell whether the node's parent and sibling are here, from which its hash is vouched."""
        kin = [flat_tree.parent(index), flat_tree.sibling(index)]
        return len(self.log.find_nodes(self.reader, kin)) == len(kin)

    # Heads.

    def _head(self, head: Head, byte_length: int) -> None:
        self._check_head(head)
        indexes = flat_tree.roots(head.length)
        stored = self.log.find_nodes(self.reader, indexes)
        if len(stored) < len(indexes):
            raise CorruptError(f"roots of the head of length {head.length} are not here")
        roots = Roots(self._required().suite, head.length, [stored[index] for index in indexes])
        if roots.tree_hash() != head.tree_hash:
            raise CorruptError(f"the head of length {head.length} signs another tree")
        if roots.byte_length != byte_length:
            raise CorruptError(
                f"the head of length {head.length} states {byte_length} bytes, "
                f"its roots {roots.byte_length}"
            )
        self.report.heads += 1

    def _check_head(self, head: Head) -> None:
        try:
            head.check(self.key, self._required())
        except InvalidProof as error:
            raise CorruptError(str(error)) from None

    def _required(self) -> Manifest:
        if self.manifest is None:
            raise CorruptError("blocks or heads are stored without the feed's manifest")
        return self.manifest

    def _evidence(self) -> None:
        evidence = catalog.load_evidence(self.reader, self.log.number)
        if evidence is None:
            return
        left, right = catalog.contradicting_heads(evidence)
        for head in (left, right):
            self._check_head(head)
        try:
            proof = Proof.from_bytes(evidence.proof)
        except DecodeError as error:
            raise CorruptError(f"the evidence does not parse: {error}") from None
        facts = (proof.fork, proof.length, proof.signatures)
        if left == right or facts != (right.fork, right.length, right.signatures):
            raise CorruptError("the evidence does not contradict the feed")
