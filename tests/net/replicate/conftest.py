"""A feed with blocks, replicas of it, and a world to connect them in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from feedlog import Feed, Store
from tests.reference.world import Host, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def stores() -> Iterator[Callable[[], Store]]:
    opened: list[Store] = []

    def make() -> Store:
        opened.append(Store.memory())
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def writer(world: World, stores: Callable[[], Store]) -> Host:
    """The writer of a feed of 100 blocks."""
    store = stores()
    feed = store.feed("log")
    feed.extend(b"block %d" % i * 20 for i in range(100))
    return world.host(feed, store)


@pytest.fixture
def replica(world: World, stores: Callable[[], Store]) -> Callable[[Feed], Host]:
    """Makes empty replicas of a feed that follow it."""

    def make(feed: Feed, **options: object) -> Host:
        store = stores()
        return world.host(store.feed(key=feed.key), store, **{"following": True, **options})

    return make
