"""One feed's entries: what is stored where, and what each change takes away."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from feedlog import flat_tree, layout
from feedlog.errors import BlockMissing, CorruptError
from feedlog.flat_tree import NodeIndex
from feedlog.hashing import BLAKE3
from feedlog.head import Head
from feedlog.log import Log
from feedlog.memory_storage import MemoryStorage, MemoryWriter
from feedlog.merkle import Roots, TreeNode, subtree
from feedlog.ranges import Ranges
from tests.reference import merkle as reference

BLOCKS = [b"block %d" % i * (i % 5) for i in range(13)]
LARGE = bytes(layout.INLINE_SIZE + 1)
NODES = {
    NodeIndex(index): (node.size, node.digest)
    for index, node in reference.nodes(BLAKE3, BLOCKS).items()
}


@pytest.fixture
def writer() -> MemoryWriter:
    return MemoryStorage().begin_write()


def written(writer: MemoryWriter, blocks: list[bytes] = BLOCKS, number: int = 3) -> Log:
    log = Log(number, dense=True)
    writer.put_many(log._complete(Roots(BLAKE3).extend(blocks), 0, blocks))
    log.have.appended(writer, 0, len(blocks))
    return log


def sizes(writer: MemoryWriter, log: Log) -> list[int]:
    return [len(key) for key, _ in log.entries(writer)]


def test_one_entry_a_block_and_one_more_for_a_large_one(writer: MemoryWriter) -> None:
    log = written(writer, [b"small", LARGE, LARGE[1:]])
    assert sizes(writer, log) == [8, 8, 9, 8]
    assert [log.block(writer, i) for i in range(3)] == [b"small", LARGE, LARGE[1:]]


def test_a_block_that_is_noted_as_held_and_not_there_is_damage(writer: MemoryWriter) -> None:
    log = written(writer, [b"small", LARGE, b"cleared"])
    log.clear(writer, Ranges([(2, 3)]))
    assert log.block(writer, 2) is None
    writer.delete(layout.record_key(log.number, 0))
    with pytest.raises(CorruptError, match="the data of block 0 is gone"):
        log.block(writer, 0)


def test_every_node_is_found_again(writer: MemoryWriter) -> None:
    log = written(writer)
    indexes = sorted(NODES)
    assert log.nodes(writer, indexes) == [NODES[index] for index in indexes]
    assert log.find_nodes(writer, [*indexes, flat_tree.node(0, 13)]) == NODES
    with pytest.raises(BlockMissing, match="tree node 26 is not held"):
        log.nodes(writer, [indexes[0], flat_tree.node(0, 13)])
    for length in range(14):
        roots = log.roots(writer, length, BLAKE3)
        assert roots.tree_hash() == reference.tree_hash(BLAKE3, BLOCKS[:length])


def test_feeds_beside_each_other(writer: MemoryWriter) -> None:
    logs = [written(writer, BLOCKS[:n], number) for number, n in ((2, 5), (3, 7), (4, 9))]
    logs[1].purge(writer)
    assert [len(list(log.entries(writer))) for log in logs] == [5, 0, 9]
    assert logs[1].last_entry(writer) is None


def test_heads_are_found_by_length_and_fork(writer: MemoryWriter) -> None:
    log = written(writer)
    heads = [
        Head(fork, length, bytes([fork, length]) * 16, ((0, bytes(64)),))
        for fork, length in ((0, 4), (0, 9), (1, 9), (1, 13))
    ]
    for head in heads[::-1]:
        writer.put(*log.head_entry(head, 100 + head.length))
    assert list(log.heads(writer)) == heads
    assert log.head_at(writer, 9) == (heads[2], 109)
    assert log.head_at(writer, 5) is None
    entry = log.last_entry(writer)
    assert entry is not None
    assert log.decode_head(entry) == (heads[3], 113)


def test_a_feed_that_does_not_end_with_a_head(writer: MemoryWriter) -> None:
    log = written(writer, [LARGE])
    entry = log.last_entry(writer)
    assert entry is not None
    with pytest.raises(CorruptError, match="the feed's last entry is not a head"):
        log.decode_head(entry)


def test_truncating_takes_everything_past_the_length(writer: MemoryWriter) -> None:
    log = written(writer, [*BLOCKS[:5], LARGE, *BLOCKS[6:]])
    for length in (5, 6, 13):
        writer.put(*log.head_entry(Head(0, length, bytes(32), ()), 0))
    log.truncate(writer, 5)
    assert sizes(writer, log) == [8] * 5 + [13]
    assert log.find_nodes(writer, [flat_tree.node(3, 0)]) == {}
    log.truncate(writer, 0)
    assert sizes(writer, log) == []


def test_clearing_takes_data_and_leaves_nodes(writer: MemoryWriter) -> None:
    blocks = [*BLOCKS[:5], LARGE, *BLOCKS[6:]]
    log = written(writer, blocks)
    before = log.nodes(writer, sorted(NODES))
    log.clear(writer, Ranges([(4, 7), (12, 13)]))
    assert [i for i in range(13) if log.block(writer, i) is None] == [4, 5, 6, 12]
    assert log.nodes(writer, sorted(NODES)) == before
    assert sizes(writer, log) == [8] * 13
    assert log.have.ranges(writer, 13) == Ranges([(0, 4), (7, 12)])


def test_data_that_is_gone(writer: MemoryWriter) -> None:
    log = written(writer, [LARGE])
    writer.delete(layout.record_key(3, 0) + layout.DATA_SUFFIX)
    with pytest.raises(CorruptError, match="the data of block 0 is gone from the disk"):
        log.block(writer, 0)


def subtree_roots(blocks: list[bytes], length: int) -> list[tuple[NodeIndex, TreeNode]]:
    run = Roots(BLAKE3).extend(blocks[:length])
    return [(index, node) for index, node in run.nodes() if index in flat_tree.roots(length)]


class TestMerging:
    def test_nodes_then_blocks(self, writer: MemoryWriter) -> None:
        log = Log(3, dense=False)
        pair, one = subtree(BLAKE3, 2, BLOCKS[2:4])[1], subtree(BLAKE3, 2, BLOCKS[2:3])[1]
        assert log.merge(writer, NODES, [], {})
        assert log.nodes(writer, sorted(NODES)) == [NODES[index] for index in sorted(NODES)]
        assert log.have.ranges(writer, 13) == Ranges()
        assert log.merge(writer, {}, [pair], {2: BLOCKS[2], 3: BLOCKS[3]})
        assert log.merge(writer, {}, [one], {2: BLOCKS[2]})
        assert log.have.ranges(writer, 13) == Ranges([(2, 4)])
        assert [log.block(writer, i) for i in (1, 2, 3)] == [None, BLOCKS[2], BLOCKS[3]]

    def test_complete_runs_are_stored_as_an_append_stores_them(self, writer: MemoryWriter) -> None:
        log = Log(4, dense=False)
        run = Roots(BLAKE3).extend(BLOCKS)
        assert log.merge(writer, {}, [run], dict(enumerate(BLOCKS)))
        appended = written(writer)
        assert [(key[3:], value) for key, value in log.entries(writer)] == [
            (key[3:], value) for key, value in appended.entries(writer)
        ]

    @pytest.mark.parametrize("known", [(), (0,), (5,), (7,), (0, 3, 4, 15), range(16)])
    @pytest.mark.parametrize("start", [0, 16])
    def test_a_run_around_blocks_that_are_stored(
        self, writer: MemoryWriter, start: int, known: Sequence[int]
    ) -> None:
        blocks = [b"block %d" % at * (at % 5) for at in range(start + 16)]
        roots = Roots(BLAKE3, start, [node for _, node in subtree_roots(blocks, start)])
        whole = roots.extend(blocks[start:])
        _, run = subtree(BLAKE3, start, blocks[start:])
        log = Log(4, dense=False)
        for at in known:
            _, one = subtree(BLAKE3, start + at, [blocks[start + at]])
            assert log.merge(writer, {}, [one], {start + at: blocks[start + at]})
        assert log.merge(writer, {}, [run], dict(enumerate(blocks[start:], start)))
        assert log.have.ranges(writer, start + 16) == Ranges([(start, start + 16)])
        for index, node in whole.nodes():
            assert run.get(index) in {node, None}
            assert log.find_nodes(writer, [index]) == ({index: node} if run.get(index) else {})
        assert [log.block(writer, at) for at in range(start, start + 16)] == blocks[start:]

    def test_a_large_block_takes_its_own_entry(self, writer: MemoryWriter) -> None:
        log = Log(3, dense=False)
        _, run = subtree(BLAKE3, 1, [LARGE])
        for _ in range(2):
            assert log.merge(writer, {}, [run], {1: LARGE})
            assert log.block(writer, 1) == LARGE
        assert sizes(writer, log) == [8, 9]

    @pytest.mark.parametrize("index", [0, 7, 12])
    def test_a_node_that_differs_changes_nothing(self, writer: MemoryWriter, index: int) -> None:
        log = written(writer)
        before = list(log.entries(writer))
        node = NodeIndex(index)
        size, digest = NODES[node]
        for forged in ((size + 1, digest), (size, digest[::-1])):
            assert not log.merge(writer, {node: forged}, [], {})
        _, run = subtree(BLAKE3, 0, [b"forged"])
        assert not log.merge(writer, {}, [run], {0: b"forged"})
        assert list(log.entries(writer)) == before
