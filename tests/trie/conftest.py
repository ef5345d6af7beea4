"""Feeds and tries for the tests of the trie."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from feedlog import Feed, Store
from trie import Trie

HASH_KEY = bytes(range(32))


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.memory() as made:
        yield made


@pytest.fixture
def feed(store: Store) -> Feed:
    return store.feed("trie")


@pytest.fixture(
    params=[("hash", 64), ("hash", 6), ("hash", 2), ("key", None)],
    ids=["hash64", "hash6", "hash2", "key"],
)
def trie(request: pytest.FixtureRequest, feed: Feed) -> Trie:
    """A trie of each order, and with hashes of few bits, so that keys collide."""
    order, bits = request.param
    return Trie(feed, order=order, hash_bits=bits, hash_key=HASH_KEY)
