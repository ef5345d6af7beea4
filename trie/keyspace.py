"""The keys that a user of a trie or of a sub-database sees, and the bytes they stand for.

A sub-database is the part of a trie below a prefix, with codecs of its own: its
keys are the trie's without the prefix. The trie itself is the keyspace with the
empty prefix. Bytes that do not decode are the writer's fault and a `TrieError`;
values that do not encode are the caller's and a `ValueError` or `TypeError`.
"""

from __future__ import annotations

from typing import Any

from trie.codecs import Codec
from trie.entries import Change, Entry
from trie.errors import MalformedNode
from trie.node import MAX_VALUE_SIZE, Node
from trie.nodes import Nodes
from trie.path import MAX_KEY_SIZE, SEPARATOR


class Keyspace:
    """Encodes and decodes the keys and values below one prefix."""

    __slots__ = ("keys", "prefix", "values")

    def __init__(self, prefix: bytes, keys: Codec, values: Codec) -> None:
        """Take the prefix, which ends with "/" unless it is empty, and the codecs."""
        self.prefix = prefix
        self.keys = keys
        self.values = values

    def encode_key(self, key: Any) -> bytes:
        """Return the bytes of a key; raises `TypeError`, `ValueError`."""
        raw = self.prefix + self.keys.encode(key)
        if len(raw) > MAX_KEY_SIZE:
            raise ValueError(f"a key of {len(raw)} bytes, the limit is {MAX_KEY_SIZE}")
        return raw

    def encode_prefix(self, prefix: str | bytes) -> bytes:
        """Return the bytes of a prefix of keys, which is text or bytes with every codec."""
        if not isinstance(prefix, (str, bytes)):
            raise TypeError(f"a prefix is str or bytes, got {type(prefix).__name__}")
        raw = self.prefix + (prefix.encode() if isinstance(prefix, str) else prefix)
        if len(raw) > MAX_KEY_SIZE:
            raise ValueError(f"a prefix of {len(raw)} bytes, the limit is {MAX_KEY_SIZE}")
        return raw

    def sub(self, name: str | bytes, keys: Codec | None, values: Codec | None) -> Keyspace:
        """Return the keyspace of a sub-database."""
        raw = self.encode_prefix(name)
        if not name:
            raise ValueError("a sub-database needs a name")
        if not raw.endswith(SEPARATOR):
            raw += SEPARATOR
        return Keyspace(raw, keys or self.keys, values or self.values)

    def encode_value(self, value: Any) -> bytes:
        """Return the bytes of a value; raises `TypeError`, `ValueError`."""
        data = self.values.encode(value)
        if len(data) > MAX_VALUE_SIZE:
            raise ValueError(f"a value of {len(data)} bytes, the limit is {MAX_VALUE_SIZE}")
        return data

    def decode_key(self, raw: bytes, index: int) -> Any:
        """Return the key of the node at `index`; raises `MalformedNode`."""
        try:
            return self.keys.decode(raw[len(self.prefix) :])
        except ValueError as error:
            raise MalformedNode(index, f"its key is not {self.keys.name}: {error}") from None

    def decode_value(self, data: bytes, index: int) -> Any:
        """Return the value of the node at `index`; raises `MalformedNode`."""
        try:
            return self.values.decode(data)
        except ValueError as error:
            raise MalformedNode(index, f"its value is not {self.values.name}: {error}") from None

    def value(self, nodes: Nodes, node: Node) -> Any:
        """Return a live node's value."""
        return self.decode_value(nodes.value(node), node.index)

    def entry(self, nodes: Nodes, node: Node) -> Entry:
        """Return what a live node says."""
        return Entry(self.decode_key(node.key, node.index), self.value(nodes, node), node.index + 1)

    def change(self, nodes: Nodes, node: Node) -> Change:
        """Return what a node records."""
        key = self.decode_key(node.key, node.index)
        if node.live:
            return Change("put", key, self.value(nodes, node), node.index + 1)
        return Change("delete", key, None, node.index + 1)
