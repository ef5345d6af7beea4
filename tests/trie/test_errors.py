from __future__ import annotations

from feedlog import FeedlogError
from trie import ConditionFailed, MalformedNode, NotATrie, TrieError


def test_the_tree_of_errors() -> None:
    assert issubclass(TrieError, FeedlogError)
    assert issubclass(NotATrie, TrieError)
    assert issubclass(MalformedNode, TrieError)
    assert issubclass(ConditionFailed, FeedlogError)
    assert not issubclass(ConditionFailed, TrieError)


def test_messages_name_the_block_and_bound_the_key() -> None:
    assert str(MalformedNode(7, "is odd")) == "block 7 of the trie: is odd"
    error = ConditionFailed("k" * 5000, None, "its absence")
    assert len(str(error)) < 200
    assert error.version is None
