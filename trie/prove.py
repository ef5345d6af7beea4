"""Proofs about a trie: that a key has a value, or none, and that a listing is complete.

A proof is a multiproof of the blocks that the lookup reads, under a signed head. To
check one is to verify the blocks and to run the same lookup on them: where it would
go to a block that the proof lacks, the proof shows nothing; a block that it did not
read is a fault. So absence and completeness need no form of their own: the rows of
signed nodes say where there are no keys.

What is shown is what the writer signed. A writer can sign a trie that contradicts
itself; that is a `TrieError`, as in any lookup. An older proof of the same feed stays
valid for its version: compare `TrieProof.version` with what you know.

Specified in docs/spec/trie.md, section 8. Needs no store; must not trust the proof's
own word for the question that it answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from feedlog import DecodeError, InvalidProof, Proof, check_proof
from trie import listing
from trie.codecs import named
from trie.get import find
from trie.header import Header
from trie.keyspace import Keyspace
from trie.listing import Query
from trie.node import Node
from trie.nodes import Nodes
from trie.path import MAX_KEY_SIZE

MAGIC = b"feedlog/trie-proof\x01"

_Bytes = Annotated[bytes, msgspec.Meta(max_length=MAX_KEY_SIZE)]


class _Fields(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """What follows the magic: MessagePack, an array in this order."""

    key: _Bytes | None
    prefix: _Bytes
    start: _Bytes | None
    stop: _Bytes | None
    proof: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Fields).decode


@dataclass(frozen=True, slots=True)
class TrieProof:
    """Evidence about one key, or about all keys of a prefix or range."""

    proof: Proof
    """The blocks, under a signed head."""
    key: bytes | None = None
    """The key's bytes, or None for a listing."""
    prefix: bytes = b""
    start: bytes | None = None
    stop: bytes | None = None

    @property
    def version(self) -> int:
        """The version of the trie that it is about."""
        return self.proof.length

    def to_bytes(self) -> bytes:
        """Return the encoding of docs/spec/trie.md, section 8."""
        fields = _Fields(self.key, self.prefix, self.start, self.stop, self.proof.to_bytes())
        return MAGIC + _encode(fields)

    @classmethod
    def from_bytes(cls, data: bytes) -> TrieProof:
        """Parse a proof; raises `DecodeError`, whatever the bytes are."""
        if data[: len(MAGIC)] != MAGIC:
            raise DecodeError("trie proof", 0, "it does not begin as one")
        try:
            fields = _decode(data[len(MAGIC) :])
        except msgspec.MsgspecError as error:
            raise DecodeError("trie proof", len(MAGIC), str(error)) from None
        proof = Proof.from_bytes(fields.proof)
        return cls(proof, fields.key, fields.prefix, fields.start, fields.stop)


class _ProvenBlocks:
    """The blocks of a verified proof; counts those that are read."""

    def __init__(self, blocks: dict[int, bytes], length: int) -> None:
        self.length = length
        self._blocks = blocks
        self.unread = set(blocks)

    def __getitem__(self, index: int, /) -> bytes:
        block = self._blocks.get(index)
        if block is None:
            raise InvalidProof(f"proof lacks block {index} of the trie, which the lookup reads")
        self.unread.discard(index)
        return block


@dataclass(frozen=True, slots=True)
class Sub:
    """A sub-database, for those who check a proof that it made: as `View.sub` takes it."""

    name: str | bytes
    key_codec: str | None = None
    value_codec: str | None = None

    def within(self, space: Keyspace) -> Keyspace:
        """Return how its keys and values are encoded; raises `ValueError`."""
        keys = None if self.key_codec is None else named(self.key_codec)
        values = None if self.value_codec is None else named(self.value_codec)
        return space.sub(self.name, keys, values)


def check_trie_proof(
    feed_key: bytes, key: Any, proof: TrieProof, *, default: Any = None, sub: Sub | None = None
) -> Any:
    """Return the value that a trie, or a sub-database of it, has for a key, or `default`.

    `feed_key` is the public key (32 bytes) of the trie's feed. Raises `InvalidProof`
    where the proof does not show a value or its absence, `TrieError` where it shows
    blocks that are no trie, `TypeError` or `ValueError` for what is no key of it.
    """

    def read(nodes: Nodes, root: Node | None, space: Keyspace) -> Any:
        raw = space.encode_key(key)
        if proof.key != raw:
            raise InvalidProof("proof is about another key or a listing, not the key asked for")
        node = find(nodes, root, nodes.paths.path(raw))
        return default if node is None else space.value(nodes, node)

    return _check(feed_key, proof, sub, read)


def check_trie_range(
    feed_key: bytes,
    prefix: str | bytes,
    proof: TrieProof,
    *,
    start: Any = None,
    stop: Any = None,
    sub: Sub | None = None,
) -> list[tuple[Any, Any]]:
    """Return all keys that a trie has under a prefix, or in a range, with their values.

    Raises as `check_trie_proof` does.
    """

    def read(nodes: Nodes, root: Node | None, space: Keyspace) -> list[tuple[Any, Any]]:
        query = range_query(nodes.header, space, prefix, start, stop)
        claim = (None, query.prefix, query.start, query.stop)
        if (proof.key, proof.prefix, proof.start, proof.stop) != claim:
            raise InvalidProof("proof is about another listing, or a key, not the one asked for")
        return [
            (space.decode_key(node.key, node.index), space.value(nodes, node))
            for node in listing.select(nodes, root, query)
            if isinstance(node, Node)
        ]

    result: list[tuple[Any, Any]] = _check(feed_key, proof, sub, read)
    return result


def range_query(
    header: Header, space: Keyspace, prefix: str | bytes, start: Any, stop: Any
) -> Query:
    """Return the listing that a proof is about; raises `ValueError` for a range without order."""
    query = Query(
        space.encode_prefix(prefix),
        start=None if start is None else space.encode_key(start),
        stop=None if stop is None else space.encode_key(stop),
    )
    if (start, stop) != (None, None):
        query.check(header)
    return query


def _check(
    feed_key: bytes,
    proof: TrieProof,
    sub: Sub | None,
    read: Callable[[Nodes, Node | None, Keyspace], Any],
) -> Any:
    verified = check_proof(feed_key, proof.proof)
    blocks = _ProvenBlocks(verified.blocks, verified.length)
    nodes = Nodes(blocks, capacity=max(1, len(verified.blocks)))
    header = nodes.header
    root = None
    if verified.length > 1:
        root = nodes.load(verified.length - 1)
        if not root.span:
            raise InvalidProof(f"proof is against length {verified.length}, inside a batch")
    space = Keyspace(b"", header.keys, header.values)
    result = read(nodes, root, space if sub is None else sub.within(space))
    if blocks.unread:
        raise InvalidProof(f"proof has {len(blocks.unread)} blocks that the lookup does not read")
    return result
