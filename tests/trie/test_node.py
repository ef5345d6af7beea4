"""Round trips and hostile bytes; the vectors are tested in test_trie_spec.py."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trie.errors import MalformedNode
from trie.header import Header
from trie.node import (
    DELETE,
    MAX_NODE_SIZE,
    PUT,
    PUT_CHUNKS,
    Node,
    Row,
    decode,
    decode_chunk,
    digits_of,
    encode,
    encode_chunk,
)
from trie.path import Paths, digit, levels

path_of = Paths(Header()).path


@st.composite
def nodes(draw: st.DrawFn) -> tuple[int, int, int, bytes, bytes, tuple[int, int], list[Row]]:
    index = draw(st.integers(1, 1 << 40))
    kind = draw(st.sampled_from([PUT, PUT_CHUNKS, DELETE]))
    key = draw(st.binary(max_size=200))
    path = path_of(key)
    run = (0, 0)
    if kind == PUT_CHUNKS:
        assume(index > 1)
        run = (draw(st.integers(1, index - 1)), 1025)
    rows = []
    if index > 1:
        for level in sorted(draw(st.sets(st.integers(0, levels(path) - 1), max_size=5))):
            own = 1 << digit(path, level)
            bitmap = draw(st.integers(1, 0xFFFF)) & ~own
            assume(bitmap)
            size = bitmap.bit_count()
            pointers = draw(st.lists(st.integers(1, index - 1), min_size=size, max_size=size))
            rows.append(Row(level, bitmap, size + draw(st.integers(0, 1 << 40)), pointers))
    value = draw(st.binary(max_size=1024)) if kind == PUT else b""
    return index, kind, draw(st.integers(0, index + 1)), key, value, run, rows


@given(fields=nodes())
def test_nodes_come_back(
    fields: tuple[int, int, int, bytes, bytes, tuple[int, int], list[Row]],
) -> None:
    index, kind, span, key, value, run, rows = fields
    node = decode(index, encode(*fields)).place(path_of(key))
    assert (node.kind, node.span, node.key, node.value, node.run) == (kind, span, key, value, run)
    assert [tuple(row[:3]) for row in node.rows] == [tuple(row[:3]) for row in rows]
    assert [list(row.pointers) for row in node.rows] == [list(row.pointers) for row in rows]
    keys = node.live + sum(row.below for row in rows)
    if keys <= index:
        assert node.count(0) == keys
    else:
        with pytest.raises(MalformedNode, match="more than there are blocks"):
            node.count(0)


def parse(index: int, block: bytes) -> Node:
    node = decode(index, block)
    node.place(path_of(node.key))
    _ = node.rows
    return node


@given(index=st.integers(1, 1 << 40), block=st.binary())
def test_bytes_are_a_node_or_malformed(index: int, block: bytes) -> None:
    with suppress(MalformedNode):
        parse(index, block)


@given(fields=nodes(), data=st.data())
def test_each_node_has_one_encoding(
    fields: tuple[int, int, int, bytes, bytes, tuple[int, int], list[Row]], data: st.DataObject
) -> None:
    block = bytearray(encode(*fields))
    at = data.draw(st.integers(0, len(block) - 1))
    block[at] ^= data.draw(st.integers(1, 255))
    try:
        node = parse(fields[0], bytes(block))
    except MalformedNode:
        return
    again = encode(
        node.index, node.kind, node.span, node.key, node.value, node.run, list(node.rows)
    )
    assert again == bytes(block)


@given(fields=nodes())
def test_a_truncated_node_is_malformed_or_has_fewer_rows(
    fields: tuple[int, int, int, bytes, bytes, tuple[int, int], list[Row]],
) -> None:
    block = encode(*fields)
    for size in range(len(block)):
        try:
            node = parse(fields[0], block[:size])
        except MalformedNode:
            continue
        assert len(node.rows) < len(fields[6])


def test_a_node_past_the_limit_is_not_parsed() -> None:
    with pytest.raises(MalformedNode, match=f"the limit of a node is {MAX_NODE_SIZE}"):
        decode(1, bytes(MAX_NODE_SIZE + 1))


def test_a_chunk_must_be_whole() -> None:
    block = encode_chunk(b"abc")
    assert decode_chunk(7, block, 3) == b"abc"
    for wrong in (block[:-1], block + b"d", b"\x01abc", b""):
        with pytest.raises(MalformedNode, match="not the chunk of 3 bytes"):
            decode_chunk(7, wrong, 3)


def test_a_row_finds_its_pointers_by_digit() -> None:
    row = Row(3, 0b1000_0000_0001_0010, 9, (5, 6, 7))
    assert digits_of(row.bitmap) == (1, 4, 15)
    assert [row.at(at_digit) for at_digit in (0, 1, 4, 15)] == [0, 5, 6, 7]
