"""A hostile writer: it signs whatever it likes, and readers get a clear error in bounded time."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedlog import Feed, Store
from trie import MalformedNode, NotATrie, Trie, TrieError, check_trie_proof, check_trie_range
from trie.codecs import named
from trie.header import Header
from trie.node import (
    CHUNK_SIZE,
    DELETE,
    MAX_NODE_SIZE,
    PUT,
    PUT_CHUNKS,
    Row,
    encode,
    encode_chunk,
)
from trie.nodes import Nodes
from trie.path import Paths, digit, parting, word_of

HASH_KEY = bytes(32)
HEADER = Header(hash_key=HASH_KEY)
path_of = Paths(HEADER).path

USES: dict[str, Callable[[Trie, str], object]] = {
    "get": lambda trie, key: trie.get(key),
    "list": lambda trie, _: list(trie.items()),
    "list backwards": lambda trie, _: list(trie.items(reverse=True)),
    "list a prefix": lambda trie, key: list(trie.items(key)),
    "list one level": lambda trie, _: list(trie.items(recursive=False)),
    "list after": lambda trie, key: list(trie.keys(after=key)),
    "count": lambda trie, key: trie.count(key),
    "diff": lambda trie, _: list(trie.diff(0)),
    "diff of neighbours": lambda trie, _: list(trie.diff(2)),
    "history": lambda trie, _: list(trie.history()),
    "watch": lambda trie, _: trie.watch(since=0).poll(),
    "walk": lambda trie, key: (trie.walk(key), trie.items().walk()),
    "prove": lambda trie, key: check_trie_proof(trie.feed.key, key, trie.prove(key)),
    "prove a listing": lambda trie, _: check_trie_range(trie.feed.key, "", trie.prove_range()),
    "put": lambda trie, key: trie.put(key, b"mine"),
    "delete": lambda trie, key: trie.pop(key, None),
    "batch": lambda trie, key: trie.update({key: b"", key + "x": b"", "a": b"", "q/r": b""}),
    "undo": lambda trie, _: trie.undo(),
    "dead blocks": lambda trie, _: trie.dead_blocks(),
}


@pytest.fixture
def feed() -> Feed:
    return Store.memory().feed("hostile")


def key_at(level: int, at_digit: int, like: bytes) -> bytes:
    """Find a key whose path leaves that of `like` at a level with a digit."""
    path = path_of(like)
    for number in range(1 << 16):
        key = b"%d" % number
        other = path_of(key)
        leaves_at = parting(path, word_of(path), other, word_of(other))
        if leaves_at == level and digit(other, level) == at_digit:
            return key
    raise AssertionError("no such key")


def row(level: int, at_digit: int, pointer: int) -> Row:
    return Row(level, 1 << at_digit, 1, (pointer,))


def node(index: int, key: bytes, *rows: Row, span: int = 1) -> bytes:
    return encode(index, PUT, span, key, b"value", (0, 0), rows)


def test_a_node_where_its_key_does_not_belong(feed: Feed) -> None:
    """Block 2 claims that `wanted` leads to block 1, whose key hashes elsewhere."""
    own = path_of(b"a")
    wrong = digit(own, 2) ^ 1
    wanted = key_at(2, wrong, b"a").decode()
    stranger = key_at(2, wrong ^ 2 if wrong ^ 2 != digit(own, 2) else wrong ^ 4, b"a")
    feed.extend([HEADER.to_bytes(), node(1, stranger, span=2), node(2, b"a", row(2, wrong, 1))])
    for name in ("get", "list", "list backwards", "diff", "prove", "put", "batch", "dead blocks"):
        with pytest.raises(MalformedNode, match="block 1 of the trie"):
            USES[name](Trie(feed), wanted)


def test_a_walk_in_circles_by_levels_that_do_not_rise(feed: Feed) -> None:
    """Each of 1000 nodes has the same key and sends every reader to the one before."""
    wanted_digit = digit(path_of(b"a"), 2) ^ 1
    wanted = key_at(2, wanted_digit, b"a").decode()
    blocks = [HEADER.to_bytes(), node(1, b"a", span=2)]
    blocks += [node(index, b"a", row(2, wanted_digit, index - 1)) for index in range(2, 1000)]
    feed.extend(blocks)
    for name in ("get", "list", "diff", "put", "walk"):
        with suppress(TrieError):
            USES[name](Trie(feed), wanted)
    trie = Trie(feed)
    with pytest.raises(MalformedNode):
        trie.get(wanted)
    assert len(trie._core.nodes.young) <= 3


@pytest.mark.parametrize(
    "block",
    [
        encode_chunk(b"chunk"),
        b"",
        b"\x09",
        node(2, b"b", span=1)[:4],
        b"\x01\x01\x01b" + bytes(MAX_NODE_SIZE),
        bytes((DELETE, 1, 1)) + b"b\x04\x00\x02\x00\x00",  # points to itself
        bytes((DELETE, 1, 1)) + b"b\x04\x00\x02\x00\x02",  # points to the header
        bytes((DELETE, 1, 1)) + b"b\x04\x00\x02\x00\x09",  # points before the feed
        bytes((DELETE, 9, 1)) + b"b",  # ends a write that began before the feed
    ],
    ids=[
        "chunk", "empty", "unknown kind", "truncated", "oversized",
        "cycle", "header", "before the feed", "span",
    ],
)  # fmt: skip
def test_a_root_that_is_none(feed: Feed, block: bytes) -> None:
    Trie(feed, hash_key=HASH_KEY)["a"] = b"1"
    feed.append(block)
    for name, use in USES.items():
        if name in ("history", "walk", "watch"):
            continue
        with pytest.raises(TrieError):
            use(Trie(feed), "a")
    for name in ("history", "walk", "watch"):
        with suppress(TrieError):
            USES[name](Trie(feed), "a")


def test_a_header_that_is_none(feed: Feed) -> None:
    feed.append(b"feedlog/trie\x07")
    with pytest.raises(NotATrie):
        Trie(feed)


def test_chunks_that_are_not_there(feed: Feed) -> None:
    nodes = Nodes(feed)
    nodes.header = HEADER
    wrong = [
        [node(1, b"x"), encode(2, PUT_CHUNKS, 1, b"a", b"", (1, 2000), ())],
        [encode_chunk(b"short"), encode(2, PUT_CHUNKS, 1, b"a", b"", (1, 2000), ())],
        [encode_chunk(bytes(70_000)), encode(2, PUT_CHUNKS, 1, b"a", b"", (1, 65_535), ())],
    ]
    for blocks in wrong:
        feed.truncate(0)
        feed.extend([HEADER.to_bytes(), *blocks])
        with pytest.raises(MalformedNode, match="not the chunk"):
            Trie(feed)["a"]


def test_a_text_key_that_is_no_text(feed: Feed) -> None:
    feed.extend([HEADER.to_bytes(), node(1, b"\xff", span=2)])
    with pytest.raises(MalformedNode, match="its key is not text"):
        list(Trie(feed))


NESTED = {"json": b"[" * 900 + b"]" * 100, "msgpack": b"\x91" * 1000}
BOMBS = {"json": b'{"a":' * 200_000, "msgpack": b"\x91" * 1_000_000}


@pytest.mark.parametrize("codec", NESTED)
def test_keys_and_values_that_nest_without_end(feed: Feed, codec: str) -> None:
    header = Header(hash_key=HASH_KEY, keys=named(codec), values=named(codec))
    key, bomb = NESTED[codec], BOMBS[codec]
    chunks = [bomb[at : at + CHUNK_SIZE] for at in range(0, len(bomb), CHUNK_SIZE)]
    blocks = [header.to_bytes(), *map(encode_chunk, chunks)]
    run = 1, len(bomb)
    one = named(codec).encode(1)
    blocks.append(encode(len(blocks), PUT_CHUNKS, len(blocks) + 1, one, b"", run, ()))
    feed.extend(blocks)
    with pytest.raises(MalformedNode, match=f"its value is not {codec}"):
        Trie(feed)[1]
    with pytest.raises(MalformedNode, match=f"its value is not {codec}"):
        check_trie_proof(feed.key, 1, Trie(feed).prove(1))
    feed.truncate(0)
    feed.extend([header.to_bytes(), encode(1, PUT, 2, key, b"\xc0", (0, 0), ())])
    with pytest.raises(MalformedNode, match=f"its key is not {codec}"):
        list(Trie(feed))


def test_counters_that_contradict_each_other(feed: Feed) -> None:
    """The row says one key below; the node there says a thousand."""
    own = digit(path_of(b"a"), 2)
    other = key_at(2, own ^ 1, b"a")
    level = parting(path_of(b"x1"), word_of(path_of(b"x1")), path_of(other), 0)
    assert level >= 0
    inflated = Row(9, 1 << (digit(path_of(other), 9) ^ 1), 1000, (1,))
    feed.extend(
        [
            HEADER.to_bytes(),
            node(1, b"z", span=2),
            node(2, other, inflated),
            node(3, b"a", row(2, own ^ 1, 2)),
        ]
    )
    trie = Trie(feed)
    assert len(trie) == 2  # the writer's word
    with suppress(TrieError):
        trie[other.decode()] = b""
    with pytest.raises(TrieError):
        list(trie)


@pytest.mark.parametrize("below", [2, 2**30, 2**55])
def test_counters_past_all_bounds(feed: Feed, below: int) -> None:
    """A list of Python makes room for as many entries as `len` says."""
    path = path_of(b"a")
    rows = [Row(level, 1 << (digit(path, level) ^ 1), below, (2,)) for level in range(24)]
    feed.extend([HEADER.to_bytes(), node(1, b"z"), node(2, b"y"), node(3, b"a", *rows)])
    trie = Trie(feed)
    for use in (len, list, lambda trie: list(trie.items()), lambda trie: trie.count()):
        with pytest.raises(TrieError, match="more than there are blocks"):
            use(trie)


def test_deep_keys_of_one_user_cost_the_others_nothing(feed: Feed) -> None:
    """In key order who may put can make the paths that begin as his deep, and no others."""
    trie = Trie(feed, order="key")
    trie.update({f"user/{number}": b"" for number in range(100)})
    before = [len(trie.walk(f"user/{number}")) for number in range(100)]
    trie.update({"evil" + "/" * size: b"" for size in range(1, 1000)})
    for size in range(1000, 1100):
        trie["evil" + "/" * size] = b""
    after = [len(trie.walk(f"user/{number}")) for number in range(100)]
    assert max(here - there for here, there in zip(after, before, strict=True)) <= 2
    assert len(trie.items("user/").walk()) < 110
    version = trie.put("user/7", b"")
    assert len(feed[version - 1]) < 200
    assert len(trie) == 100 + 1099


def honest_blocks(order: str) -> list[bytes]:
    with Store.memory() as store:
        trie = Trie(store.feed("a"), order="key" if order == "key" else "hash", hash_key=HASH_KEY)
        for number in range(12):
            trie[f"{number % 5}/{number}"] = b"%d" % number
        trie["long"] = b"x" * 2000
        trie.update({"a": b"", "b": b"1", "c/d": b"2"})
        del trie["1/1"]
        return list(trie.feed)


HONEST = {order: honest_blocks(order) for order in ("hash", "key")}


@pytest.mark.parametrize("order", HONEST)
@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32))
def test_whatever_one_block_says(order: str, seed: int) -> None:
    """Change one block of an honest trie; every use works, or raises TrieError."""
    rng = random.Random(seed)
    blocks = list(HONEST[order])
    at = rng.randrange(1, len(blocks)) if rng.random() < 0.6 else len(blocks) - 1
    block = bytearray(blocks[at])
    for _ in range(rng.randint(1, 3)):
        where = rng.randrange(len(block))
        how = rng.random()
        if how < 0.6:
            block[where] = rng.randrange(256)
        elif how < 0.8 and len(block) > 1:
            del block[where]
        else:
            block.insert(where, rng.randrange(256))
    blocks[at] = bytes(block)
    with Store.memory() as store:
        feed = store.feed("a")
        feed.extend(blocks)
        for use in USES.values():
            with suppress(TrieError):
                use(Trie(feed), "1/6")


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32))
def test_whatever_pointers_say(seed: int) -> None:
    """Nodes with right keys and rows that point anywhere before them."""
    rng = random.Random(seed)
    blocks = [HEADER.to_bytes()]
    for index in range(1, 30):
        key = b"%d" % rng.randrange(12)
        path = path_of(key)
        rows = []
        for level in sorted(rng.sample(range(2, 24), rng.randint(0, 5))):
            bitmap = rng.randrange(1, 1 << 16) & ~(1 << digit(path, level))
            if bitmap and index > 1:
                size = bitmap.bit_count()
                pointers = [rng.randrange(1, index) for _ in range(size)]
                rows.append(Row(level, bitmap, size, pointers))
        kind = rng.choice([PUT, PUT, DELETE])
        blocks.append(encode(index, kind, 1, key, b"v" * (kind == PUT), (0, 0), rows))
    with Store.memory() as store:
        feed = store.feed("a")
        feed.extend(blocks)
        for use in USES.values():
            with suppress(TrieError):
                use(Trie(feed), "7")
