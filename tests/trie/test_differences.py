"""Differences as a collection; test_model.py compares what is in them with a dictionary."""

from __future__ import annotations

import pytest

from feedlog import Store
from trie import Trie


@pytest.fixture
def version(trie: Trie) -> int:
    """A version of 300 keys, of which every third was written again since."""
    trie.update({f"k/{number:03}": b"" for number in range(300)})
    before = trie.version
    trie.update({f"k/{number:03}": b"1" for number in range(0, 300, 3)})
    return before


def test_each_iteration_looks_at_one_version_and_the_next_at_a_later(
    trie: Trie, version: int
) -> None:
    differences = trie.diff(version)
    assert len(list(differences)) == 100
    trie["k/001"] = b"1"
    assert len(list(differences)) == 101
    assert len(list(trie.at(version).diff(trie))) == 101


def test_a_difference_goes_on_after_a_key_that_need_not_differ(trie: Trie, version: int) -> None:
    whole = [one.key for one in trie.diff(version)]
    pages: list[str] = []
    after = None
    while page := [one.key for one in trie.diff(version, after=after, limit=7)]:
        pages += page
        after = page[-1]
    assert pages == whole
    order = list(trie)
    for key in ("k/001", "k/150", "nix"):
        rest = [one.key for one in trie.diff(version, after=key)]
        assert whole[len(whole) - len(rest) :] == rest
        if key in trie:
            assert rest == [one for one in order[order.index(key) + 1 :] if one in whole]


def test_a_page_reads_the_blocks_of_that_page(trie: Trie, version: int) -> None:
    whole = list(trie.diff(version))
    page = trie.diff(version, after=whole[49].key, limit=10)
    walked = page.walk()
    assert len(walked) * 3 < len(trie.diff(version).walk())
    with Store.memory() as elsewhere:
        copy = elsewhere.feed(key=trie.feed.key)
        copy.apply(trie.feed.prove(blocks=walked))
        again = Trie(copy).diff(version, after=whole[49].key, limit=10)
        assert list(again) == whole[50:60]


def test_what_is_no_difference_of_this_trie(trie: Trie, version: int) -> None:
    with pytest.raises(ValueError, match="lies inside a batch"):
        list(trie.diff(version + 1))
    with pytest.raises(TypeError, match="a prefix is str or bytes"):
        list(trie.diff(version, 7))  # type: ignore[arg-type]  # on purpose
    assert trie.at(0).diff(version).walk() == []
