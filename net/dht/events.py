"""What a core tells its shell: how its operations go, and what others want of it.

Knows records and codes. Must not know who listens.
"""

from __future__ import annotations

from dataclasses import dataclass

from net.dht.codes import Code
from net.dht.records import Announcement
from net.dht.value_records import Value


@dataclass(frozen=True, slots=True)
class Discovered:
    """A lookup has found an announcement, or a newer one of the same announcer."""

    operation: int
    announcement: Announcement


@dataclass(frozen=True, slots=True)
class Finished:
    """An operation is over."""

    operation: int
    answers: int
    """Nodes that answered the crawl (and, of a join, bootstrap nodes reached)."""
    stored: int = 0
    """Nodes that hold the record (and, of an introduction, that were asked to pass it on)."""
    silent: int = 0
    refusals: tuple[tuple[Code, int], ...] = ()
    obstacle: str = ""
    """Why nobody was asked any more to hold a value."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The announcer has answered the message of an operation."""

    operation: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class Fetched:
    """A value has been found, or a newer one than before."""

    operation: int
    value: Value


Event = Discovered | Fetched | Answered | Finished
"""What an operation leads to; an `Introduction` comes of itself."""
