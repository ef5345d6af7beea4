from __future__ import annotations

import pytest

from feedlog import Store
from trie import Difference, Entry, Trie
from trie.walk import RecordingNodes


def test_a_difference_has_both_sides(trie: Trie) -> None:
    trie["same"] = b"0"
    trie["changed"] = b"1"
    trie["gone"] = b"2"
    version = trie.version
    trie["changed"] = b"3"
    del trie["gone"]
    trie["new"] = b"4"
    found = {one.key: one for one in trie.diff(version)}
    assert found == {
        "changed": Difference("changed", Entry("changed", b"3", 5), Entry("changed", b"1", 3)),
        "gone": Difference("gone", None, Entry("gone", b"2", 4)),
        "new": Difference("new", Entry("new", b"4", 7), None),
    }
    assert list(trie.diff(trie)) == []
    assert {one.key for one in trie.diff(0)} == {"same", "changed", "new"}
    assert {one.key for one in trie.at(0).diff(trie, "new")} == {"new"}


def test_a_put_that_was_taken_back_is_no_difference(trie: Trie) -> None:
    trie["a"] = b"1"
    version = trie.version
    trie["b"] = b"2"
    del trie["b"]
    assert list(trie.diff(version)) == []


def test_a_small_difference_of_large_tries_reads_few_blocks(
    trie: Trie, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trie.batch() as batch:
        for number in range(3000):
            batch[f"k/{number}"] = b""
    version = trie.version
    trie["k/7"] = b"new"
    del trie["k/8"]
    core = trie._core
    recording = RecordingNodes(core.nodes, None)
    monkeypatch.setattr(core, "nodes", recording)
    assert {one.key for one in trie.diff(version)} == {"k/7", "k/8"}
    assert len(recording.touched) < 60


def test_only_versions_of_one_trie_are_compared(trie: Trie, store: Store) -> None:
    other = Trie(store.feed("other"))
    with pytest.raises(ValueError, match="versions of one trie"):
        list(trie.diff(other))


def test_a_version_that_does_not_exist_is_named(trie: Trie) -> None:
    trie["a"] = b"1"
    for version in (-1, 9):
        with pytest.raises(ValueError, match=f"version {version} is not in 0..2"):
            trie.diff(version)
    with pytest.raises(ValueError, match="not negative, got -1"):
        trie.undo(-1)
