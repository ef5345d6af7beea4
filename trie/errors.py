"""Everything that the trie raises on account of data or of other writers.

Misuse is not here: a key of the wrong type is a `TypeError`, a key or value that
is too long or a version that does not exist a `ValueError`, an absent key a
`KeyError`. A block that is not held raises feedlog's `BlockMissing` unchanged.

    FeedlogError
      TrieError            what the feed holds is not what a correct writer writes
        NotATrie           block 0 is no header of a trie that this version reads
        MalformedNode      one block breaks the format or its place in the trie
      ConditionFailed      if_version= or if_absent= did not hold: somebody else was first
"""

from __future__ import annotations

from feedlog.errors import FeedlogError


class TrieError(FeedlogError):
    """The feed's blocks do not form a trie."""


class NotATrie(TrieError):
    """The feed's first block is not the header of a trie, or of an unknown version."""


class MalformedNode(TrieError):
    """Block `index` is not a node, or not one that belongs where it was found."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"block {index} of the trie: {reason}")
        self.index = index


class ConditionFailed(FeedlogError):
    """A conditional write found the key in another state; nothing was written.

    `key` is the key as the caller gave it, `version` the version in which its
    present value was written, or None where the key is absent.
    """

    def __init__(self, key: object, version: int | None, condition: str) -> None:
        state = "is absent" if version is None else f"was written in version {version}"
        super().__init__(f"key {str(key)[:100]!r} {state}, but the write asked for {condition}")
        self.key = key
        self.version = version
