"""What a remote trie says is what the trie says, with hints, without, and with lies for hints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest

from feedlog import DecodeError, Feed, Store
from feedlog_cli import remote_trie, trie_hints
from feedlog_cli.remote_trie import RemoteTrie
from feedlog_cli.trie_hints import EXTENSION, TrieHints
from net import Node
from net.errors import DeadlineError
from trie import Change, Trie, TrieError, TrieProof, check_trie_proof, check_trie_range
from trie.selection import How

KEYS = {f"{a}/{b:02}": f"{a}{b}" for a in "xyz" for b in range(40)}

Walker = Callable[[Feed, bytes], Iterable[int]]


def refuse(_feed: Feed, _payload: bytes) -> Iterable[int]:
    raise DecodeError("trie question", 0, "the walker says that it is none")


WALKERS: dict[str, Walker | None] = {
    "honest": TrieHints(),
    "no extension": None,
    "nothing": lambda _feed, _payload: (),
    "other blocks": lambda feed, payload: {0, 3, 5, 7} - set(TrieHints()(feed, payload)),
    "only the last": lambda feed, _payload: (feed.length - 1,),
    "too many": lambda feed, _payload: range(feed.length),
    "without an end": lambda _feed, _payload: iter(int, 1),
    "past the head": lambda feed, _payload: (-1, feed.length, feed.length + 9, 2**60),
    "backwards and twice": lambda feed, _payload: (7, 3, 3, 1, feed.length, 7),
}


SOME = {name: WALKERS[name] for name in ("honest", "no extension", "other blocks", "past the head")}


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.memory() as store:
        yield store


@pytest.fixture
def trie(store: Store) -> Trie:
    trie = Trie(store.feed("trie"), order="key", value_codec="text")
    trie.update(KEYS)
    trie["x/long"] = "long" * 50_000
    del trie["y/03"]
    trie.update({"y/04": "again", "z/new": "new"})
    trie.undo()
    trie["y/05"] = "last"
    return trie


Open = Callable[..., Any]


@pytest.fixture
async def opened(store: Store, trie: Trie) -> AsyncIterator[Open]:
    """Make a node that shares the trie with some walker, and a reader of it."""
    async with AsyncExitStack() as stack:

        async def make(walker: Walker | None, trie: Trie = trie) -> RemoteTrie:
            sharing = Node(store, host="127.0.0.1")
            await stack.enter_async_context(sharing)
            if walker is not None:
                sharing.extension(EXTENSION, walker)
            await sharing.share(trie.feed)
            elsewhere = stack.enter_context(Store.memory())
            node = Node(elsewhere, bootstrap=[sharing.address], host="127.0.0.1")
            await stack.enter_async_context(node)
            return RemoteTrie(await node.follow(trie.feed.key), timeout=20)

        yield make


async def all_of(iterator: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in iterator]


@pytest.mark.parametrize("walker", WALKERS.values(), ids=WALKERS)
async def test_every_read_is_the_local_one(
    opened: Open, trie: Trie, walker: Walker | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_trie, "PAGE", 16)
    remote = await opened(walker)
    for key in ("x/07", "x/long", "y/03", "y/04", "z/new", "nix"):
        assert await remote.get(key) == trie.get(key)
    assert await all_of(remote.items("y/")) == list(trie.items("y/"))
    assert await all_of(remote.items(reverse=True)) == list(trie.items(reverse=True))
    span = ("x/20", "y/10")
    assert await all_of(remote.range(*span)) == list(trie.range(*span))
    assert await all_of(remote.range(*span, reverse=True, limit=20)) == list(
        trie.range(*span, reverse=True, limit=20)
    )
    for other in (0, 121, trie.version):
        assert await all_of(remote.diff(other, "y/")) == list(trie.diff(other, "y/"))
    for question in ({}, {"prefix": "y"}, {"since": 121}, {"since": 100, "reverse": True}):
        assert await all_of(remote.history(**question)) == list(trie.history(**question))


@pytest.mark.parametrize("walker", WALKERS.values(), ids=WALKERS)
async def test_every_listing_is_the_local_one(
    opened: Open, trie: Trie, walker: Walker | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_trie, "PAGE", 16)
    remote = await opened(walker)
    for prefix in ("", "y/", "x/0", "nix"):
        assert await remote.count(prefix) == trie.count(prefix)
    assert await all_of(remote.keys()) == await all_of(remote) == list(trie)
    assert await all_of(remote.values("x/")) == list(trie.values("x/"))
    page: How = {"after": "y/10", "limit": 20, "reverse": True}
    assert await all_of(remote.keys("y/", **page)) == list(trie.keys("y/", **page))
    assert await all_of(remote.values("y/", limit=0)) == []
    assert await all_of(remote.keys(recursive=False)) == ["x/", "y/", "z/"]
    assert await all_of(remote.keys(recursive=False, after="x/")) == ["y/", "z/"]
    rest = list(trie.range("x/20", after="y/10", limit=40))
    assert await all_of(remote.range("x/20", after="y/10", limit=40)) == rest
    differences = list(trie.diff(0, "z/", after="z/20"))
    assert await all_of(remote.diff(0, "z/", after="z/20")) == differences
    assert await all_of(remote.diff(0, limit=40)) == list(trie.diff(0, limit=40))


@pytest.mark.parametrize("walker", SOME.values(), ids=SOME)
async def test_a_part_reads_as_the_local_one(
    opened: Open, trie: Trie, walker: Walker | None
) -> None:
    part = trie.sub("part", value_codec="json")
    part["inner/1"] = {"a": 1}
    part["inner/2"] = [2]
    part.sub("numbers", key_codec="json")[[7]] = 7
    version = trie.version
    part["inner/2"] = None
    del part["inner/1"]
    remote = (await opened(walker)).sub("part", value_codec="json")
    assert await remote.get("inner/2", "nothing") is None
    assert await remote.at(version).get("inner/1") == {"a": 1}
    assert await remote.sub("numbers", key_codec="json").get([7]) == 7
    assert await remote.sub("inner").count() == 1
    assert await all_of(remote.keys("inner/")) == ["inner/2"]
    assert await all_of(remote.at(version).sub("inner")) == ["1", "2"]
    assert await all_of(remote.range("inner/1")) == list(part.range("inner/1"))
    assert await all_of(remote.diff(version, "inner")) == list(part.diff(version, "inner"))
    assert await all_of(remote.history("inner")) == list(part.history("inner"))
    async with aclosing(remote.watch(since=version)) as changes:
        told = await Told(changes).next(2)
    assert told == list(part.history(since=version))


@pytest.mark.parametrize("walker", SOME.values(), ids=SOME)
async def test_what_was_read_can_be_proven_to_others(
    opened: Open, trie: Trie, walker: Walker | None
) -> None:
    remote = await opened(walker)
    key = trie.feed.key
    for asked in ("x/long", "y/03", "nix"):
        proof = TrieProof.from_bytes((await remote.prove(asked)).to_bytes())
        assert check_trie_proof(key, asked, proof) == trie.get(asked)
    proof = await remote.prove_range("y/")
    assert check_trie_range(key, "y/", proof) == list(trie.items("y/"))
    proof = await remote.prove_range(start="y/30", stop="z/10")
    listing = check_trie_range(key, "", proof, start="y/30", stop="z/10")
    assert listing == list(trie.range("y/30", "z/10"))


@pytest.mark.parametrize("walker", SOME.values(), ids=SOME)
async def test_an_old_version_on_an_empty_replica(
    opened: Open, trie: Trie, walker: Walker | None
) -> None:
    old = trie.at(121)
    for read in (
        lambda remote: remote.get("y/03"),
        lambda remote: all_of(remote.items("y/")),
        lambda remote: all_of(remote.range("x/39", "z/")),
    ):
        remote = (await opened(walker)).at(121)
        expected = (
            "y3",
            list(old.items("y/")),
            list(old.range("x/39", "z/")),
        )
        assert await read(remote) in expected


@pytest.mark.parametrize("walker", SOME.values(), ids=SOME)
async def test_a_history_on_an_empty_replica(
    opened: Open, trie: Trie, walker: Walker | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_trie, "PAGE", 4)
    for question in (
        {},
        {"since": 121},
        {"since": 50, "prefix": "y"},
        {"reverse": True},
        {"since": trie.version},
    ):
        remote = await opened(walker)
        assert await all_of(remote.history(**question)) == list(trie.history(**question))


@pytest.mark.parametrize("bits", [1, 3, 64])
async def test_keys_of_one_hash_are_read_from_afar(opened: Open, store: Store, bits: int) -> None:
    """As all reads above, in the order of hashes."""
    trie = Trie(store.feed("colliding"), hash_bits=bits, value_codec="text")
    trie.update(KEYS)
    version = trie.version
    for number in range(0, 40, 4):
        del trie[f"x/{number:02}"]
        trie[f"y/{number:02}"] = "again"
    for walker in (TrieHints(), None):
        remote = await opened(walker, trie)
        for key in ("x/00", "x/01", "y/04", "nix"):
            assert await remote.get(key) == trie.get(key)
        assert await remote.count("x") == 30
        assert await all_of(remote.items()) == list(trie.items())
        assert await all_of(remote.keys("y", after="y/07")) == list(trie.keys("y", after="y/07"))
        assert await all_of(remote.diff(version)) == list(trie.diff(version))
        assert await all_of(remote.history("x")) == list(trie.history("x"))
        with pytest.raises(ValueError, match="order='key'"):
            await all_of(remote.range("x"))


async def test_one_round_trip_each(opened: Open, trie: Trie) -> None:
    """Cold: the head, and the blocks of the answer, at once where the version is given."""
    version = trie.version
    for read, trips in (
        (lambda remote: remote.get("y/07"), 1),
        (lambda remote: remote.at(version).get("y/07"), 1),
        (lambda remote: all_of(remote.at(version).items("y/")), 1),
        (lambda remote: all_of(remote.at(version).range("x/10", "y/10")), 1),
        (lambda remote: all_of(remote.at(version).diff(121)), 1),
        (lambda remote: remote.count("y/"), 1),
        (lambda remote: all_of(remote.at(version).keys("x/")), 1),
        (lambda remote: all_of(remote.at(version).sub("y").items()), 1),
        (lambda remote: remote.sub("y").get("07"), 1),
        (lambda remote: remote.prove("y/07"), 1),
        (lambda remote: remote.at(version).prove_range("y/"), 1),
        (lambda remote: all_of(remote.items("y/")), 2),
    ):
        remote = await opened(TrieHints())
        await read(remote)
        assert remote.remote.status().round_trips == trips
        held = sum(map(len, remote.remote.feed.have))
        assert held < trie.version // 2, "only what was needed"


async def test_keys_are_read_without_their_long_values(opened: Open, trie: Trie) -> None:
    del trie["x/long"]
    trie["y/long"] = "long" * 500_000
    version = trie.version
    remote = (await opened(TrieHints())).at(version)
    assert await all_of(remote.keys("y/")) == list(trie.keys("y/"))
    assert sum(map(len, remote.remote.feed.have)) < 80
    assert remote.remote.status().round_trips == 1
    assert await remote.get("y/long") == "long" * 500_000
    assert remote.remote.status().round_trips <= 3, "its chunks are asked for together"


async def test_long_values_come_in_few_round_trips(
    opened: Open, trie: Trie, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More blocks than one answer names: they are asked for together, and in smaller pages."""
    expected = {f"long/{number}": bytes([65 + number]).decode() * 700_000 for number in range(8)}
    trie.update(expected)
    for limit in (5, 60):
        monkeypatch.setattr(trie_hints, "MAX_BLOCKS", limit)
        monkeypatch.setattr(remote_trie, "MAX_BLOCKS", limit)
        remote = (await opened(TrieHints())).at(trie.version)
        assert dict(await all_of(remote.items("long/"))) == expected
        assert remote.remote.status().round_trips < 60


