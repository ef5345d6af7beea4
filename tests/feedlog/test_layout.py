"""The bytes of records and heads: there and back, and by the short ways."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from feedlog import layout
from feedlog.hashing import BLAKE3
from feedlog.head import Head
from feedlog.layout import Record
from feedlog.merkle import Roots, TreeNode
from feedlog.proof_codec import MAX_FORK, MAX_LENGTH

BLOCK_INDEXES = st.integers(0, 200) | st.integers(0, MAX_LENGTH - 1)
HASHES = st.binary(min_size=32, max_size=32)
SIZES = st.integers(0, 2**63 - 1)


@st.composite
def columns(draw: st.DrawFn, *, complete: bool) -> tuple[int, dict[int, TreeNode]]:
    """Draw the nodes that a block completes, or some of them: sizes grow upwards."""
    block = draw(BLOCK_INDEXES)
    levels = range(layout.full_levels(block))
    chosen = levels if complete else sorted(draw(st.sets(st.sampled_from(levels))))
    sizes = sorted(draw(st.lists(SIZES, min_size=len(chosen), max_size=len(chosen))))
    return block, {level: (size, draw(HASHES)) for level, size in zip(chosen, sizes, strict=True)}


@given(columns(complete=False), st.binary(max_size=50), st.sampled_from(["in", "out", "no"]))
def test_records_there_and_back(
    drawn: tuple[int, dict[int, TreeNode]], data: bytes, where: str
) -> None:
    block, nodes = drawn
    if where == "in" and 0 in nodes:
        nodes[0] = (len(data), nodes[0][1])
        nodes.update(
            (level, (max(size, len(data)), digest)) for level, (size, digest) in nodes.items()
        )
        nodes[0] = (len(data), nodes[0][1])
    record = Record(block, nodes, data if where == "in" else None, outside=where == "out")
    value = record.to_bytes()
    parsed = Record.from_bytes(value, block)
    assert (parsed.nodes, parsed.data, parsed.outside) == (nodes, record.data, record.outside)
    assert parsed.held == record.held == (where != "no")
    assert layout.read_inline(value, block) == record.data
    for level in range(layout.full_levels(block)):
        assert layout.read_node(value, block, level) == nodes.get(level)


@given(columns(complete=True), st.binary(max_size=2000))
def test_the_short_way_to_write_is_the_long_way(
    drawn: tuple[int, dict[int, TreeNode]], data: bytes
) -> None:
    block, nodes = drawn
    nodes[0] = (len(data), nodes[0][1])
    size = len(data)
    for level in sorted(nodes):
        size = max(size, nodes[level][0])
        nodes[level] = (size, nodes[level][1]) if level else nodes[0]
    column = [nodes[level] for level in sorted(nodes)]
    inside = Record(block, nodes, data)
    outside = Record(block, nodes, outside=True)
    assert layout.complete_record(column, data) == inside.to_bytes()
    assert layout.complete_record(column, None) == outside.to_bytes()


@given(
    st.integers(0, 100),
    st.lists(st.sampled_from([0, 1, 100, 255, 256, 1024]).map(bytes), min_size=1, max_size=70),
    st.data(),
)
def test_the_way_for_batches_is_the_short_way(
    start: int, blocks: list[bytes], data: st.DataObject
) -> None:
    roots = Roots(BLAKE3)
    roots.extend([b"%d" % i for i in range(start)])
    run = roots.extend(blocks)
    skipped = data.draw(st.integers(0, len(blocks) - 1))
    chosen = blocks[skipped : data.draw(st.integers(skipped + 1, len(blocks)))]
    assert layout.complete_records(run, start + skipped, chosen) == [
        layout.complete_record(run.column(block), data)
        for block, data in enumerate(chosen, start + skipped)
    ]


@given(st.integers(1, layout.MAX_FEEDS), BLOCK_INDEXES, BLOCK_INDEXES, st.integers(0, 2**32 - 1))
def test_keys_are_in_the_order_of_the_log(number: int, low: int, high: int, fork: int) -> None:
    low, high = sorted((low, high))
    record = layout.record_key(number, low)
    data = record + layout.DATA_SUFFIX
    head = layout.head_key(number, low + 1, fork)
    assert record < data < head
    assert layout.block_of(record) == layout.block_of(data) == layout.block_of(head) == low
    if low < high:
        assert head < layout.record_key(number, high)
    start, stop = layout.bounds(number)
    assert layout.head_key(number, MAX_LENGTH, MAX_FORK) < stop
    assert start < layout.head_key(number, 0, fork) < layout.record_key(number, 0)
    assert start < head < stop
    assert layout.head_key(number, low + 1, fork) <= layout.head_key(number, low + 1, 2**32 - 1)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, MAX_LENGTH),
    HASHES,
    st.dictionaries(st.integers(0, 31), st.binary(min_size=64, max_size=64), max_size=32),
    st.integers(0, 2**63 - 1),
)
def test_heads_there_and_back(
    fork: int, length: int, tree_hash: bytes, signatures: dict[int, bytes], byte_length: int
) -> None:
    head = Head(fork, length, tree_hash, tuple(sorted(signatures.items())))
    key = layout.head_key(5, length, fork)
    assert layout.decode_head(key, layout.encode_head(head, byte_length)) == (head, byte_length)


def test_the_last_feed_has_bounds() -> None:
    low, high = layout.bounds(layout.MAX_FEEDS)
    assert low < layout.head_key(layout.MAX_FEEDS, MAX_LENGTH, MAX_FORK) < high == b"\xff" * 3


def test_worked_sizes() -> None:
    """docs/spec/store.md counts with these numbers."""
    leaf = (100, bytes(32))
    assert len(layout.complete_record([leaf], bytes(100))) == 1 + 32 + 100
    assert len(layout.complete_record([leaf, (200, bytes(32))], bytes(100))) == 1 + 32 + 33 + 100
    assert len(layout.complete_record([leaf], None)) == 1 + 33
    assert [layout.full_levels(block) for block in range(8)] == [1, 2, 1, 3, 1, 2, 1, 4]
    assert len(layout.encode_head(Head(0, 1, bytes(32), ((0, bytes(64)),)), 1)) == 106
