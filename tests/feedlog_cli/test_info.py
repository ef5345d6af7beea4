from __future__ import annotations

from pathlib import Path

from feedlog import Store
from tests.reference.command_line import Run


def test_a_table_of_all_feeds(feedlog: Run) -> None:
    key = feedlog("create", "news").out.strip()
    feedlog("append", "news", "hello", "world")
    heading, line = feedlog("info").out.splitlines()
    assert heading.split() == ["name", "key", "blocks", "held", "size", "writable"]
    assert line.split() == ["news", key, "2", "2", "10", "B", "yes"]


def test_one_feed_in_detail(feedlog: Run, home: Path) -> None:
    feedlog("create", "news")
    feedlog("append", "news", "hello")
    with Store(home) as store:
        feed = store.feed("news")
        facts = {
            "name": "news",
            "key": feed.id,
            "length": 1,
            "bytes": 5,
            "held": 1,
            "fork": 0,
            "writable": True,
            "tree_hash": feed.root_hash().hex(),
            "discovery_key": feed.discovery_key.hex(),
            "hash": "blake3",
            "signers": 1,
            "quorum": 1,
            "conflict": None,
        }
    assert feedlog("info", "news", "--json").json == facts
    assert feedlog("info", "--json").json == [facts]
    text = feedlog("info", "news").out
    assert "blocks         1, all held here\n" in text
    assert "conflict" not in text


def test_a_sparse_replica_says_what_it_holds(feedlog: Run, home: Path) -> None:
    with Store.memory() as elsewhere, Store(home) as store:
        feed = elsewhere.feed("theirs")
        feed.extend([b"a", b"b", b"c"])
        store.feed(key=feed.key).apply(feed.prove(blocks=[1]))
        key = feed.id
    text = feedlog("info", key).out
    assert "blocks         3, 1 held here\n" in text
    assert "writable       no\n" in text


def test_a_name_cannot_drive_the_terminal(feedlog: Run) -> None:
    key = feedlog("create", "two\nlines \x1b[31m").out.strip()
    _, line = feedlog("info").out.splitlines()
    assert line.startswith("two\\nlines \\x1b[31m  ")
    assert feedlog("info", key).out.startswith("name           two\\nlines \\x1b[31m\n")
    assert feedlog("info", key, "--json").json["name"] == "two\nlines \x1b[31m"
    assert "\x1b" not in feedlog("info", "x").complaint


def test_an_empty_store_says_what_to_do(feedlog: Run, home: Path) -> None:
    Store(home).close()
    result = feedlog("info")
    assert (result.code, result.out) == (0, "")
    assert "`feedlog create NAME` makes one" in result.err