async def test_misuse_of_a_remote_trie_is_told_as_of_a_local_one(opened: Open) -> None:
    remote = await opened(TrieHints())
    with pytest.raises(ValueError, match="a limit is not negative, got -1"):
        await all_of(remote.keys(limit=-1))
    with pytest.raises(TypeError, match="a prefix is str or bytes, got int"):
        await remote.count(7)
    with pytest.raises(TypeError, match="expected str, got int"):
        await remote.get(7)
    with pytest.raises(ValueError, match="a sub-database needs a name"):
        remote.sub("")
    deep = remote
    for _ in range(trie_hints.MAX_PARTS + 1):
        deep = deep.sub("deeper")
    assert await deep.get("key") is None, "found out without a peer's help"


async def test_no_walker_makes_the_reader_store_more_than_a_bound(opened: Open) -> None:
    remote = await opened(WALKERS["without an end"])
    assert await remote.get("x/07") == "x7"
    assert sum(map(len, remote.remote.feed.have)) < 20


async def test_a_peer_that_refuses_every_question_is_an_error(opened: Open) -> None:
    remote = await opened(refuse)
    impatient = RemoteTrie(remote.remote, timeout=2)
    with pytest.raises(DeadlineError, match="decode"):
        await impatient.get("x/07")


class Told:
    """Collects what a watch tells."""

    def __init__(self, changes: AsyncIterator[Change]) -> None:
        self._changes = changes

    async def next(self, count: int) -> list[Change]:
        async with asyncio.timeout(20):
            return [await anext(self._changes) for _ in range(count)]


