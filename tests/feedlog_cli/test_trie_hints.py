from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import DecodeError, Feed, Store
from feedlog_cli import trie_hints
from feedlog_cli.trie_hints import (
    Changes,
    Count,
    Listing,
    Lookup,
    Question,
    Range,
    TrieHints,
    decode,
    encode,
)
from trie import Trie

QUESTIONS = [
    Lookup(0, (), "a/b"),
    Lookup(7, (("part", None), (b"raw", "json")), b"raw"),
    Lookup(7, (), ["json", 1]),
    Listing(0, (), "", True, False, None, None, True),
    Listing(3, (), "a/", False, True, "a/b", 10, False),
    Range(3, (("part", "text"),), "a", None, False, "a/b", 10),
    Changes(7, (), 3, "a/", None, None),
    Changes(7, (), 3, "a/", "a/b", 10),
    Count(7, (), "a/"),
]


@pytest.fixture
def feed() -> Iterator[Feed]:
    with Store.memory() as store:
        trie = Trie(store.feed("x"), order="key", value_codec="text")
        trie.update({f"a/{n:03}": str(n) for n in range(300)})
        yield trie.feed


def replica(feed: Feed, store: Store, blocks: Any) -> Trie:
    """Return a trie in a replica that holds these blocks alone."""
    copy = store.feed(key=feed.key)
    copy.apply(feed.prove(blocks=blocks))
    return Trie(copy)


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_survive_the_wire(question: Question) -> None:
    assert decode(encode(question)) == question


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_truncation_is_refused(question: Question) -> None:
    whole = encode(question)
    for size in range(len(whole)):
        with pytest.raises(DecodeError):
            decode(whole[:size])


@given(st.binary(max_size=60))
def test_bytes_decode_or_raise_decode_error(data: bytes) -> None:
    with suppress(DecodeError):
        decode(data)


def test_nesting_is_bounded() -> None:
    with pytest.raises(DecodeError):
        decode(b"\x93\x00\x00" + b"\x91" * 8000 + b"\x00")


def test_a_lookup_needs_no_other_block(feed: Feed) -> None:
    hints = TrieHints()
    with Store.memory() as store:
        blocks = hints(feed, encode(Lookup(0, (), "a/123")))
        assert len(blocks) < 10
        assert replica(feed, store, blocks)["a/123"] == "123"


def test_a_listing_needs_no_other_block(feed: Feed) -> None:
    with Store.memory() as store:
        blocks = TrieHints()(feed, encode(Listing(0, (), "a/", True, False, "a/099", 50, True)))
        page = list(replica(feed, store, blocks).items("a/", after="a/099", limit=50))
        assert page[0] == ("a/100", "100")
        assert len(page) == 50


def test_a_range_needs_no_other_block(feed: Feed) -> None:
    with Store.memory() as store:
        blocks = TrieHints()(feed, encode(Range(0, (), "a/100", "a/200", True, None, 10)))
        assert len(blocks) < 30
        page = list(replica(feed, store, blocks).range("a/100", "a/200", reverse=True, limit=10))
        assert [key for key, _ in page] == [f"a/{n}" for n in range(199, 189, -1)]


def test_a_difference_needs_no_other_block(feed: Feed) -> None:
    version, trie = feed.length, Trie(feed)
    trie["a/007"] = "new"
    del trie["a/008"]
    trie["b"] = "long" * 1000
    expected = list(trie.diff(version))
    with Store.memory() as store:
        blocks = TrieHints()(feed, encode(Changes(0, (), version, "", None, None)))
        assert len(blocks) < 30
        assert list(replica(feed, store, blocks).diff(version)) == expected
    assert TrieHints()(feed, encode(Changes(0, (), version, 7, None, None))) == ()


def test_a_page_of_a_difference_needs_no_other_block(feed: Feed) -> None:
    version, trie = feed.length, Trie(feed)
    trie.update({f"a/{n:03}": "new" for n in range(0, 300, 3)})
    question = Changes(0, (), version, "", "a/150", 10)
    expected = list(trie.diff(version, after="a/150", limit=10))
    with Store.memory() as store:
        blocks = TrieHints()(feed, encode(question))
        assert len(blocks) < 60
        copy = replica(feed, store, blocks)
        assert list(copy.diff(version, after="a/150", limit=10)) == expected


def test_a_count_needs_few_blocks(feed: Feed) -> None:
    with Store.memory() as store:
        blocks = TrieHints()(feed, encode(Count(0, (), "a/")))
        assert len(blocks) < 5
        assert replica(feed, store, blocks).count("a/") == 300


def test_a_part_is_walked_with_its_own_codec(feed: Feed) -> None:
    part = Trie(feed).sub("part").sub("numbers", key_codec="json")
    part.update(dict.fromkeys(range(1, 100, 2), "odd"))
    parts = (("part", None), ("numbers", "json"))
    with Store.memory() as store:
        blocks = TrieHints()(feed, encode(Lookup(0, parts, 7)))
        assert len(blocks) < 10
        copy = replica(feed, store, blocks)
        assert copy.sub("part").sub("numbers", key_codec="json")[7] == "odd"
        keys = TrieHints()(feed, encode(Listing(0, parts, "", True, False, None, 5, False)))
        assert 5 < len(keys) < 20
    with pytest.raises(DecodeError):
        decode(encode(Lookup(0, parts * 9, 7)))


def test_an_old_version_is_walked_as_it_was(feed: Feed) -> None:
    version = feed.length
    Trie(feed)["a/123"] = "new"
    assert max(TrieHints()(feed, encode(Lookup(version, (), "a/123")))) < version
    assert max(TrieHints()(feed, encode(Lookup(0, (), "a/123")))) == version


def test_what_does_not_fit_is_answered_with_nothing(feed: Feed) -> None:
    hints = TrieHints()
    for question in (
        Lookup(0, (), 7),
        Lookup(0, (), None),
        Lookup(2**40, (), "a/1"),
        Lookup(5, (), "a/1"),
        Listing(0, (), "", True, False, 7, None, True),
        Lookup(0, ((7, None),), "a"),
        Lookup(0, (("", None),), "a"),
        Lookup(0, (("part", "pickle"),), "a"),
        Count(0, (), 7),
    ):
        assert list(hints(feed, encode(question))) == []
    with Store.memory() as store:
        log = store.feed("log")
        assert list(hints(log, encode(Lookup(0, (), "a")))) == []
        log.append(b"no trie")
        assert list(hints(log, encode(Lookup(0, (), "a")))) == []
    with pytest.raises(DecodeError):
        hints(feed, b"nonsense")


def test_a_large_listing_is_cut(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trie_hints, "MAX_BLOCKS", 100)
    assert len(TrieHints()(feed, encode(Listing(0, (), "", True, False, None, None, True)))) == 100
