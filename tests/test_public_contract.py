"""The lines that documentation and other people's code rely on, run as they are written there.

Nothing here tests behaviour in depth: each name exists, takes the arguments shown, and gives the
kind of value shown. Changing a line of this file is changing the contract.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from feedlog import (
    BlockMissing,
    Feed,
    FeedlogError,
    ForkConflict,
    InvalidProof,
    KeyPair,
    NotWritable,
    Proof,
    Store,
    StoreError,
    check_proof,
)
from net import Node, PeerAddress, SecureStream, Value
from trie import Trie, check_trie_proof


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def feed(store: Store) -> Feed:
    return store.feed("name")


class TestFeedlog:
    def test_errors(self) -> None:
        errors = (BlockMissing, InvalidProof, NotWritable, ForkConflict, StoreError)
        assert all(issubclass(error, FeedlogError) for error in errors)
        assert not issubclass(BlockMissing, IndexError)

    def test_a_feed_is_a_signed_list(self, feed: Feed) -> None:
        assert len(feed.key) == 32
        assert len(feed.discovery_key) == 32
        assert len(feed.id) == 52
        assert feed.append(b"one") == 0
        assert feed.extend([b"two", b"three"]) == range(1, 3)
        assert feed[0] == b"one"
        assert feed[-1] == b"three"
        assert feed[0:2] == [b"one", b"two"]
        assert list(feed) == [b"one", b"two", b"three"]
        assert len(feed) == feed.length == 3
        assert feed.byte_length == 11
        assert feed.fork == 0
        assert feed.writable
        assert feed.has(2)
        assert len(feed.root_hash()) == 32
        with pytest.raises(IndexError):
            feed[3]

    def test_somebody_elses_feed_grows_by_proofs(self, feed: Feed) -> None:
        feed.extend([b"one", b"two", b"three"])
        with Store.memory() as elsewhere:
            copy = elsewhere.feed(key=feed.key)
            assert len(copy) == 0
            assert not copy.writable
            proof = feed.prove(blocks=[0, 2])
            verified = check_proof(feed.key, proof)
            assert verified.blocks == {0: b"one", 2: b"three"}
            assert verified.length == 3
            copy.apply(Proof.from_bytes(proof.to_bytes()))
            assert (copy[0], copy[2], len(copy)) == (b"one", b"three", 3)
            with pytest.raises(BlockMissing) as missing:
                copy[1]
            assert missing.value.index == 1
            with pytest.raises(NotWritable):
                copy.append(b"four")

    def test_ways_to_ask_for_a_proof(self, feed: Feed) -> None:
        feed.extend(bytes(100) for _ in range(100))
        assert set(check_proof(feed.key, feed.prove(blocks=range(100))).blocks) == set(range(100))
        assert check_proof(feed.key, feed.prove(seek=4096)).length == 100
        feed.append(b"more")
        feed.prove(since=100)

    def test_a_proof_of_another_feed_is_refused(self, feed: Feed) -> None:
        feed.append(b"one")
        with pytest.raises(InvalidProof):
            check_proof(KeyPair.generate().public_key, feed.prove(blocks=[0]))

    def test_a_name_is_a_feed_after_reopening(self, tmp_path: Path) -> None:
        with Store(tmp_path / "path") as store:
            key = store.feed("news").key
            store.feed("news").append(b"hello")
        with Store(tmp_path / "path") as store:
            assert store.feed("news").key == key
            assert store.feed("news")[0] == b"hello"

    def test_key_pairs_come_from_a_seed(self) -> None:
        pair = KeyPair.from_seed(bytes(32))
        assert pair.public_key == KeyPair.from_seed(bytes(32)).public_key
        assert len(pair.sign(b"message")) == 64


class TestTrie:
    def test_a_trie_is_a_mapping(self, feed: Feed) -> None:
        t = Trie(feed)
        t["a/b"] = b"v"
        assert t["a/b"] == b"v"
        assert "a/b" in t
        del t["a/b"]
        assert "a/b" not in t
        with pytest.raises(KeyError):
            t["a/b"]

    def test_batches_and_versions(self, feed: Feed) -> None:
        t = Trie(feed)
        t["a/c"] = b"0"
        before = t.version
        with t.batch() as b:
            b["a/b"] = b"1"
            b["x"] = b"2"
        assert dict(t.items("a/")) == {"a/b": b"1", "a/c": b"0"}
        assert t.version > before
        assert dict(t.at(before).items()) == {"a/c": b"0"}
        assert len(list(t.diff(t.at(before)))) == 2
        assert len(list(t.history())) == 3

    def test_proofs_of_presence_and_absence(self, feed: Feed) -> None:
        t = Trie(feed)
        t["a/b"] = b"v"
        assert check_trie_proof(feed.key, "a/b", t.prove("a/b")) == b"v"
        assert check_trie_proof(feed.key, "a/c", t.prove("a/c")) is None
        with pytest.raises(InvalidProof):
            check_trie_proof(feed.key, "a/c", t.prove("a/b"))


class TestNet:
    async def test_follow_and_read(self, store: Store) -> None:
        feed = store.feed("name")
        feed.extend(i.to_bytes(4, "big") for i in range(100))
        reports: list[tuple[int, int]] = []
        with Store.memory() as elsewhere:
            async with (
                Node(store, bootstrap=[], host="127.0.0.1") as node,
                Node(elsewhere, bootstrap=[node.address], host="127.0.0.1") as reader,
            ):
                assert len(node.public_key) == 32
                await node.share(feed)
                remote = await reader.follow(feed.key)
                assert await remote.get(5, timeout=10) == feed[5]
                await remote.update()
                await remote.download(
                    range(100), progress=lambda done, total: reports.append((done, total))
                )
                assert reports[-1] == (100, 100)
                assert list(remote.feed) == list(feed)
                async for block in remote.live(start=99):
                    assert block == feed[99]
                    break

    async def test_streams_by_public_key(self, store: Store) -> None:
        async def handler(stream: SecureStream) -> None:
            stream.write(await stream.read(65536))
            await stream.drain()

        asked = []

        def callback(public_key: bytes) -> bool:
            asked.append(public_key)
            return True

        with Store.memory() as elsewhere:
            async with (
                Node(store, bootstrap=[], host="127.0.0.1") as node,
                Node(elsewhere, bootstrap=[node.address], host="127.0.0.1") as friend,
            ):
                server = await node.listen(handler, allow=callback)
                stream = await friend.connect(server.public_key, timeout=10)
                assert stream.remote_key == node.public_key
                stream.write(b"hi")
                await stream.drain()
                assert await stream.read(65536) == b"hi"
                stream.close()
                assert asked == [friend.public_key]

    async def test_topics_and_values(self, store: Store) -> None:
        async def handler(stream: SecureStream) -> None:
            await stream.read()

        topic = bytes(20)
        with Store.memory() as elsewhere:
            async with (
                Node(store, bootstrap=[], host="127.0.0.1") as node,
                Node(elsewhere, bootstrap=[node.address], host="127.0.0.1") as friend,
            ):
                assert await node.announce(topic) == 1
                await node.listen(handler)
                for peers in (friend.lookup(topic), friend.find(node.public_key)):
                    (peer,) = [peer async for peer in peers]
                    assert isinstance(peer, PeerAddress)
                    assert peer.public_key == node.public_key
                await node.withdraw(topic)
                assert await node.put(b"value", seq=7, salt=b"salt") == 1
                newest = await friend.get(node.public_key, salt=b"salt")
                assert isinstance(newest, Value)
                assert (newest.value, newest.seq) == (b"value", 7)
                assert [one async for one in friend.get(node.public_key, salt=b"salt")] == [newest]
