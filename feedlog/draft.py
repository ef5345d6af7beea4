"""A batch on its way to its signatures: what a quorum is asked to sign, complete and checkable.

The writer of a draft need not be a signer. A draft holds the blocks to append and a
proof of the head that they follow; so whoever receives its bytes computes the new
tree for himself, and signs what he has computed, not a hash that he was sent. Once a
quorum has signed, `Feed.commit` appends it. Specified in docs/spec/feed.md, section 4.

    byte 0      version = 1
    byte 1..    MessagePack array: manifest, fork, base, blocks, signatures

`base` is an encoded proof of the head that the draft follows, empty for the first batch.

Warning for signers: two drafts of one length and fork, both signed by a quorum, are
evidence against the feed. Sign one, and another only when the first is given up for good.

Knows heads, blocks and signatures. Must not know storage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from feedlog import hashing
from feedlog.errors import DecodeError, InvalidProof
from feedlog.head import Head
from feedlog.keys import KeyPair, verify
from feedlog.manifest import MAX_SIGNERS, Manifest
from feedlog.merkle import Roots
from feedlog.plan import Question
from feedlog.proof import Proof, check_proof
from feedlog.proof_codec import MAX_FORK, MAX_LENGTH, MAX_PROOF_BLOCKS, Block, Place, Signature
from feedlog.ranges import Ranges

VERSION = 1
MAX_BLOCKS = MAX_PROOF_BLOCKS
"""Blocks in a draft: as many as a proof carries."""
MAX_BASE_SIZE = 8192
"""Bytes of the proof of a head: 40 roots, 32 signers and 32 signatures are under 6 KiB."""


class _Fields(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    manifest: Annotated[bytes, msgspec.Meta(max_length=4 + 32 * MAX_SIGNERS)]
    fork: Annotated[int, msgspec.Meta(ge=0, le=MAX_FORK)]
    base: Annotated[bytes, msgspec.Meta(max_length=MAX_BASE_SIZE)]
    blocks: Annotated[tuple[Block, ...], msgspec.Meta(min_length=1, max_length=MAX_BLOCKS)]
    signatures: Annotated[tuple[tuple[Place, Signature], ...], msgspec.Meta(max_length=MAX_SIGNERS)]


class Draft:
    """Blocks that a feed has not got yet, and the signatures that they have so far.

    Made by `Feed.draft` or `Draft.from_bytes`. Raises `InvalidProof` where the base
    is not a signed head of the manifest's feed.
    """

    def __init__(
        self, manifest: Manifest, fork: int, base: Proof | None, blocks: Sequence[bytes]
    ) -> None:
        """Take the proof of the head that the blocks follow, and the blocks as stored."""
        self.manifest = manifest
        self.key = manifest.key()
        """The feed's key: compare it with the feed that you mean to sign for."""
        self.fork = fork
        self.blocks = tuple(blocks)
        """The blocks as they are stored: encrypted, if the feed is."""
        self.base = base
        roots = Roots(manifest.suite)
        self.base_head: Head | None = None
        """The signed head that the draft follows; None for a feed's first batch."""
        if base is not None:
            if base.question != Question(length=base.length):
                raise InvalidProof("a draft's base shows more than a head")
            self.base_head = check_proof(self.key, base, fork=fork).head
            roots = Roots(manifest.suite, base.length, base.nodes)
        elif fork:
            raise InvalidProof(f"a feed's first batch is of fork 0, not {fork}")
        self.start = roots.length
        """The index of the first block."""
        if self.start + len(self.blocks) > MAX_LENGTH:
            raise InvalidProof(f"a feed holds at most {MAX_LENGTH} blocks")
        roots.extend(self.blocks)
        self.length = roots.length
        """The feed's length with the draft."""
        self.tree_hash = roots.tree_hash()
        """What `root_hash` will be with the draft."""
        self._signatures: dict[int, bytes] = {}

    def __repr__(self) -> str:
        """Show what is to be signed and how far it is."""
        return (
            f"<Draft of blocks {self.start}..{self.length} fork={self.fork} "
            f"signatures={len(self._signatures)}/{self.manifest.quorum}>"
        )

    @property
    def signable(self) -> bytes:
        """The bytes that each signer signs: see `feedlog.hashing.head_signable`."""
        return hashing.head_signable(self.key, self.tree_hash, self.length, self.fork)

    @property
    def signatures(self) -> tuple[tuple[int, bytes], ...]:
        """The valid signatures so far, each with its signer's place in the manifest."""
        return tuple(sorted(self._signatures.items()))

    @property
    def complete(self) -> bool:
        """Whether a quorum has signed."""
        return len(self._signatures) >= self.manifest.quorum

    def sign(self, key_pair: KeyPair) -> None:
        """Sign as the signer with this key pair; raises `ValueError` if it is none of them."""
        if key_pair.public_key not in self.manifest.signers:
            raise ValueError("the key pair is not one of the feed's signers")
        place = self.manifest.signers.index(key_pair.public_key)
        self._signatures[place] = key_pair.sign(self.signable)

    def add(self, place: int, signature: bytes) -> None:
        """Add the signature (64 bytes) of the signer at a place of the manifest.

        Raises `InvalidProof` where it is not one, `ValueError` for a place that
        there is not. A signer counts once, however often its signature is added.
        """
        if not 0 <= place < len(self.manifest.signers):
            raise ValueError(f"signer {place} is not one of {len(self.manifest.signers)}")
        if not verify(self.manifest.signers[place], self.signable, signature):
            raise InvalidProof(f"signature of signer {place} on the draft is not valid")
        self._signatures[place] = signature

    def proof(self) -> Proof:
        """Return the proof that brings a replica of the base the draft's blocks and head.

        Raises `InvalidProof` while signatures are missing.
        """
        if not self.complete:
            raise InvalidProof(
                f"draft has {len(self._signatures)} signatures, the quorum is "
                f"{self.manifest.quorum}"
            )
        return Proof(
            Question(
                length=self.length, blocks=Ranges([(self.start, self.length)]), since=self.start
            ),
            self.fork,
            nodes=(),
            data=self.blocks,
            manifest=self.manifest,
            signatures=self.signatures[: self.manifest.quorum],
        )

    def to_bytes(self) -> bytes:
        """Return the draft with its signatures, for a signer or for whoever collects them."""
        fields = _Fields(
            self.manifest.to_bytes(),
            self.fork,
            self.base.to_bytes() if self.base else b"",
            self.blocks,
            self.signatures,
        )
        return bytes((VERSION,)) + msgspec.msgpack.encode(fields)

    @classmethod
    def from_bytes(cls, data: bytes) -> Draft:
        """Parse a draft and verify its base and signatures.

        Raises `DecodeError` or `InvalidProof`, whatever the bytes are.
        """
        if not data or data[0] != VERSION:
            raise DecodeError("draft", 0, f"version {data[0]} is not known" if data else "no bytes")
        try:
            fields = msgspec.msgpack.decode(memoryview(data)[1:], type=_Fields)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DecodeError("draft", 1, str(error)) from None
        base = Proof.from_bytes(fields.base) if fields.base else None
        draft = cls(Manifest.from_bytes(fields.manifest), fields.fork, base, fields.blocks)
        for place, signature in fields.signatures:
            if place >= len(draft.manifest.signers):
                raise InvalidProof(f"signer {place} is not one of {len(draft.manifest.signers)}")
            draft.add(place, signature)
        return draft
