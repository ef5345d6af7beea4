from __future__ import annotations

from collections.abc import MutableMapping

import pytest

from feedlog import Feed, NotWritable, Store
from trie import ConditionFailed, NotATrie, Trie

WORDS = ["a", "a/b", "a/b/c", "b", "a/c", "", "/", "a/", "//", "ab", "ü/€/𝄞", "a\x00", "a\x00b"]


def test_it_is_a_mutable_mapping(trie: Trie) -> None:
    assert isinstance(trie, MutableMapping)
    assert "a/b" not in trie
    trie["a/b"] = b"v"
    assert trie["a/b"] == b"v"
    assert "a/b" in trie
    assert trie.get("other") is None
    assert trie.get("other", b"default") == b"default"
    with pytest.raises(KeyError):
        trie["other"]
    del trie["a/b"]
    assert "a/b" not in trie
    with pytest.raises(KeyError):
        del trie["a/b"]
    assert trie == {}


def test_every_text_is_a_key_of_its_own(trie: Trie) -> None:
    model = {word: word.encode() for word in WORDS}
    for word, value in model.items():
        trie[word] = value
    assert dict(trie) == model
    assert len(trie) == len(model)
    for word in WORDS[::2]:
        del trie[word]
        del model[word]
    assert dict(trie.items()) == model
    assert len(trie) == len(model)


def test_a_put_is_one_block_and_the_first_brings_the_header(trie: Trie) -> None:
    assert trie.put("a", b"1") == 2
    assert trie.put("b", b"2") == 3
    assert trie.delete("a") == 4
    assert trie.feed.length == trie.version == 4


def test_the_methods_of_a_dict_are_one_write_each(trie: Trie) -> None:
    trie.update({"a": b"1", "b": b"2"}, c=b"3")
    assert trie.version == 4
    assert trie.pop("a") == b"1"
    assert trie.pop("a", None) is None
    with pytest.raises(KeyError):
        trie.pop("a")
    assert trie.setdefault("b", b"9") == b"2"
    assert trie.setdefault("d", b"4") == b"4"
    trie.clear()
    assert len(trie) == 0
    assert dict(trie.at(4)) == {"a": b"1", "b": b"2", "c": b"3"}


def test_values_may_be_empty_or_many_chunks_long(trie: Trie) -> None:
    values = {str(size): bytes([size % 251]) * size for size in (0, 1, 1024, 1025, 65535, 200_000)}
    for key, value in values.items():
        trie[key] = value
    assert dict(trie) == values
    with trie.batch() as batch:
        for key, value in values.items():
            batch[key] = value + b"!"
    assert dict(trie) == {key: value + b"!" for key, value in values.items()}


def test_keys_past_the_limit_are_misuse(trie: Trie) -> None:
    trie["k" * 4096] = b""
    assert trie["k" * 4096] == b""
    with pytest.raises(ValueError, match="4097 bytes, the limit is 4096"):
        trie["k" * 4097] = b""
    with pytest.raises(ValueError, match="4098 bytes"):
        trie.get("ü" * 2049)
    with pytest.raises(TypeError, match="expected str, got int"):
        trie[7] = b""
    with pytest.raises(TypeError, match="expected bytes, got str"):
        trie["a"] = "text"


def test_a_put_if_absent_succeeds_once(trie: Trie) -> None:
    trie.put("a", b"1", if_absent=True)
    with pytest.raises(ConditionFailed, match="was written in version 2"):
        trie.put("a", b"2", if_absent=True)
    del trie["a"]
    trie.put("a", b"3", if_absent=True)
    assert trie["a"] == b"3"


def test_compare_and_set_refuses_what_was_written_since(trie: Trie) -> None:
    trie["a"] = b"1"
    trie["b"] = b"1"
    seen = trie.entry("a")
    assert seen is not None
    trie.put("a", b"2", if_version=seen.version)
    version = trie.version
    for condition in (seen.version, 0):
        with pytest.raises(ConditionFailed, match="written in version 4"):
            trie.put("a", b"3", if_version=condition)
        with pytest.raises(ConditionFailed):
            trie.delete("a", if_version=condition)
    with pytest.raises(ConditionFailed, match="is absent"):
        trie.put("c", b"3", if_version=version)
    assert trie.version == version
    trie.delete("a", if_version=version)
    assert "a" not in trie


