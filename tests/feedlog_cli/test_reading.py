from __future__ import annotations

import base64
from pathlib import Path

import pytest

from feedlog import Store
from feedlog_cli.children import Children
from tests.reference.command_line import Network, Run

BLOCKS = [b"one", b"\x00\xff", b"", b"four"]


@pytest.fixture(autouse=True)
def news(home: Path) -> None:
    with Store(home) as store:
        store.feed("news").extend(BLOCKS)


def test_get_is_exact(feedlog: Run) -> None:
    assert [feedlog("get", "news", index).raw for index in range(4)] == BLOCKS
    assert feedlog("get", "news", "-1").raw == b"four"
    assert feedlog("get", "news", "--", "-2").raw == b""


def test_get_by_key(feedlog: Run, home: Path) -> None:
    with Store(home) as store:
        key = store.feed("news").id
    assert feedlog("get", key, 0).raw == b"one"


def test_get_as_json(feedlog: Run) -> None:
    encoded = base64.b64encode(BLOCKS[1]).decode()
    assert feedlog("get", "news", 1, "--json").json == {"index": 1, "size": 2, "base64": encoded}


def test_cat_ends_each_block_with_a_newline(feedlog: Run) -> None:
    assert feedlog("cat", "news").raw == b"one\n\x00\xff\n\nfour\n"
    assert feedlog("cat", "news", "--range", "1:3").raw == b"\x00\xff\n\n"
    assert feedlog("cat", "news", "--range=-1:").raw == b"four\n"


def test_cat_raw_is_the_blocks_end_to_end(feedlog: Run) -> None:
    assert feedlog("cat", "news", "--raw").raw == b"".join(BLOCKS)


def test_get_wants_one_block(feedlog: Run) -> None:
    result = feedlog("get", "news", "0:2")
    assert result.code == 2
    assert result.complaint == "get prints one block; `feedlog cat --range 0:2` prints several"


def test_blocks_that_were_cleared_come_back_from_peers(
    process: Run, children: Children, tmp_path: Path, network: Network
) -> None:
    mirror, writer = tmp_path / "mirror", tmp_path / "writer"
    key = process("create", "news", "--store", writer).out.strip()
    process("append", "news", "one", "two", "--store", writer)
    where = ("--bootstrap", network.bootstrap)
    words = ("share", "--host", "127.0.0.1", "--json", *where)
    sharing, _ = children.serve(words, {"FEEDLOG_STORE": str(writer)})
    assert process("clone", key, *where, "--store", mirror).code == 0
    sharing.terminate()
    sharing.wait()

    process("clear", "news", ":", "--store", writer)
    complaint = process("get", "news", 0, "--store", writer).complaint
    assert complaint.endswith("`feedlog clone` fetches it from a peer that has it")
    children.serve(words, {"FEEDLOG_STORE": str(mirror)})
    assert process("get", "news", 0, *where, "--store", writer).raw == b"one"
    assert process("cat", "news", *where, "--store", writer).raw == b"one\ntwo\n"
    past = process("get", "news", 2, *where, "--store", writer)
    assert past.complaint == "block 2 is past the end: the feed has 2 blocks"
