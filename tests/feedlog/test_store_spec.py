"""docs/spec/store.md: its examples, compared with what a feed writes."""

from __future__ import annotations

import re
from pathlib import Path

from feedlog.checksum import seal
from feedlog.feed import Feed
from feedlog.layout import bounds
from feedlog.store import Store

TEXT = (Path(__file__).parents[2] / "docs/spec/store.md").read_text()
ROW = re.compile(r"^\| `([0-9a-f]{16,})` \| `([0-9a-f]+)`( \.\.)? \|$", re.MULTILINE)


def entries(feed: Feed) -> list[tuple[bytes, bytes]]:
    with feed._storage.read() as reader:
        return list(reader.scan(*bounds(1)))


def test_the_example_of_entries_is_what_a_feed_writes() -> None:
    with Store.memory() as store:
        feed = store.feed("example")
        feed.append(b"one")
        feed.extend([b"two", b"x" * 1025])
        written = entries(feed)
    rows = ROW.findall(TEXT)
    assert [key.hex() for key, _ in written] == [key for key, _, _ in rows]
    for (_, value), (_, shown, cut) in zip(written, rows, strict=True):
        assert value.hex().startswith(shown) if cut else value.hex() == shown


def test_the_example_of_a_checksum() -> None:
    assert f"`{seal(b'key', b'value').hex()}`" in TEXT
