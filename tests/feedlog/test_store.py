"""Which feeds a store has, and what opening them in every way gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from feedlog import Feed, KeyPair, Manifest, NotWritable, Store, StoreError, encode_id
from feedlog.catalog import MAX_PATH_SIZE
from feedlog.hashing import BLAKE2B


class TestOpening:
    def test_one_feed_is_one_object(self, store: Store) -> None:
        feed = store.feed("news")
        assert store.feed("news") is feed
        assert store.feed(key=feed.key) is feed
        assert store.feed("news", key=feed.key) is feed

    def test_names_have_keys_of_their_own(self, store: Store, elsewhere: Store) -> None:
        names = ("a", "b", "A", "a ", "ä", "a\0")
        keys = {store.feed(name).key for name in names}
        assert len(keys) == len(names)
        assert not keys & {elsewhere.feed(name).key for name in names}

    def test_a_key_pair_from_elsewhere(self, store: Store) -> None:
        pair = KeyPair.generate()
        feed = store.feed(key_pair=pair)
        assert feed.writable
        assert feed.key == Manifest((pair.public_key,)).key()
        assert store.feed(key_pair=pair) is feed

    def test_a_manifest_with_another_hash(self, store: Store, elsewhere: Store) -> None:
        pair = KeyPair.generate()
        manifest = Manifest((pair.public_key,), suite=BLAKE2B)
        feed = store.feed("hyper", manifest=manifest, key_pair=pair)
        feed.extend([b"a", b"b", b"c"])
        assert feed.key == manifest.key()
        assert store.feed("hyper") is feed
        copy = elsewhere.feed(key=feed.key)
        copy.apply(feed.prove(range(3)))
        assert copy.manifest == manifest
        assert list(copy) == [b"a", b"b", b"c"]

    def test_a_replica_learns_its_signer_later(self, store: Store, elsewhere: Store) -> None:
        pair = KeyPair.generate()
        feed = elsewhere.feed(key_pair=pair)
        feed.append(b"one")
        copy = store.feed(key=feed.key)
        copy.apply(feed.prove([0]))
        assert not copy.writable
        again = store.feed(key=feed.key, key_pair=pair)
        assert again.writable
        assert again.append(b"two") == 1

    def test_a_key_pair_that_does_not_sign_the_feed(self, store: Store, elsewhere: Store) -> None:
        feed = elsewhere.feed("theirs")
        assert not store.feed(key=feed.key, key_pair=KeyPair.generate()).writable

    def test_nothing_names_a_feed(self, store: Store) -> None:
        with pytest.raises(ValueError, match="a name, a key, a manifest or a key pair"):
            store.feed()

    @pytest.mark.parametrize("name", ["n" * 499, "ä" * 250])
    def test_names_have_a_size(self, store: Store, name: str) -> None:
        size = len(name.encode()) + 2
        with pytest.raises(ValueError, match=f"at most {MAX_PATH_SIZE} bytes.*not {size}"):
            store.feed(name)
        with pytest.raises(ValueError, match="at least one byte"):
            store.feed("")

    def test_the_longest_name(self, store: Store) -> None:
        feed = store.feed("n" * 498)
        feed.append(b"fits")
        assert store.feed("n" * 498) is feed

    def test_keys_have_a_size(self, store: Store) -> None:
        with pytest.raises(ValueError, match="a feed's key has 32 bytes, not 31"):
            store.feed(key=bytes(31))

    def test_a_name_and_a_key_that_do_not_belong_together(self, store: Store) -> None:
        feed = store.feed("news")
        with pytest.raises(ValueError, match=feed.id):
            store.feed("news", key=bytes(32))

    def test_a_manifest_and_a_key_that_do_not_belong_together(self, store: Store) -> None:
        manifest = Manifest((KeyPair.generate().public_key,))
        with pytest.raises(ValueError, match="does not hash to the key"):
            store.feed(key=bytes(32), manifest=manifest)

    def test_a_name_and_a_manifest_that_do_not_belong_together(self, store: Store) -> None:
        store.feed("news")
        manifest = Manifest((KeyPair.generate().public_key,))
        with pytest.raises(ValueError, match="the manifest does not hash to the feed's key"):
            store.feed("news", manifest=manifest)

    def test_one_feed_has_one_name(self, store: Store) -> None:
        pair = KeyPair.generate()
        store.feed("first", key_pair=pair)
        with pytest.raises(ValueError, match="has the feed"):
            store.feed("second", key_pair=pair)


class TestListing:
    def test_oldest_first(self, store: Store, elsewhere: Store) -> None:
        ours = store.feed("ours")
        ours.extend([b"a", b"b"])
        theirs = store.feed(key=elsewhere.feed("theirs").key)
        first, second = store.feeds()
        assert (first.key, first.name, first.length, first.writable) == (ours.key, "ours", 2, True)
        assert (second.key, second.name, second.length, second.writable) == (
            theirs.key,
            None,
            0,
            False,
        )
        assert first.id == encode_id(ours.key)

    def test_after_reopening(self, reopen: Callable[..., Store]) -> None:
        store = reopen()
        for i in range(20):
            store.feed(f"feed {i}").extend([b"x"] * i)
        before = store.feeds()
        assert [info.length for info in before] == list(range(20))
        assert reopen().feeds() == before


class TestKeyPairs:
    def test_they_are_the_secrets_and_the_names(self, reopen: Callable[..., Store]) -> None:
        pair = reopen().key_pair("node")
        assert reopen().key_pair("node") == pair
        assert reopen().key_pair("other") != pair
        assert Store.memory().key_pair("node") != pair

    def test_a_named_key_pair_does_not_write_the_feed_of_that_name(self, store: Store) -> None:
        feed = store.feed("node")
        assert feed.manifest is not None
        assert store.key_pair("node").public_key not in feed.manifest.signers


class TestTransactions:
    def test_all_feeds_or_none(self, store: Store) -> None:
        one, two = store.feed("one"), store.feed("two")
        with store.transaction():
            one.append(b"a")
            two.extend([b"b", b"c"])
        assert (len(one), len(two)) == (1, 2)

        def fail_between() -> None:
            with store.transaction():
                one.append(b"lost")
                two.truncate(0)
                raise RuntimeError("power failure")

        with pytest.raises(RuntimeError):
            fail_between()
        assert (list(one), list(two), two.fork) == ([b"a"], [b"b", b"c"], 0)
        assert one.append(b"next") == 1
        assert list(one) == [b"a", b"next"]

    def test_several_changes_of_one_feed(self, feed: Feed, store: Store) -> None:
        with store.transaction():
            assert feed.append(b"a") == 0
            assert feed.extend([b"b", b"c"]) == range(1, 3)
            feed.truncate(2)
            assert feed.append(b"d") == 2
        assert (list(feed), feed.fork) == ([b"a", b"b", b"d"], 1)

    def test_a_feed_is_made_inside(self, store: Store) -> None:
        with store.transaction():
            feed = store.feed("new")
            feed.append(b"a")
            assert store.feed("new") is feed
            assert store.feed(key=feed.key) is feed
        assert store.feed("new") is feed
        assert list(feed) == [b"a"]

    def test_a_feed_that_was_made_in_vain(self, store: Store) -> None:
        def make_and_fail() -> None:
            with store.transaction():
                lost.append(store.feed("lost"))
                lost[0].append(b"a")
                raise RuntimeError("power failure")

        lost: list[Feed] = []
        with pytest.raises(RuntimeError):
            make_and_fail()
        assert store.feeds() == []
        other = store.feed("other")
        other.append(b"b")
        assert store.feed("other") is other
        assert other.key != lost[0].key
        assert list(other) == [b"b"]
        with pytest.raises(StoreError, match="not in the store"):
            lost[0].append(b"c")
        again = store.feed("lost")
        again.append(b"d")
        assert (list(again), list(other)) == ([b"d"], [b"b"])


class TestLife:
    def test_a_closed_store_is_closed(self, store: Store) -> None:
        feed = store.feed("news")
        feed.append(b"a")
        store.close()
        for use in (lambda: feed[0], lambda: len(feed), lambda: feed.append(b"b"), store.feeds):
            with pytest.raises(StoreError, match="closed"):
                use()

    def test_a_store_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError):
            Store(tmp_path / "absent", create=False)
        with pytest.raises(StoreError):
            Store(tmp_path / "absent", read_only=True)
        assert list(tmp_path.iterdir()) == []

    def test_a_read_only_store_makes_nothing(self, reopen: Callable[..., Store]) -> None:
        key = reopen().feed("news").key
        store = reopen(read_only=True)
        assert store.feed("news").key == key
        with pytest.raises(NotWritable, match="read-only"), store.transaction():
            pass
        with pytest.raises(NotWritable, match="read-only"):
            store.feed("other")
        with pytest.raises(NotWritable, match="read-only"):
            store.feed("news", key_pair=KeyPair.generate())


class TestEncryption:
    def test_the_key_is_kept(self, reopen: Callable[..., Store]) -> None:
        reopen().feed("secret", encryption_key=b"k" * 32).append(b"hidden")
        assert reopen().feed("secret")[0] == b"hidden"

    def test_another_key_is_refused(self, store: Store) -> None:
        store.feed("secret", encryption_key=b"k" * 32)
        with pytest.raises(ValueError, match="another encryption key"):
            store.feed("secret", encryption_key=b"l" * 32)

    def test_the_key_has_a_size(self, store: Store) -> None:
        with pytest.raises(ValueError, match="32 bytes, not 31"):
            store.feed("secret", encryption_key=bytes(31))
        assert store.feeds() == []


def test_words_and_keys_of_the_wrong_type_leave_the_store_as_it_was(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for wrong in ("x" * 32, bytearray(32)):
            with pytest.raises(TypeError, match="an encryption key is bytes, not "):
                store.feed("diary", encryption_key=wrong)  # type: ignore[arg-type]  # misuse
        with pytest.raises(TypeError, match="a name is text, not bytes"):
            store.feed(b"diary")  # type: ignore[arg-type]  # misuse
        assert store.feeds() == []


def test_a_feed_can_be_shown_when_its_store_is_closed(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        feed = store.feed("news")
    assert repr(feed) == f"<Feed {feed.id} closed>"
