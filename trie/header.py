"""Block 0 of a trie: what every reader must know before it can follow a path.

    bytes   field
    12      "feedlog/trie"
    1       format version: 1
    1       order: 0 hash, 1 key
    1       bits of each component's hash that are used: 1 to 64; 0 with order 1
    1       codec of the keys, as in `trie.codecs`
    1       codec of the values
    32      key of the component hash, random; zeros with order 1
    rest    the application's own metadata

Specified in docs/spec/trie.md, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trie import codecs
from trie.codecs import Codec
from trie.errors import NotATrie

Order = Literal["hash", "key"]

MAGIC = b"feedlog/trie"
VERSION = 1
HASH_KEY_SIZE = 32
HASH_BITS = 64
MAX_METADATA_SIZE = 65536
"""Enough for a description or a schema; every reader must fetch it before its first lookup."""

_ORDERS: tuple[Order, Order] = ("hash", "key")
_FIXED = len(MAGIC) + 5 + HASH_KEY_SIZE


@dataclass(frozen=True, slots=True)
class Header:
    """The choices made when a trie was created; they never change."""

    order: Order = "hash"
    keys: Codec = codecs.TEXT
    values: Codec = codecs.BYTES
    hash_key: bytes = bytes(HASH_KEY_SIZE)
    hash_bits: int = HASH_BITS
    metadata: bytes = b""

    def __post_init__(self) -> None:
        """Refuse what no header can say."""
        if self.order not in _ORDERS:
            raise ValueError(f"order {self.order!r} is neither 'hash' nor 'key'")
        if not 1 <= self.hash_bits <= HASH_BITS:
            raise ValueError(f"hash_bits {self.hash_bits} is not in 1..{HASH_BITS}")
        if len(self.metadata) > MAX_METADATA_SIZE:
            raise ValueError(
                f"metadata has {len(self.metadata)} bytes, the limit is {MAX_METADATA_SIZE}"
            )

    def to_bytes(self) -> bytes:
        """Return block 0."""
        ordered = self.order == "key"
        fields = (
            VERSION,
            _ORDERS.index(self.order),
            0 if ordered else self.hash_bits,
            self.keys.number,
            self.values.number,
        )
        hash_key = bytes(HASH_KEY_SIZE) if ordered else self.hash_key
        return MAGIC + bytes(fields) + hash_key + self.metadata

    @classmethod
    def from_bytes(cls, block: bytes) -> Header:
        """Parse block 0; raises `NotATrie`."""
        if block[: len(MAGIC)] != MAGIC:
            raise NotATrie("the feed's first block is not the header of a trie")
        if len(block) < _FIXED:
            raise NotATrie(f"the header has {len(block)} bytes, at least {_FIXED} are needed")
        version, order, bits, keys, values = block[len(MAGIC) : len(MAGIC) + 5]
        if version != VERSION:
            raise NotATrie(f"the trie has format version {version}, this library reads {VERSION}")
        if order > 1 or keys not in codecs.BY_NUMBER or values not in codecs.BY_NUMBER:
            raise NotATrie(f"the header names order {order} and codecs {keys}, {values}")
        hash_key = block[_FIXED - HASH_KEY_SIZE : _FIXED]
        if order == 1 and (bits or any(hash_key)):
            raise NotATrie("the header of a key-ordered trie names a hash")
        try:
            return cls(
                order=_ORDERS[order],
                keys=codecs.BY_NUMBER[keys],
                values=codecs.BY_NUMBER[values],
                hash_key=hash_key,
                hash_bits=HASH_BITS if order == 1 else bits,
                metadata=block[_FIXED:],
            )
        except ValueError as error:
            raise NotATrie(str(error)) from None
