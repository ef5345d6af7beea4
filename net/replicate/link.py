"""One peer as the scheduler sees it: what it offers, and what it has been asked for.

Invariant: `asked` is what is in flight at the peer, under the number that the answers name.
Must not know the other peers, or why it was asked. Time comes in as `now`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from net.replicate.pace import Pace
from net.replicate.spans import Spans

MAX_REQUESTS = 128
"""Requests in flight at one peer: half of what a server lets wait."""


@dataclass(slots=True, eq=False)
class Asked:
    """A request in flight."""

    id: int
    spans: Spans
    """The blocks that it still owes."""
    urgent: bool
    cost: int
    """Bytes that we expect of it still."""
    sent_at: float = 0.0
    delivered_then: int = 0
    depth: int = 0
    answered: bool = False
    late: bool = False
    copies: int = 1


@dataclass(eq=False)
class Link:
    """What the scheduler knows of one peer."""

    have: Spans = field(default_factory=Spans)
    base: int | None = None
    """The length that its proofs can be against; None where we cannot use it."""
    pace: Pace = field(default_factory=Pace)
    asked: dict[int, Asked] = field(default_factory=dict)
    heard_at: float = 0.0
    stalled: bool = False
    refusals: int = 0
    """Rests since it last brought something."""
    rests_until: float = 0.0
    resting: bool = False

    @property
    def urgent(self) -> int:
        """How many urgent requests it owes us."""
        return sum(asked.urgent for asked in self.asked.values()) if self.asked else 0

    @property
    def usable(self) -> bool:
        """Whether it may be asked for blocks."""
        idle = self.stalled or self.resting
        return self.base is not None and not idle and len(self.asked) < MAX_REQUESTS

    def offers(self, index: int) -> bool:
        """Tell whether it can give us a block."""
        return self.base is not None and index < self.base and index in self.have
