"""A writer, a reader who wants all of it, and an honest replica, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from feedlog import Store
from tests.reference.world import Host, World

BLOCKS = [b"block %d" % i * 20 for i in range(64)]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make_store() -> Iterator[Callable[[], Store]]:
    stores: list[Store] = []

    def make() -> Store:
        stores.append(Store.memory())
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def writer(world: World, make_store: Callable[[], Store]) -> Host:
    store = make_store()
    feed = store.feed("log")
    feed.extend(BLOCKS)
    return world.host(feed, store)


@pytest.fixture
def reader(world: World, make_store: Callable[[], Store], writer: Host) -> Host:
    store = make_store()
    host = world.host(store.feed(key=writer.feed.key), store, following=True)
    host.core.wants.add([(0, len(BLOCKS))])
    return host


@pytest.fixture
def honest(world: World, make_store: Callable[[], Store], writer: Host) -> Host:
    store = make_store()
    copy = store.feed(key=writer.feed.key)
    copy.apply(writer.feed.prove(blocks=range(len(BLOCKS))))
    return world.host(copy, store)
