from __future__ import annotations

import pytest

from trie import Trie

KEYS = ["a", "a/b", "a/b/c", "a/b/d", "a/e", "ab", "f", "", "/g", "a/", "a//h"]


def test_one_level_is_what_a_directory_shows(trie: Trie) -> None:
    trie.update({key: key.encode() for key in KEYS})
    top = dict(trie.items(recursive=False))
    assert top == {"a": b"a", "a/": None, "ab": b"ab", "f": b"f", "": b"", "/": None}
    assert dict(trie.items("a/", recursive=False)) == {
        "a/b": b"a/b",
        "a/b/": None,
        "a/e": b"a/e",
        "a/": b"a/",
        "a//": None,
    }
    assert set(trie.keys("a", recursive=False)) == {"a", "a/"}
    assert len(trie.keys("a/", recursive=False)) == 5


def test_a_listing_goes_on_after_a_key_that_is_gone(trie: Trie) -> None:
    trie.update(dict.fromkeys(KEYS, b""))
    whole = list(trie)
    for at, key in enumerate(whole):
        del trie[key]
        assert list(trie.keys(after=key)) == whole[at + 1 :]
        trie[key] = b""


def test_a_listing_in_pages_is_the_whole(trie: Trie) -> None:
    trie.update({f"{number}/{number % 7}": b"" for number in range(100)})
    pages = []
    after = None
    while page := list(trie.keys(limit=9, after=after)):
        pages += page
        after = page[-1]
    assert pages == list(trie)
    assert list(trie.keys(reverse=True)) == pages[::-1]


def test_one_level_in_pages_is_the_whole(trie: Trie) -> None:
    trie.update(dict.fromkeys(KEYS, b""))
    for prefix in ("", "a/", "a"):
        whole = list(trie.keys(prefix, recursive=False))
        assert list(trie.keys(prefix, recursive=False, reverse=True)) == whole[::-1]
        pages = []
        after = None
        while page := list(trie.keys(prefix, recursive=False, limit=1, after=after)):
            pages += page
            after = page[-1]
            if after == "a/" and prefix != "a/" and pages.count("a/") > 1:
                break
        assert pages == whole


def test_a_negative_limit_is_misuse(trie: Trie) -> None:
    with pytest.raises(ValueError, match="not negative, got -1"):
        trie.items(limit=-1)
