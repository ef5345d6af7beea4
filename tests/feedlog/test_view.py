"""Proving and locating: what a view refuses, and the facts it states."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedlog import BlockMissing, Feed, Manifest, Store, check_proof, decode_id, discovery_key
from feedlog.proof_codec import MAX_PROOF_BLOCKS, MAX_RANGES

BLOCKS = [b"block %d" % i * (1 + i % 4) for i in range(23)]


@pytest.fixture
def full(feed: Feed) -> Feed:
    feed.extend(BLOCKS)
    return feed


@pytest.fixture
def copy(full: Feed, elsewhere: Store) -> Feed:
    copy = elsewhere.feed(key=full.key)
    copy.apply(full.prove([3, 4, 17]))
    return copy


def test_facts(full: Feed) -> None:
    assert full.manifest is not None
    assert full.key == full.manifest.key() == decode_id(full.id)
    assert full.discovery_key == discovery_key(full.key)
    assert isinstance(full.manifest, Manifest)


class TestHeads:
    def test_each_batch_keeps_its_own(self, feed: Feed) -> None:
        for length in (1, 4, 5, 23):
            feed.extend(BLOCKS[len(feed) : length])
        assert [head.length for head in feed.heads()] == [1, 4, 5, 23]
        assert feed.heads()[-1] == feed.head
        for length in (1, 4, 5, 23):
            proof = feed.prove([0], length=length)
            assert check_proof(feed.key, proof, length=length).blocks == {0: BLOCKS[0]}
        with pytest.raises(ValueError, match="no head was signed, or is kept, for length 3"):
            feed.prove([0], length=3)

    def test_truncating_drops_the_longer_ones(self, feed: Feed) -> None:
        for block in BLOCKS:
            feed.append(block)
        feed.truncate(5)
        feed.append(b"other")
        heads = [(head.fork, head.length) for head in feed.heads()]
        assert heads == [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (1, 5), (1, 6)]
        assert check_proof(feed.key, feed.prove(length=5)).fork == 1
        assert check_proof(feed.key, feed.prove(length=3)).fork == 0


class TestProving:
    @pytest.mark.parametrize("blocks", [[23], [0, 23], range(20, 24), [2**40], [2**70]])
    def test_past_the_end(self, full: Feed, blocks: Any) -> None:
        last = list(blocks)[-1]
        with pytest.raises(IndexError, match=f"block {last} is past the length 23"):
            full.prove(blocks)

    @pytest.mark.parametrize("blocks", [[-1], [-5, 3], range(-3, 2)])
    def test_negative_indexes_are_not_proven(self, full: Feed, blocks: Any) -> None:
        with pytest.raises(IndexError, match="is not an index of a block"):
            full.prove(blocks)

    def test_nothing_is_known(self, feed: Feed) -> None:
        with pytest.raises(ValueError, match="nothing of this feed is known yet"):
            feed.prove()

    def test_numbers_that_make_no_question(self, full: Feed) -> None:
        for wrong in (
            {"since": 24},
            {"since": -1},
            {"length": 24},
            {"length": -1},
            {"signed": False},
            {"hashes": [45]},
            {"hashes": [-1]},
            {"anchors": [3]},
            {"since": 4, "anchors": [7]},
        ):
            with pytest.raises(ValueError, match=r"\d"):
                full.prove([0], **wrong)

    def test_bytes_past_the_end(self, full: Feed) -> None:
        for past in (full.byte_length, -1):
            with pytest.raises(IndexError, match=f"byte {past} is not in a feed of"):
                full.prove(seek=past)

    def test_the_block_that_a_byte_is_in(self, full: Feed) -> None:
        for offset in range(full.byte_length):
            verified = check_proof(full.key, full.prove(seek=offset))
            assert verified.seek == full.seek(offset)

    def test_missing_blocks_and_nodes(self, copy: Feed) -> None:
        with pytest.raises(BlockMissing) as missing:
            copy.prove([3, 5])
        assert missing.value.index == 5
        with pytest.raises(BlockMissing):
            copy.seek(copy.byte_length // 2)
        with pytest.raises(BlockMissing):
            copy.root_hash(21)

    def test_too_many_ranges(self, feed: Feed) -> None:
        feed.extend([b""] * (2 * MAX_RANGES + 2))
        at_most = range(0, 2 * MAX_RANGES, 2)
        assert len(check_proof(feed.key, feed.prove(at_most)).blocks) == MAX_RANGES
        with pytest.raises(ValueError, match=f"at most {MAX_RANGES} ranges, not {MAX_RANGES + 1}"):
            feed.prove([*at_most, 2 * MAX_RANGES])

    def test_too_many_blocks(self, feed: Feed) -> None:
        feed.extend([b""] * (MAX_PROOF_BLOCKS + 1))
        feed.prove(range(MAX_PROOF_BLOCKS))
        with pytest.raises(ValueError, match=f"at most {MAX_PROOF_BLOCKS} blocks"):
            feed.prove(range(MAX_PROOF_BLOCKS + 1))


class TestAnchors:
    def test_they_shorten_what_the_replica_is_sent(self, full: Feed, copy: Feed) -> None:
        anchors = copy.anchors([2, 16])
        plain = full.prove([2, 16], since=23, signed=False)
        short = full.prove([2, 16], since=23, anchors=anchors, signed=False)
        assert len(short.nodes) < len(plain.nodes)
        copy.apply(short)
        assert copy.has(2)
        assert copy.has(16)

    def test_none_for_blocks_past_the_end_or_without_a_head(self, copy: Feed) -> None:
        assert copy.anchors([23, 100, 2**41]) == []
        assert copy.anchors([2, 23]) == copy.anchors([2])
        assert Store.memory().feed(key=bytes(32)).anchors([0]) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-30, 30)), st.integers(0, 23), st.lists(st.integers(-5, 50)))
def test_whatever_is_proven_verifies(
    full: Feed, blocks: list[int], since: int, hashes: list[int]
) -> None:
    with contextlib.suppress(ValueError, IndexError):
        proof = full.prove(blocks, hashes=hashes)
        assert check_proof(full.key, proof, blocks=blocks).length == 23
        full.prove(blocks, since=since, hashes=hashes)
