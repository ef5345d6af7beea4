from __future__ import annotations

from pathlib import Path

import pytest

from feedlog import Store, decode_id
from tests.reference.command_line import Network, Run


@pytest.fixture(autouse=True)
def key(feedlog: Run) -> str:
    key = feedlog("create", "news").out.strip()
    feedlog("append", "news", "one", "two", "three")
    return key


def test_the_end_is_gone_and_the_fork_is_new(process: Run) -> None:
    result = process("truncate", "news", 1)
    assert (result.code, result.err) == (0, "")
    assert result.out == "from 3 blocks in fork 0 to 1 block in fork 1\n"
    assert process("cat", "news").raw == b"one\n"
    assert process("append", "news", "two, again").out == "block 1\n"
    assert process("audit", "news").code == 0


def test_json(feedlog: Run, key: str) -> None:
    assert feedlog("truncate", key, 0, "--json").json == {
        "key": key,
        "old_length": 3,
        "old_fork": 0,
        "length": 0,
        "fork": 1,
    }


def test_at_the_length_that_it_has_only_the_fork_is_new(feedlog: Run) -> None:
    assert feedlog("truncate", "news", 3).out == "from 3 blocks in fork 0 to 3 blocks in fork 1\n"
    assert feedlog("cat", "news").raw == b"one\ntwo\nthree\n"


def test_a_reader_follows_the_fork(feedlog: Run, home: Path, key: str) -> None:
    with Store.memory() as elsewhere:
        copy = elsewhere.feed(key=decode_id(key))
        with Store(home) as store:
            copy.apply(store.feed("news").prove(blocks=range(3)))
        feedlog("truncate", "news", 1)
        with Store(home) as store:
            copy.apply(store.feed("news").prove())
        assert (copy.id, list(copy), copy.fork) == (key, [b"one"], 1)


def test_a_length_that_the_feed_does_not_have(feedlog: Run) -> None:
    assert feedlog("truncate", "news", 4).complaint == "length 4 is not in 0..3"
    assert feedlog("truncate", "news", -1).code == 2
    assert feedlog("truncate", "news", "all").code == 2
    assert feedlog("cat", "news").raw == b"one\ntwo\nthree\n"
    assert feedlog("info", "news", "--json").json["fork"] == 0


def test_only_the_writer_truncates(feedlog: Run, network: Network) -> None:
    feedlog("clone", network.log, "-b", network.bootstrap)
    complaint = feedlog("truncate", network.log, 1).complaint
    assert complaint.startswith(f"feed {network.log} cannot be written here")
    assert feedlog("info", network.log, "--json").json["length"] == 50
