"""Write the vectors of the trie: `python tests/vectors/generate_trie.py`, or `--check` them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from feedlog import Store
from trie import Trie
from trie.header import Header
from trie.node import CHUNK, DELETE, PUT, PUT_CHUNKS, Row, encode
from trie.path import Paths

HERE = Path(__file__).parent
HASH_KEY = bytes(range(32))


def paths() -> dict[str, Any]:
    keys = ["", "/", "a", "a/", "a/b", "a//b", "pkg/requests/2.32.0", "ü/€/𝄞", "a\x00b", "a\x00"]
    cases = []
    for order, bits in (("hash", 64), ("hash", 4), ("key", 64)):
        header = Header(
            order="key" if order == "key" else "hash", hash_key=HASH_KEY, hash_bits=bits
        )
        for key in keys:
            path = Paths(header).path(key.encode())
            case: dict[str, Any] = {"order": order, "key": key.encode().hex(), "path": path.hex()}
            if order == "hash":
                case |= {"hash_key": HASH_KEY.hex(), "hash_bits": bits}
            cases.append(case)
    return {"comment": "Keys and their paths: docs/spec/trie.md, section 3.", "cases": cases}


def nodes() -> dict[str, Any]:
    near = Row(2, 0b0100_0000_0001_0000, 2, (299, 7))
    far = Row(40, 0b1000, 9, (1,))
    whole = Row(1, 0xFFFD, 1000, tuple(range(200, 215)))
    good = [
        ("put", 1, PUT, 2, b"a", b"value", (0, 0), ()),
        ("empty-key-and-value", 1, PUT, 2, b"", b"", (0, 0), ()),
        ("put-inside-a-batch", 9, PUT, 0, b"key", b"v" * 200, (0, 0), ()),
        ("put-in-chunks", 7, PUT_CHUNKS, 3, b"long", b"", (5, 70_000), ()),
        ("delete-with-a-row", 300, DELETE, 1, b"a/b", b"", (0, 0), (near,)),
        ("two-rows-far-apart", 70_000, PUT, 1, b"directory/file", b"1", (0, 0), (near, far)),
        ("a-full-row", 400, PUT, 1, b"xyz", b"", (0, 0), (whole,)),
    ]
    bad = [
        ("nothing", 1, b"", "ends early"),
        ("chunk", 1, bytes((CHUNK, 1, 2)), "a chunk of a value"),
        ("unknown-kind", 1, bytes((9, 1, 0, 0)), "of kind 9"),
        ("truncated-key", 1, bytes((PUT, 2, 5)) + b"abc", "ends early"),
        ("truncated-value", 1, bytes((PUT, 2, 1)) + b"a" + bytes((4,)) + b"abc", "ends early"),
        ("span-past-the-beginning", 1, bytes((PUT, 3, 1)) + b"a\x00", "ends a write of 3 blocks"),
        ("padded-integer", 1, bytes((PUT, 2, 0x81, 0x00)) + b"a\x00", "not in shortest form"),
        ("endless-integer", 1, bytes((PUT,)) + b"\xff" * 12, "more than 8 bytes"),
        ("long-key", 1, bytes((PUT, 2, 0x81, 0x20)), "4097 bytes, the limit is 4096"),
        ("long-inline-value", 1, bytes((PUT, 2, 0, 0x81, 0x08)), "1025 bytes inline"),
        ("short-value-in-chunks", 9, bytes((PUT_CHUNKS, 2, 0, 1, 1)), "a value of 1 bytes"),
        ("chunks-ahead", 9, bytes((PUT_CHUNKS, 2, 0, 0, 0x81, 0x08)), "1 chunks 0 blocks back"),
        ("chunks-before-block-1", 9, bytes((PUT_CHUNKS, 2, 0, 9, 0x81, 0x08)), "9 blocks back"),
        ("chunks-overlap-node", 9, bytes((PUT_CHUNKS, 2, 0, 1, 0xFF, 0xFF, 7)), "3 chunks 1 block"),
    ]
    leaf = bytes((DELETE, 1, 1)) + b"a"
    bad_rows = [
        ("row-without-pointers", 9, leaf + bytes((0x04, 0, 0, 0)), "has no pointers"),
        ("row-at-own-digit", 9, leaf + bytes((0x00, 0, 1, 0, 1)), "at the key's own digit"),
        ("row-truncated", 9, leaf + bytes((0x04, 0)), "rows end early"),
        ("row-pointers-truncated", 9, leaf + bytes((0x04, 0, 6, 0, 1)), "rows end early"),
        ("row-past-the-path", 9, leaf + bytes((0x1F, 99, 0, 2, 0, 1)), "a row at level 130"),
        ("pointer-to-itself", 9, leaf + bytes((0x04, 0, 2, 0, 0)), "points outside"),
        ("pointer-to-the-header", 9, leaf + bytes((0x04, 0, 2, 0, 9)), "points outside"),
        ("pointer-before-the-feed", 9, leaf + bytes((0x04, 0, 2, 0, 10)), "points outside"),
        ("pointer-too-wide", 9, leaf + bytes((0x24, 0, 2, 0, 0, 1)), "wider than they need"),
        ("pointer-of-six-bytes", 9, leaf + bytes((0xA4, 0, 2, 0)), "pointers of 6 bytes"),
    ]
    path = Paths(Header(hash_key=HASH_KEY)).path
    return {
        "comment": "Blocks of nodes: docs/spec/trie.md, section 4. Paths are of hash_key 00..1f.",
        "good": [
            {
                "name": name,
                "index": index,
                "kind": kind,
                "span": span,
                "key": key.hex(),
                "value": value.hex(),
                "run": list(run),
                "rows": [[row.level, row.bitmap, row.below, list(row.pointers)] for row in rows],
                "block": encode(index, kind, span, key, value, run, rows).hex(),
            }
            for name, index, kind, span, key, value, run, rows in good
        ],
        "bad": [
            {"name": name, "index": index, "block": block.hex(), "reason": reason}
            for name, index, block, reason in bad
        ],
        "bad_rows": [
            {
                "name": name,
                "index": index,
                "path": path(b"a").hex(),
                "block": block.hex(),
                "reason": reason,
            }
            for name, index, block, reason in bad_rows
        ],
    }


def example() -> dict[str, Any]:
    with Store.memory() as store:
        trie = Trie(store.feed("example"), hash_key=HASH_KEY)
        trie["pkg/a"] = b"1"
        trie["pkg/b"] = b"2"
        del trie["pkg/a"]
        with trie.batch() as batch:
            batch["pkg/c"] = b"3"
            batch["doc"] = b"4"
        path = Paths(trie.header).path
        return {
            "comment": "The worked example of docs/spec/trie.md, section 1.",
            "hash_key": HASH_KEY.hex(),
            "paths": {key: path(key.encode()).hex() for key in ("pkg/a", "pkg/b", "pkg/c", "doc")},
            "blocks": [block.hex() for block in trie.feed],
        }


VECTORS = {"trie_paths.json": paths, "trie_nodes.json": nodes, "trie_example.json": example}


def main(check: bool) -> int:
    stale = 0
    for name, make in VECTORS.items():
        text = json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        if not check:
            (HERE / name).write_text(text)
        elif (HERE / name).read_text() != text:
            stale += 1
            print(f"{name} is not what this code makes")
    return stale


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
