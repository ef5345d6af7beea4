from __future__ import annotations

from pathlib import Path

import pytest

from feedlog import Store
from tests.reference.command_line import Run
from trie import Trie


def test_put_makes_a_trie_and_get_reads_it(feedlog: Run) -> None:
    made = feedlog("trie", "put", "config", "colours/sky", "blue")
    assert (made.code, made.out) == (0, "2\n")
    assert "config is a new trie: " in made.err
    assert feedlog("trie", "put", "config", "colours/grass", stdin=b"\x00green").err == ""
    assert feedlog("trie", "get", "config", "colours/sky").raw == b"blue"
    assert feedlog("trie", "get", "config", "colours/grass").raw == b"\x00green"


def test_a_file_can_be_a_value(feedlog: Run, tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_bytes(bytes(1000))
    feedlog("trie", "put", "config", "k", "--file", file)
    assert feedlog("trie", "get", "config", "k").raw == bytes(1000)
    both = feedlog("trie", "put", "config", "k", "v", "--file", file)
    assert (both.code, both.complaint) == (2, "give VALUE or --file, not both")


def test_ls_lists_a_level_or_everything_in_order(feedlog: Run) -> None:
    for key in ("b/two", "a", "b/one", "c/d/e"):
        feedlog("trie", "put", "config", key, f"value of {key}")
    assert feedlog("trie", "ls", "config").out == "a\nb/\nc/\n"
    assert feedlog("trie", "ls", "config", "b/").out == "b/one\nb/two\n"
    assert feedlog("trie", "ls", "config", "-R").out == "a\nb/one\nb/two\nc/d/e\n"
    assert feedlog("trie", "ls", "config", "-l").out == "a\tvalue of a\nb/\nc/\n"
    assert feedlog("trie", "ls", "config", "b/", "--json").json == {
        "b/one": "value of b/one",
        "b/two": "value of b/two",
    }
    assert feedlog("trie", "ls", "config", "zz/").out == ""


def test_del_and_old_versions(feedlog: Run) -> None:
    feedlog("trie", "put", "config", "k", "v")
    assert feedlog("trie", "del", "config", "k").out == "3\n"
    assert feedlog("trie", "get", "config", "k").complaint == "config has no key 'k'"
    assert feedlog("trie", "del", "config", "k").complaint == "config has no key 'k'"
    assert feedlog("trie", "get", "config", "k", "--at", 2).raw == b"v"
    assert feedlog("trie", "get", "config", "k", "--at", 9).complaint == "version 9 is not in 0..3"


def test_if_absent(feedlog: Run) -> None:
    assert feedlog("trie", "put", "config", "k", "v", "--if-absent").code == 0
    again = feedlog("trie", "put", "config", "k", "w", "--if-absent")
    assert "was written in version 2" in again.complaint
    assert feedlog("trie", "get", "config", "k").raw == b"v"


def test_json_and_text_values(feedlog: Run, home: Path) -> None:
    with Store(home) as store:
        Trie(store.feed("json"), value_codec="json")["k"] = {"a": [1, None]}
        Trie(store.feed("text"), value_codec="text")["k"] = "v"
        Trie(store.feed("bytes"))["k"] = b"\xff"
    assert feedlog("trie", "get", "json", "k").out == '{"a": [1, null]}'
    feedlog("trie", "put", "json", "l", "[2]")
    assert feedlog("trie", "ls", "json", "--json", "-R").json == {"k": {"a": [1, None]}, "l": [2]}
    wrong = feedlog("trie", "put", "json", "l", "{")
    assert "a value of this trie is written in JSON, not as '{': Expecting" in wrong.complaint
    assert wrong.code == 2
    feedlog("trie", "put", "text", "l", "w")
    assert feedlog("trie", "get", "text", "l").out == "w"
    assert feedlog("trie", "ls", "bytes", "--json").json == {"k": {"base64": "/w=="}}


def test_a_feed_that_is_no_trie(feedlog: Run) -> None:
    feedlog("create", "news")
    feedlog("append", "news", "hello")
    for command in (("get", "news", "k"), ("ls", "news"), ("put", "news", "k", "v")):
        complaint = feedlog("trie", *command).complaint
        assert complaint == "the feed's first block is not the header of a trie"
    assert feedlog("cat", "news").out == "hello\n"


def test_a_strangers_keys_are_shown_safely(feedlog: Run, home: Path) -> None:
    with Store(home) as store:
        Trie(store.feed("odd"))["\x1b[2J"] = b""
    assert feedlog("trie", "ls", "odd").out == "\\x1b[2J\n"


@pytest.mark.parametrize(("codec", "key"), [("bytes", b"k"), ("json", ["k"]), ("msgpack", ["k"])])
def test_keys_that_are_no_text(feedlog: Run, home: Path, codec: str, key: object) -> None:
    with Store(home) as store:
        trie = Trie(store.feed("odd"), key_codec=codec)
        trie[key] = b"v"
        feed_key = trie.feed.id
    typed = "k" if codec == "bytes" else '["k"]'
    assert feedlog("trie", "get", "odd", typed).raw == b"v"
    assert feedlog("trie", "put", "odd", typed, "w").code == 0
    assert feedlog("trie", "ls", "odd", "-R").out == f"{typed}\n"
    assert feedlog("trie", "ls", "odd", "-R", "--json").json == {typed: "w"}
    proof = feedlog("trie", "prove", "odd", typed).raw
    assert feedlog("trie", "verify", feed_key, typed, "-", stdin=proof).raw == b"w"
    assert feedlog("trie", "del", "odd", typed).code == 0
    if codec != "bytes":
        assert feedlog("trie", "get", "odd", "{").complaint
