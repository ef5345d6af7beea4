"""What the trie hands out: an entry, a change of history, a difference of two versions."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple


class Entry(NamedTuple):
    """A key with its value."""

    key: Any
    value: Any
    version: int
    """The length of the feed when this value had been written; `if_version=` takes it."""


class Change(NamedTuple):
    """One put or delete, as the feed records it."""

    kind: Literal["put", "delete"]
    key: Any
    value: Any
    """None for a delete."""
    version: int


class Difference(NamedTuple):
    """A key that was written between two versions."""

    key: Any
    left: Entry | None
    """What the version that was asked has; None where the key is absent."""
    right: Entry | None
    """What the other version has."""
