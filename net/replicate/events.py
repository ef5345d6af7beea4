"""What the replication of a feed tells its owner."""

from __future__ import annotations

from dataclasses import dataclass

from feedlog.errors import FeedlogError
from feedlog.proof import Verified
from net.errors import PeerError
from net.replicate.session import Query, Session
from net.replicate.spans import Span


@dataclass(slots=True)  # one comes with every proof, and freezing it would cost as much again
class BlocksStored:
    """Blocks are held now that were not."""

    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class HeadChanged:
    """The feed has another head: it grew, or it follows a new fork."""

    fork: int
    length: int


@dataclass(frozen=True, slots=True)
class QueryAnswered:
    """A query is answered (with nothing, where nobody has anything newer)."""

    query: Query
    verified: Verified | None


@dataclass(frozen=True, slots=True)
class QueryFailed:
    """Every peer that could be asked gave no answer."""

    query: Query


@dataclass(frozen=True, slots=True)
class PeerFailed:
    """The peer is not to be dealt with any more."""

    session: Session
    error: PeerError


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """What came could not be stored: a conflict of the writer's making, or the disk."""

    error: FeedlogError


Event = BlocksStored | HeadChanged | QueryAnswered | QueryFailed | PeerFailed | StoreFailed