def test_options_are_kept_in_the_header(feed: Feed) -> None:
    made = Trie(feed, order="key", key_codec="json", value_codec="msgpack", metadata=b"mine")
    made[[1, "x"]] = {"deep": [None, 1.5]}
    again = Trie(feed)
    assert again.header.metadata == b"mine"
    assert list(again.items()) == [([1, "x"], {"deep": [None, 1.5]})]
    assert Trie(feed, order="key").header.order == "key"
    with pytest.raises(ValueError, match="made with order='key', not 'hash'"):
        Trie(feed, order="hash")
    with pytest.raises(ValueError, match="made with value_codec='msgpack', not 'json'"):
        Trie(feed, value_codec="json")


def test_an_ordinary_feed_is_not_a_trie(feed: Feed) -> None:
    feed.append(b"hello")
    with pytest.raises(NotATrie):
        Trie(feed)


def test_somebody_elses_trie_is_read_only(feed: Feed) -> None:
    trie = Trie(feed)
    trie["a"] = b"1"
    with Store.memory() as elsewhere:
        copy = elsewhere.feed(key=feed.key)
        copy.apply(feed.prove(range(2)))
        replica = Trie(copy)
        assert dict(replica) == {"a": b"1"}
        with pytest.raises(NotWritable):
            replica["b"] = b"2"


def test_undo_restores_and_is_itself_undone(trie: Trie) -> None:
    trie["a"] = b"1"
    trie["long"] = b"x" * 100_000
    before = dict(trie)
    with trie.batch() as batch:
        batch["a"] = b"2"
        del batch["long"]
        batch["new"] = b"3"
    size = trie.feed.byte_length
    trie.undo()
    assert dict(trie) == before
    assert trie.feed.byte_length < size + 1000  # the long value is referred to, not written again
    trie.undo()
    assert dict(trie) == {"a": b"2", "new": b"3"}
    trie.undo(5)
    assert dict(trie) == {}
    with pytest.raises(ValueError, match="there are 6 writes to undo, not 7"):
        trie.undo(7)


def test_a_write_inside_a_transaction_builds_on_the_one_before(store: Store, trie: Trie) -> None:
    trie["before"] = b"0"
    with store.transaction():
        trie["a"] = b"1"
        trie["b"] = b"2"
        assert "a" not in trie  # nobody sees it yet, this thread included
    assert dict(trie) == {"before": b"0", "a": b"1", "b": b"2"}


def test_what_a_failed_transaction_wrote_is_forgotten(store: Store, trie: Trie) -> None:
    trie["before"] = b"0"

    def fail() -> None:
        with store.transaction():
            trie["a"] = b"1"
            trie["b"] = b"2"
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        fail()
    Trie(trie.feed)["other"] = b"3"
    trie["c"] = b"4"
    assert dict(trie) == {"before": b"0", "other": b"3", "c": b"4"}


def test_a_truncated_feed_is_read_anew(trie: Trie) -> None:
    for at in range(5):
        trie[str(at)] = b"old"
    old = trie.at(5)
    trie.feed.truncate(3)
    assert sorted(trie) == ["0", "1"]
    with pytest.raises(ValueError, match="version 5 is gone"):
        dict(old)
    trie["2"] = b"new"
    trie["3"] = b"new"
    assert trie["2"] == b"new"
    trie.feed.truncate(0)
    assert dict(trie) == {}
    trie["again"] = b"1"
    assert dict(trie) == {"again": b"1"}


def test_a_sub_database_is_a_trie_of_its_own(trie: Trie) -> None:
    users = trie.sub("users", value_codec="json")
    users["ann"] = {"age": 30}
    trie["users/bob"] = b"null"
    trie["usersx"] = b""
    assert dict(users) == {"ann": {"age": 30}, "bob": None}
    assert trie["users/ann"] == b'{"age":30}'
    assert len(users) == 2
    deep = trie.sub("users").sub("ann/")
    deep["x"] = b"1"
    assert trie["users/ann/x"] == b"1"
    assert sorted(users) == ["ann", "ann/x", "bob"]
    with users.batch() as batch:
        batch["eve"] = 1
        assert sorted(batch) == ["ann", "ann/x", "bob", "eve"]
        assert len(batch) == 4
    del users["bob"]
    assert [change.key for change in users.history()] == ["ann", "bob", "ann/x", "eve", "bob"]
    users.clear()
    assert dict(trie) == {"usersx": b""}
    with pytest.raises(ValueError, match="needs a name"):
        trie.sub("")
