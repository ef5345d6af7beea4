"""Proofs: building them from nodes, and checking them with nothing but the feed's key.

One form carries any set of blocks, a byte seek, hashes alone, and an upgrade
from a length that the reader trusts. Shared uncles are in it once. `check_proof`
is pure: it needs no store, and a proof that passes has been used up to the last
node. Specified in docs/spec/feed.md, section 6; `feedlog.plan` holds the rule of
which nodes are in a proof.

Sizes: a node's hash commits to the bytes below it, but a parent's only to the
sum of both children. So a given node's size counts as shown only where its
sibling was computed or trusted; others keep their hash and lose their size.

Knows no storage. Must not take a position, length or algorithm on the proof's word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from feedlog import flat_tree, proof_codec
from feedlog.errors import DecodeError, InvalidProof
from feedlog.flat_tree import NodeIndex
from feedlog.hashing import HashSuite
from feedlog.head import Head
from feedlog.manifest import Manifest
from feedlog.merkle import Roots, Run, TreeNode, subtree
from feedlog.plan import Question, Step, Steps, climb, given_nodes, plan
from feedlog.proof_codec import MAX_BYTES
from feedlog.ranges import Ranges


@dataclass(frozen=True, slots=True)
class Proof:
    """Evidence about a feed, to be checked against its key."""

    question: Question
    """What the proof answers."""
    fork: int
    nodes: tuple[TreeNode, ...]
    """The GIVEN nodes in the order of the plan's steps."""
    data: tuple[bytes, ...] = ()
    """The blocks of `question.blocks` in ascending order."""
    seek: int | None = None
    """A byte offset that one of the blocks contains."""
    manifest: Manifest | None = None
    signatures: tuple[tuple[int, bytes], ...] = ()

    @property
    def length(self) -> int:
        """The length of the head that the proof is against."""
        return self.question.length

    @property
    def blocks(self) -> dict[int, bytes]:
        """The blocks by index; not verified, see `check_proof`."""
        return dict(zip(self.question.blocks, self.data, strict=True))

    def to_bytes(self) -> bytes:
        """Return the encoding of docs/spec/feed.md, section 7."""
        question = self.question
        return proof_codec.encode(
            proof_codec.Fields(
                fork=self.fork,
                length=question.length,
                since=question.since,
                signed=question.signed,
                ranges=question.blocks.pairs,
                hashes=question.hashes,
                anchors=question.anchors,
                seek=self.seek,
                sizes=tuple(size for size, _ in self.nodes),
                digests=b"".join(digest for _, digest in self.nodes),
                blocks=self.data,
                manifest=self.manifest.to_bytes() if self.manifest else b"",
                signatures=self.signatures,
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> Proof:
        """Parse a proof; raises `DecodeError`, whatever the bytes are."""
        fields = proof_codec.decode(data)
        question = Question(
            length=fields.length,
            blocks=Ranges(fields.ranges),
            hashes=cast("tuple[NodeIndex, ...]", fields.hashes),
            since=fields.since,
            anchors=cast("tuple[NodeIndex, ...]", fields.anchors),
            signed=fields.signed,
        )
        if question.blocks.pairs != fields.ranges or len(question.blocks) != len(fields.blocks):
            raise DecodeError("proof", 0, "its ranges do not match its blocks")
        try:
            question.check()
        except ValueError as error:
            raise DecodeError("proof", 0, str(error)) from None
        return cls(
            question=question,
            fork=fields.fork,
            nodes=tuple(zip(fields.sizes, proof_codec.split(fields.digests), strict=True)),
            data=fields.blocks,
            seek=fields.seek,
            manifest=Manifest.from_bytes(fields.manifest) if fields.manifest else None,
            signatures=fields.signatures,
        )


@dataclass(frozen=True, slots=True)
class Verified:
    """What a proof has shown."""

    key: bytes
    fork: int
    length: int
    blocks: dict[int, bytes]
    """The verified blocks by index."""
    head: Head | None
    """The signed head, or None for a proof against a length that the reader trusted before."""
    byte_length: int | None
    """Bytes of the first `length` blocks; None without a head."""
    seek: tuple[int, int] | None
    """Where the byte asked for lies: block index, and offset inside the block."""
    hashes: dict[NodeIndex, bytes]
    """The hashes of the tree nodes that were asked for."""
    manifest: Manifest | None = field(repr=False)
    nodes: dict[NodeIndex, TreeNode] = field(repr=False)
    """Every node whose size and hash are shown, but those inside `runs`."""
    runs: list[Run] = field(repr=False)
    """What runs of adjacent blocks complete."""


def build(
    question: Question,
    fork: int,
    *,
    read_nodes: Callable[[list[NodeIndex]], list[TreeNode]],
    data: tuple[bytes, ...],
    seek: int | None = None,
    manifest: Manifest | None = None,
    signatures: tuple[tuple[int, bytes], ...] = (),
) -> Proof:
    """Assemble the proof that answers a question, reading its nodes in one call."""
    nodes = tuple(read_nodes(given_nodes(question)))
    return Proof(question, fork, nodes, data, seek, manifest, signatures)


def check_proof(
    key: bytes,
    proof: Proof,
    *,
    blocks: Iterable[int] | None = None,
    length: int | None = None,
    fork: int | None = None,
) -> Verified:
    """Verify a proof that stands on its own, with the feed's key (32 bytes) alone.

    `blocks`, `length` and `fork` are what the caller asked for: where given, the
    proof must show exactly these. Raises `InvalidProof`, and `TypeError` where key or proof
    are in another form: `decode_id` and `Proof.from_bytes` parse those.
    """
    if not isinstance(key, bytes) or not isinstance(proof, Proof):
        raise TypeError(
            "a proof is checked with a key of bytes and a Proof, not "
            f"{type(key).__name__} and {type(proof).__name__}"
        )
    if blocks is not None and Ranges.of(blocks) != proof.question.blocks:
        raise InvalidProof(f"proof shows {proof.question.blocks}, not the blocks asked for")
    if length is not None and length != proof.length:
        raise InvalidProof(f"proof is against length {proof.length}, not {length}")
    if fork is not None and fork != proof.fork:
        raise InvalidProof(f"proof is of fork {proof.fork}, not {fork}")
    if proof.question.since or not proof.question.signed:
        raise InvalidProof(
            f"proof builds on a trusted length {proof.question.since} and does not stand alone"
        )
    return verify(key, proof, manifest=proof.manifest, trusted={})


def verify(
    key: bytes,
    proof: Proof,
    *,
    manifest: Manifest | None,
    trusted: Mapping[NodeIndex, TreeNode],
) -> Verified:
    """Verify a proof against the feed's key and the nodes that the reader trusts.

    `trusted` holds the roots of `since` and the anchors, as the reader itself
    verified them. Raises `InvalidProof`.
    """
    if manifest is None or manifest.key() != key:
        raise InvalidProof("proof does not carry the manifest that hashes to the feed's key")
    if proof.manifest is not None and proof.manifest != manifest:
        raise InvalidProof("proof carries another manifest than that of the feed")
    way = climb(proof.question)
    if way is not None and proof.seek is None and not proof.signatures:
        return _verify_climb(key, proof, manifest, trusted, *way)
    run = _Execution(proof, manifest.suite, trusted)
    steps = plan(proof.question)
    run.execute(steps)
    head = None
    if proof.question.signed:
        _sum(*(size for size, _ in run.stack))
        roots = Roots(manifest.suite, proof.length, run.stack)
        head = Head(proof.fork, proof.length, roots.tree_hash(), proof.signatures)
        head.check(key, manifest)
    elif proof.signatures:
        raise InvalidProof("proof has signatures but shows no head")
    return Verified(
        key=key,
        fork=proof.fork,
        length=proof.length,
        blocks=run.blocks,
        head=head,
        byte_length=roots.byte_length if head else None,
        seek=None if proof.seek is None else run.locate(proof.seek),
        hashes={index: run.hash(index) for index in proof.question.hashes},
        manifest=manifest,
        nodes={index: node for index, node in run.values.items() if index not in run.sizeless},
        runs=run.runs,
    )


def _verify_climb(
    key: bytes,
    proof: Proof,
    manifest: Manifest,
    trusted: Mapping[NodeIndex, TreeNode],
    top: NodeIndex,
    siblings: list[NodeIndex],
) -> Verified:
    """Verify one block against a trusted node above it, as `_Execution` would: the short way."""
    order = sorted(siblings)
    if len(order) != len(proof.nodes):
        raise InvalidProof(f"proof has {len(proof.nodes)} nodes, expected {len(order)}")
    nodes = dict(zip(order, proof.nodes, strict=True))
    parent = manifest.suite.parent
    block, data = proof.question.blocks.pairs[0][0], proof.data[0]
    size = len(data)
    digest = manifest.suite.leaf(data)
    index = NodeIndex(2 * block)
    nodes[index] = size, digest
    for level, sibling in enumerate(siblings):
        beside, other = nodes[sibling]
        size += beside
        if size > MAX_BYTES:
            raise InvalidProof(f"nodes of {size} bytes are more than a feed's {MAX_BYTES}")
        digest = parent(size, digest, other) if index < sibling else parent(size, other, digest)
        index = NodeIndex((index & ~(2 << level)) | 1 << level)
        nodes[index] = size, digest
    known = trusted.get(top)
    if known is None:
        raise InvalidProof(f"proof builds on node {top}, which is not trusted here")
    if known != (size, digest):
        raise InvalidProof(f"node {top} differs from the one that is trusted")
    return Verified(
        key=key,
        fork=proof.fork,
        length=proof.length,
        blocks={block: data},
        head=None,
        byte_length=None,
        seek=None,
        hashes={},
        manifest=manifest,
        nodes=nodes,
        runs=[],
    )


def _sum(*sizes: int) -> int:
    """Add the sizes of subtrees; raises `InvalidProof` past what a feed can hold."""
    total = sum(sizes)
    if total > MAX_BYTES:
        raise InvalidProof(f"nodes of {total} bytes are more than a feed's {MAX_BYTES}")
    return total


class _Execution:
    """The stack machine of `feedlog.plan`, on the nodes of one proof."""

    def __init__(
        self, proof: Proof, suite: HashSuite, trusted: Mapping[NodeIndex, TreeNode]
    ) -> None:
        self.proof = proof
        self.suite = suite
        self.trusted = trusted
        self.blocks = proof.blocks
        self.given = iter(proof.nodes)
        self.stack: list[TreeNode] = []
        self.values: dict[NodeIndex, TreeNode] = {}
        self.sizeless: set[NodeIndex] = set()
        self.runs: list[Run] = []

    def execute(self, steps: Steps) -> None:
        given = {index for step, index in steps if step is Step.GIVEN}
        if len(given) != len(self.proof.nodes):
            raise InvalidProof(f"proof has {len(self.proof.nodes)} nodes, expected {len(given)}")
        for step, index in steps:
            if step is Step.GIVEN:
                self._push(index, next(self.given))
            elif step is Step.KNOWN:
                self._push(index, self._trusted(index))
            elif step is Step.BLOCKS:
                self._push(index, self._subtree(index))
            elif step is Step.JOIN:
                right_size, right = self.stack.pop()
                left_size, left = self.stack.pop()
                children = flat_tree.children(index)
                if given.issuperset(children):
                    self.sizeless.update(children)
                size = _sum(left_size, right_size)
                self._push(index, (size, self.suite.parent(size, left, right)))
            elif self.stack.pop() != self._trusted(index):
                raise InvalidProof(f"node {index} differs from the one that is trusted")

    def _push(self, index: NodeIndex, node: TreeNode) -> None:
        self.values[index] = node
        self.stack.append(node)

    def _trusted(self, index: NodeIndex) -> TreeNode:
        node = self.trusted.get(index)
        if node is None:
            raise InvalidProof(f"proof builds on node {index}, which is not trusted here")
        return node

    def hash(self, index: NodeIndex) -> bytes:
        """Return the hash of a node that was asked for; one that is trusted needs no step."""
        return (self.values.get(index) or self._trusted(index))[1]

    def _subtree(self, index: NodeIndex) -> TreeNode:
        start, stop = flat_tree.span(index)
        root, run = subtree(self.suite, start, [self.blocks[at] for at in range(start, stop)])
        self.runs.append(run)
        return root

    def locate(self, byte_offset: int) -> tuple[int, int]:
        """Return the block of the proof with this byte, and the byte's place in it.

        Only the first block of each range is counted up to through the tree.
        """
        sizes = self._sizes()
        for start, stop in self.proof.question.blocks.pairs:
            at = self._byte_offset(start, sizes)
            for block in range(start, stop):
                size = len(self.blocks[block])
                if at <= byte_offset < at + size:
                    return block, byte_offset - at
                at += size
        raise InvalidProof(f"byte {byte_offset} is in none of the blocks shown")

    def _sizes(self) -> dict[NodeIndex, int]:
        """Return the sizes of all nodes that are trusted, given or computed."""
        sizes = {index: size for index, (size, _) in {**self.trusted, **self.values}.items()}
        for run in self.runs:
            sizes.update((index, size) for index, (size, _) in run.nodes())
        return sizes

    def _byte_offset(self, block: int, sizes: Mapping[NodeIndex, int]) -> int:
        """Return the first byte of a block; every node to its left below a root is shown."""
        roots = flat_tree.roots(self.proof.length)
        total = 0
        index = flat_tree.node(0, block)
        try:
            while index not in roots:
                if flat_tree.is_right(index):
                    total += sizes[flat_tree.sibling(index)]
                index = flat_tree.parent(index)
            return total + sum(sizes[root] for root in roots[: roots.index(index)])
        except KeyError as error:
            raise InvalidProof(f"the size of node {error} is not shown") from None
