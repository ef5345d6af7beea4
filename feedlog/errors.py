"""Everything that feedlog raises on account of data, disks or peers.

Misuse of the API is not here: it raises `ValueError`, `TypeError` or `IndexError`.
Attributes carry the facts; the message is one sentence that holds the numbers.

    FeedlogError
      DecodeError        bytes that do not parse: a proof, a manifest, a stored record
      InvalidProof       it parses, but it does not show what it should
      BlockMissing       the block exists in the feed and is not held here
      NotWritable        no secret key for this feed, or the store is read-only
      ForkConflict       two signed heads that cannot both be true: evidence against the writer
      StoreError         the disk: damaged, full, locked, or not a store at all
        CorruptError     stored bytes that are not what was written
"""

from __future__ import annotations

from typing import Protocol


class FeedlogError(Exception):
    """Base of every error that data, a disk or a peer can cause."""


class DecodeError(FeedlogError):
    """Bytes do not parse as what they should be.

    `what` names the format, `offset` is where parsing stopped.
    """

    def __init__(self, what: str, offset: int, reason: str) -> None:
        super().__init__(f"{what}: {reason} (at byte {offset})")
        self.what = what
        self.offset = offset


class InvalidProof(FeedlogError):
    """A proof parses but does not verify; nothing of it was stored."""


class BlockMissing(FeedlogError):
    """Block `index` lies inside the feed but is not held in this store."""

    def __init__(self, index: int, what: str = "block") -> None:
        super().__init__(f"{what} {index} is not held in this store")
        self.index = index


class NotWritable(FeedlogError):
    """The feed's secret key is not here, or the store was opened read-only."""


class SignedHead(Protocol):
    """What `ForkConflict` says of a head; `feedlog.Head` has it."""

    @property
    def fork(self) -> int:
        """How often the feed had been truncated."""

    @property
    def length(self) -> int:
        """Blocks that the head vouches for."""

    @property
    def tree_hash(self) -> bytes:
        """Hash of their tree, 32 bytes."""

    @property
    def signatures(self) -> tuple[tuple[int, bytes], ...]:
        """The signers' places and signatures."""


class ForkConflict(FeedlogError):
    """The writer signed two heads of one fork that cannot both be true.

    `left` is the head that this store followed, `right` the contradicting one.
    Both are kept in the store, and the error is raised again after a restart.
    """

    def __init__(self, left: SignedHead, right: SignedHead) -> None:
        super().__init__(
            f"the feed was signed twice in fork {left.fork}: at length {left.length} "
            f"and, contradicting it, at length {right.length}"
        )
        self.left = left
        self.right = right


class StoreError(FeedlogError):
    """The store on disk cannot be used: damaged, full, locked, or not a store."""


class CorruptError(StoreError):
    """Stored bytes are not what was written."""