@pytest.mark.parametrize("name", ["honest", "no extension", "other blocks"])
async def test_a_watch_tells_each_change_once(opened: Open, trie: Trie, name: str) -> None:
    remote = await opened(WALKERS[name])
    start = trie.version
    async with aclosing(remote.watch("y/", since=121)) as changes:
        told = Told(changes)
        seen = await told.next(len(list(trie.history("y/", since=121))))
        trie["y/06"] = "now"
        seen += await told.next(1)
        del trie["y/06"]
        trie["x/unwatched"] = "long" * 50_000
        trie.update({"y/07": "a", "x/07": "b", "y/08": "c"})
        trie["y/long"] = "long" * 50_000
        trie["y/07"] = "a"
        seen += await told.next(5)
    assert seen == list(trie.history("y/", since=121))
    assert [change.kind for change in seen if change.version > start].count("delete") == 1
    assert len({change.version for change in seen}) == len(seen)


async def test_a_watch_of_what_is_to_come(opened: Open, trie: Trie) -> None:
    remote = await opened(TrieHints())
    await remote.version()
    async with aclosing(remote.watch()) as changes:
        told = Told(changes)
        trie["a"] = "1"
        del trie["a"]
        assert [change.kind for change in await told.next(2)] == ["put", "delete"]
    with pytest.raises(ValueError, match="watch the latest"):
        await anext(remote.at(5).watch())


async def test_a_truncation_ends_a_watch(opened: Open, trie: Trie) -> None:
    remote = await opened(TrieHints())
    await remote.version()
    async with aclosing(remote.watch()) as changes:
        told = Told(changes)
        trie["a"] = "1"
        assert [change.key for change in await told.next(1)] == ["a"]
        trie.feed.truncate(121)
        with pytest.raises(TrieError, match="was truncated"):
            await told.next(1)
    async with aclosing(remote.watch(since=121)) as changes:
        trie["b"] = "2"
        assert [change.key for change in await Told(changes).next(1)] == ["b"]
        assert await remote.get("a") is None
