"""What was done to find peers of a feed, or to talk with one, and did not help.

    remote.attempts[-1].kind is SetbackKind.UNANNOUNCED        str(setback): a line for people

Programs look at `kind`, people at the line: nothing is decided by words.
Must not know how peers are found.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class SetbackKind(Enum):
    """What kind of setback it is; the value is its line, for people."""

    UNANNOUNCED = "no announcement found {reason}"
    SEARCH_FAILED = "the search failed: {reason}"
    BANNED = "{peer} broke a rule and is banned"
    UNREACHED = "{peer}: {reason}"
    SILENT = "{peer} does not answer by {reason}"
    """It is looked for elsewhere, while it may yet."""
    LEFT = "{peer} left: {reason}"
    FALSE_PROOF = "{peer} was let go: {reason}"
    """We have let it go, because what it sent is not what the writer signed."""


@dataclass(frozen=True, slots=True)
class Setback:
    """One of them. `peer` is the public key of whom it is about, empty for nobody."""

    kind: SetbackKind
    peer: bytes = b""
    reason: str = ""

    @property
    def name(self) -> str:
        """What people call the peer."""
        return self.peer.hex()[:8]

    def __str__(self) -> str:
        return self.kind.value.format(peer=self.name, reason=self.reason).strip()
