"""A key-value trie inside a feed: query it without downloading it, and trust the answer."""

from __future__ import annotations

from trie.batch import Batch
from trie.entries import Change, Difference, Entry
from trie.errors import ConditionFailed, MalformedNode, NotATrie, TrieError
from trie.header import Header
from trie.prove import Sub, TrieProof, check_trie_proof, check_trie_range
from trie.trie import Trie
from trie.view import View
from trie.watch import Watch

__all__ = [
    "Batch",
    "Change",
    "ConditionFailed",
    "Difference",
    "Entry",
    "Header",
    "MalformedNode",
    "NotATrie",
    "Sub",
    "Trie",
    "TrieError",
    "TrieProof",
    "View",
    "Watch",
    "check_trie_proof",
    "check_trie_range",
]
