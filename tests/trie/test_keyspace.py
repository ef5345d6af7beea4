from __future__ import annotations

import pytest

from trie import MalformedNode, Trie
from trie.codecs import BYTES, JSON, TEXT
from trie.keyspace import Keyspace


def test_a_part_puts_its_prefix_before_keys() -> None:
    space = Keyspace(b"", TEXT, BYTES).sub("users", None, JSON).sub("x/", BYTES, None)
    assert space.prefix == b"users/x/"
    assert space.encode_key(b"k") == b"users/x/k"
    assert space.decode_key(b"users/x/k", 1) == b"k"
    assert space.encode_prefix("p/") == b"users/x/p/"
    assert space.encode_value([1]) == b"[1]"


def test_bytes_that_do_not_decode_are_the_writers_fault() -> None:
    space = Keyspace(b"", TEXT, JSON)
    with pytest.raises(MalformedNode, match="block 7 of the trie: its key is not text"):
        space.decode_key(b"\xff", 7)
    with pytest.raises(MalformedNode, match="its value is not json"):
        space.decode_value(b"{", 7)


def test_prefixes_are_text_or_bytes(trie: Trie) -> None:
    trie["a/b"] = b""
    assert list(trie.keys(b"a/")) == list(trie.keys("a/")) == ["a/b"]
    with pytest.raises(TypeError, match="str or bytes, got int"):
        trie.items(7)  # type: ignore[arg-type]  # a caller without a type checker
    with pytest.raises(ValueError, match="a prefix of 5000 bytes"):
        trie.items("a" * 5000)
