from __future__ import annotations

from collections.abc import Callable

import pytest

from feedlog import Store


def test_one_name_in_each_namespace(store: Store) -> None:
    app = store.namespace("app")
    feeds = {
        feed.key: feed
        for feed in (
            store.feed("log"),
            app.feed("log"),
            app.namespace("log").feed("log"),
            store.namespace("log").feed("app"),
            store.namespace("applog").feed("log"),
            store.namespace("app\0log").feed("log"),
        )
    }
    assert len(feeds) == 6
    assert all(feed.writable for feed in feeds.values())
    assert app.feed("log") is store.namespace("app").feed("log")


def test_key_pairs_are_its_own(store: Store) -> None:
    app = store.namespace("app")
    pairs = {
        store.key_pair("node").public_key,
        app.key_pair("node").public_key,
        app.namespace("app").key_pair("node").public_key,
    }
    assert len(pairs) == 3
    assert app.key_pair("node") == store.namespace("app").key_pair("node")


def test_listing(store: Store) -> None:
    app = store.namespace("app")
    store.feed("log")
    app.feed("log").append(b"a")
    app.namespace("cache").feed("x")
    store.namespace("other").feed("log")
    assert [(info.namespace, info.name, info.length) for info in store.feeds()] == [
        ((), "log", 0),
        (("app",), "log", 1),
        (("app", "cache"), "x", 0),
        (("other",), "log", 0),
    ]
    assert [info.name for info in app.feeds()] == ["log", "x"]
    assert [info.name for info in app.namespace("cache").feeds()] == ["x"]
    assert store.namespace("nothing").feeds() == []


def test_after_reopening(reopen: Callable[..., Store]) -> None:
    key = reopen().namespace("app").namespace("cache").feed("x").key
    feed = reopen().namespace("app").namespace("cache").feed("x")
    assert feed.key == key
    assert feed.append(b"a") == 0
    assert reopen().feed(key=key).append(b"b") == 1


def test_a_feed_without_a_name_is_in_none(store: Store, elsewhere: Store) -> None:
    key = elsewhere.feed("theirs").key
    app = store.namespace("app")
    assert app.feed(key=key) is store.feed(key=key)
    assert app.feeds() == []


def test_a_transaction_is_the_stores(store: Store) -> None:
    app = store.namespace("app")

    def fail() -> None:
        with app.transaction():
            app.feed("log").append(b"a")
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        fail()
    assert store.feeds() == []


def test_names_that_are_none(store: Store) -> None:
    with pytest.raises(ValueError, match="at least one character"):
        store.namespace("")
    with pytest.raises(ValueError, match="at most 500 bytes"):
        store.namespace("n" * 300).feed("n" * 200)


def test_it_shows_its_names(store: Store) -> None:
    assert repr(store.namespace("app").namespace("a/b")) == "<Namespace 'app'/'a/b'>"
