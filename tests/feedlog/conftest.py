"""Stores of both kinds, so that every test of a feature runs on memory and on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from feedlog import Feed, Store


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = (
        Store.memory()
        if request.param == "memory"
        else Store(tmp_path / "store", durability="relaxed")
    )
    with opened:
        yield opened


@pytest.fixture
def feed(store: Store) -> Feed:
    return store.feed("log")


@pytest.fixture
def elsewhere() -> Iterator[Store]:
    """Somebody else's store."""
    with Store.memory() as opened:
        yield opened


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Open one store on disk, again and again: the one opened before is closed."""
    opened: list[Store] = []

    def open_it(*, read_only: bool = False) -> Store:
        while opened:
            opened.pop().close()
        path = tmp_path / "reopened"
        opened.append(Store(path, durability="relaxed", read_only=read_only))
        return opened[0]

    yield open_it
    for one in opened:
        one.close()
