from __future__ import annotations

from pathlib import Path

import pytest

from feedlog import Store, decode_id
from tests.reference.command_line import Run


@pytest.fixture(autouse=True)
def key(feedlog: Run) -> str:
    key = feedlog("create", "news").out.strip()
    feedlog("append", "news", "one", "what will be damaged", "three")
    feedlog("create", "photos")
    feedlog("append", "photos", "click")
    feedlog("append", "photos", "clack")
    return key


def damage(home: Path) -> None:
    """Flip a bit of a block, wherever the data file has it."""
    data = home / "data.mdb"
    stored = data.read_bytes()
    assert b"what will be damaged" in stored
    data.write_bytes(stored.replace(b"will be damaged", b"Will be damaged"))


def test_sound_feeds(feedlog: Run) -> None:
    result = feedlog("audit")
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "news: sound, 3 blocks of 28 B under 1 head\n"
        "photos: sound, 2 blocks of 10 B under 2 heads\n"
    )
    assert feedlog("audit", "photos").out.startswith("photos: sound")


def test_feeds_without_a_name_are_called_by_their_key(feedlog: Run, home: Path, key: str) -> None:
    elsewhere = home.with_name("other")
    with Store(home) as store, Store(elsewhere) as other:
        other.feed(key=decode_id(key)).apply(store.feed("news").prove(blocks=[0, 2]))
    expected = f"{key}: sound, 2 blocks of 8 B under 1 head\n"
    assert feedlog("audit", "--store", elsewhere).out == expected
    assert feedlog("audit", key, "--store", elsewhere).out == expected


def test_json(feedlog: Run, key: str) -> None:
    assert feedlog("audit", "news", "--json").json == [
        {
            "name": "news",
            "key": key,
            "heads": 1,
            "nodes": 4,
            "blocks": 3,
            "bytes": 28,
            "fault": None,
        }
    ]


def test_a_flipped_bit_is_found_and_the_other_feed_is_audited(process: Run, home: Path) -> None:
    damage(home)
    result = process("audit")
    assert result.code == 1
    first, second = result.out.splitlines()
    assert first.startswith("news: ")
    assert "does not match its checksum" in first
    assert second == "photos: sound, 2 blocks of 10 B under 2 heads"
    assert result.err == f"feedlog: 1 of 2 feeds damaged; {first}\n"
    assert process("audit", "photos").code == 0


def test_json_of_a_fault_is_whole(feedlog: Run, home: Path) -> None:
    damage(home)
    result = feedlog("audit", "--json")
    assert result.code == 1
    news, photos = result.json
    assert "does not match its checksum" in news["fault"]
    assert photos["fault"] is None
    assert result.err == f"feedlog: 1 of 2 feeds damaged; news: {news['fault']}\n"


def test_an_audit_changes_nothing(feedlog: Run, home: Path) -> None:
    before = (home / "data.mdb").read_bytes()
    feedlog("audit")
    assert (home / "data.mdb").read_bytes() == before


def test_what_is_not_there_is_not_audited(feedlog: Run, home: Path) -> None:
    complaint = feedlog("audit", "letters").complaint
    assert complaint == "the store has no feed 'letters'; it has news, photos"
    assert "there is no store" in feedlog("audit", "--store", home.with_name("no")).complaint


def test_a_name_cannot_drive_the_terminal(feedlog: Run, home: Path) -> None:
    with Store(home) as store:
        store.feed("\x1b[31m").append(b"x")
    assert feedlog("audit").out.splitlines()[-1].startswith("\\x1b[31m: sound")
