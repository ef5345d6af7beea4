"""docs/spec/trie.md: its worked example, recomputed, and its text, compared; all vectors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from feedlog import Store
from trie import MalformedNode, Trie
from trie.header import Header
from trie.node import Row, decode, encode
from trie.path import Paths

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests/vectors"
EXAMPLE = json.loads((VECTORS / "trie_example.json").read_text())
PATHS = json.loads((VECTORS / "trie_paths.json").read_text())
NODES = json.loads((VECTORS / "trie_nodes.json").read_text())


def test_the_example_is_what_its_blocks_say() -> None:
    with Store.memory() as store:
        feed = store.feed("example")
        feed.extend(bytes.fromhex(block) for block in EXAMPLE["blocks"])
        trie = Trie(feed)
        assert trie.header == Header(hash_key=bytes.fromhex(EXAMPLE["hash_key"]))
        assert dict(trie) == {"pkg/b": b"2", "pkg/c": b"3", "doc": b"4"}
        assert dict(trie.at(3)) == {"pkg/a": b"1", "pkg/b": b"2"}
        assert dict(trie.at(4)) == {"pkg/b": b"2"}
        with pytest.raises(ValueError, match="version 5 lies inside a batch"):
            trie.at(5)
        assert trie.walk("pkg/b") == [0, 5, 2]
        assert trie.walk("pkg/a") == [0, 5]


def test_the_specification_shows_the_example() -> None:
    text = (ROOT / "docs/spec/trie.md").read_text()
    for value in (*EXAMPLE["paths"].values(), *EXAMPLE["blocks"]):
        assert f"`{value}`" in text


@pytest.mark.parametrize("case", PATHS["cases"])
def test_paths_are_those_of_the_vectors(case: dict[str, str]) -> None:
    header = Header(
        order="key" if case["order"] == "key" else "hash",
        hash_key=bytes.fromhex(case.get("hash_key", "00" * 32)),
        hash_bits=int(case.get("hash_bits", 64)),
    )
    assert Paths(header).path(bytes.fromhex(case["key"])).hex() == case["path"]


@pytest.mark.parametrize("case", NODES["good"], ids=lambda case: case["name"])
def test_nodes_are_those_of_the_vectors(case: dict[str, str]) -> None:
    key, value = bytes.fromhex(case["key"]), bytes.fromhex(case["value"])
    index, kind, span = int(case["index"]), int(case["kind"]), int(case["span"])
    rows = [Row(*row) for row in case["rows"]]
    run = (int(case["run"][0]), int(case["run"][1]))
    assert encode(index, kind, span, key, value, run, rows).hex() == case["block"]
    node = decode(index, bytes.fromhex(case["block"]))
    node.place(Paths(Header(hash_key=bytes(range(32)))).path(key))
    assert (node.kind, node.span, node.key, node.value, node.run) == (kind, span, key, value, run)
    assert [(*row[:3], list(row.pointers)) for row in node.rows] == [
        (*row[:3], list(row.pointers)) for row in rows
    ]


@pytest.mark.parametrize("case", NODES["bad"], ids=lambda case: case["name"])
def test_bad_nodes_are_refused(case: dict[str, str]) -> None:
    with pytest.raises(MalformedNode, match=case["reason"]):
        decode(int(case["index"]), bytes.fromhex(case["block"]))


@pytest.mark.parametrize("case", NODES["bad_rows"], ids=lambda case: case["name"])
def test_bad_rows_are_refused(case: dict[str, str]) -> None:
    node = decode(int(case["index"]), bytes.fromhex(case["block"]))
    node.place(bytes.fromhex(case["path"]))
    with pytest.raises(MalformedNode, match=case["reason"]):
        _ = node.rows


def test_the_vectors_are_what_this_code_makes() -> None:
    subprocess.run(
        [sys.executable, "tests/vectors/generate_trie.py", "--check"],
        cwd=ROOT,
        check=True,
        env={"PYTHONPATH": str(ROOT)},
    )
