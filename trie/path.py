"""Where a key lies in the trie: from the key's bytes to a path of digits.

A path is a byte string, read as hexadecimal digits: four bits to a level. No path
is a prefix of another, and no two keys share one, so whatever two keys agree on,
they part at some level, and that level is all that the rest of the trie deals in.

order="hash": the key is split at "/"; each component is

    01 ‖ hash of the component, 8 bytes ‖ the component ‖ 2f

and 00 ends the path. The hash spreads the keys, so that a lookup takes O(log n)
levels; it is keyed with the trie's random key. The component after it decides
between components of one hash, in any number. A prefix that ends with "/" is a
subtree.

order="key": the key itself, with 00 written 00 ff, and 00 00 at the end. Paths
compare as keys do.

`word` is the start of a path as one integer of fixed width: two paths part where
their words' exclusive or has its highest bit, which costs one operation instead
of a loop. Specified in docs/spec/trie.md, section 3; the digit width is argued in
docs/adr. Knows keys as bytes; must not know nodes or blocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from blake3 import blake3

from trie.header import HASH_BITS, Header

DIGIT_BITS = 4
DIGITS = 1 << DIGIT_BITS
LEVELS_PER_BYTE = 8 // DIGIT_BITS

WORD_SIZE = 128
"""Bytes of a path in its word: longer than nearly every path, and still one cheap integer."""
WORD_BITS = 8 * WORD_SIZE

MAX_KEY_SIZE = 4096
"""A path name of the usual systems fits. A lookup's work grows with its own key's length only."""

CACHED_COMPONENTS = 16384
"""Components whose hash is kept: directories recur in every key below them."""

NEVER = 1 << 30
"""The level at which equal paths part: greater than any level."""

END = b"\x00"
MORE = b"\x01"
SEPARATOR = b"/"


def word_of(path: bytes) -> int:
    """Return the first WORD_SIZE bytes of a path, as if zeros followed it, as an integer."""
    size = len(path)
    if size <= WORD_SIZE:
        return int.from_bytes(path) << (WORD_BITS - 8 * size)
    return int.from_bytes(path[:WORD_SIZE])


def parting(path: bytes, word: int, other: bytes, other_word: int) -> int:
    """Return the first level at which two paths have different digits, or NEVER.

    A path counts as followed by zeros, which makes bounds of ranges comparable too.
    """
    difference = word ^ other_word
    if difference:
        return (WORD_BITS - difference.bit_length()) >> 2
    if path == other:
        return NEVER
    size = max(len(path), len(other))
    difference = int.from_bytes(path.ljust(size, END)) ^ int.from_bytes(other.ljust(size, END))
    return (8 * size - difference.bit_length()) >> 2 if difference else NEVER


def digit(path: bytes, level: int) -> int:
    """Return the digit of a path at a level; zero past its end."""
    at = level >> 1
    if at >= len(path):
        return 0
    return path[at] & 15 if level & 1 else path[at] >> 4


def levels(path: bytes) -> int:
    """Return how many digits a path has."""
    return LEVELS_PER_BYTE * len(path)


class Paths:
    """The path of every key of one trie."""

    def __init__(self, header: Header) -> None:
        """Take the order and the hash from the trie's header."""
        self.ordered = header.order == "key"
        keyed, unused = blake3(key=header.hash_key), HASH_BITS - header.hash_bits

        def component(name: bytes) -> bytes:
            hasher = keyed.copy()  # cheaper than to key another
            hasher.update(name)
            digest = hasher.digest(8)
            if unused:
                digest = (int.from_bytes(digest) >> unused << unused).to_bytes(8)
            return MORE + digest + name + SEPARATOR

        self._component = lru_cache(CACHED_COMPONENTS)(component)
        self._last = b"", self._make(b"")

    def path(self, key: bytes) -> bytes:
        """Return the path of a key."""
        last, path = self._last
        if key != last:  # a lookup asks for its key and then for that of the node it found
            path = self._make(key)
            self._last = key, path
        return path

    def paths(self, keys: Iterable[bytes]) -> list[bytes]:
        """Return the paths of many keys."""
        if self.ordered:
            return list(map(self._make, keys))
        join, component = b"".join, self._component
        return [join(map(component, key.split(SEPARATOR))) + END for key in keys]

    def _make(self, key: bytes) -> bytes:
        if self.ordered:
            return self._escaped(key) + END + END
        return b"".join(map(self._component, key.split(SEPARATOR))) + END

    def subtrees(self, prefix: bytes) -> list[bytes]:
        """Return the disjoint path prefixes, ascending, of the keys under a prefix.

        Under "a/" are the keys that begin with "a/"; under "a" is the key "a" besides;
        under "" is everything.
        """
        if not prefix:
            return [b""]
        if not self.ordered:
            if prefix.endswith(SEPARATOR):
                return [self.path(prefix[:-1])[:-1] + MORE]
            return [self.path(prefix)[:-1]]
        if prefix.endswith(SEPARATOR):
            return [self._escaped(prefix)]
        return [self.path(prefix), self._escaped(prefix + SEPARATOR)]

    def bound(self, key: bytes) -> bytes:
        """Return what no path of a key >= `key` is below, in a trie in key order."""
        return self._escaped(key)

    @staticmethod
    def _escaped(key: bytes) -> bytes:
        return key.replace(b"\x00", b"\x00\xff")
