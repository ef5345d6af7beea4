from __future__ import annotations

import pytest

from trie import Trie


def test_a_batch_reads_what_it_writes_and_nobody_else_does(trie: Trie) -> None:
    trie.update({"a": b"1", "b": b"2"})
    with trie.batch() as batch:
        batch["c"] = b"3"
        del batch["a"]
        batch["b"] = b"4"
        assert dict(batch) == {"b": b"4", "c": b"3"}
        assert len(batch) == 2
        assert "a" not in batch
        assert batch.pop("c") == b"3"
        with pytest.raises(KeyError):
            del batch["a"]
        with pytest.raises(KeyError):
            batch["a"]
        assert dict(trie) == {"a": b"1", "b": b"2"}
    assert dict(trie) == {"b": b"4"}


def test_an_error_leaves_nothing_of_a_batch(trie: Trie) -> None:
    trie["a"] = b"1"

    def fail() -> None:
        with trie.batch() as batch:
            batch["b"] = b"2"
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        fail()
    assert dict(trie) == {"a": b"1"}
    assert trie.version == 2


def test_a_batch_without_effect_appends_nothing(trie: Trie) -> None:
    with trie.batch():
        pass
    assert trie.version == 0
    with trie.batch() as batch:
        batch["a"] = b"1"
        del batch["a"]
    assert trie.version == 0


def test_a_key_is_written_once_in_its_last_state(trie: Trie) -> None:
    with trie.batch() as batch:
        for number in range(10):
            batch["a"] = b"%d" % number
    assert [change.value for change in trie.history()] == [b"9"]


def test_a_large_batch_is_one_version(trie: Trie) -> None:
    entries = {f"{number % 50}/{number}": b"%d" % number for number in range(3000)}
    trie.update(entries)
    assert dict(trie) == entries
    assert len(trie) == 3000
    assert trie.version == 3001
    with pytest.raises(ValueError, match="version 3000 lies inside a batch"):
        trie.at(3000)
    with trie.batch() as batch:
        for key in list(entries)[::2]:
            del batch[key]
            del entries[key]
        batch.update({f"new/{number}": b"" for number in range(500)})
    entries |= {f"new/{number}": b"" for number in range(500)}
    assert dict(trie) == entries
    assert len(trie) == len(entries)
    assert trie.count("new") == 500
