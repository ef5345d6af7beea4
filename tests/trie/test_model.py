"""The trie against a dictionary and a list of versions, whatever is done to it.

Runs with the real hash, with hashes of 2 to 6 bits, so that most keys collide, and in key order.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from feedlog import BlockMissing, Feed, Store
from tests.reference.trie import (
    TrieModel,
    difference,
    in_key_order,
    one_level,
    selected,
    under,
    values,
)
from trie import ConditionFailed, Sub, Trie, TrieProof, check_trie_proof, check_trie_range

COMPONENTS = st.sampled_from(["", "a", "b", "aa", "ab", "\x00", "\x00\xff", "ü", "z"])
KEYS = st.lists(COMPONENTS, min_size=1, max_size=3).map("/".join)
PREFIXES = st.one_of(KEYS, KEYS.map(lambda key: key + "/"), st.just(""))


class Long(bytes):
    def __repr__(self) -> str:
        return f"Long({self[:8]!r}, size={len(self)})"


VALUES = st.one_of(
    st.binary(max_size=3), st.just(Long(b"inline" * 150)), st.just(Long(b"chunks" * 15_000))
)
CHANGES = st.lists(st.tuples(KEYS, st.one_of(st.none(), VALUES)), max_size=12)


class TrieMachine(RuleBasedStateMachine):
    options: ClassVar[dict[str, Any]] = {}

    @initialize()
    def make(self) -> None:
        self.store = Store.memory()
        self.elsewhere = Store.memory()
        self.feed = self.store.feed("trie")
        self.trie = Trie(self.feed, hash_key=bytes(32), **self.options)
        self.model = TrieModel()
        self.replica: Feed = self.elsewhere.feed(key=self.feed.key)
        self.watch = self.trie.watch()
        self.part = self.trie.watch("a")
        self.watched: list[Any] = []
        self.watched_part: list[Any] = []

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.elsewhere.close()

    @property
    def ordered(self) -> bool:
        return self.options.get("order") == "key"

    # Writing.

    @rule(key=KEYS, value=VALUES)
    def put(self, key: str, value: bytes) -> None:
        version = self.trie.put(key, value)
        self.model.write("put", key, value, version)
        self.model.commit(version)

    @rule(key=KEYS, data=st.data())
    def delete(self, key: str, data: st.DataObject) -> None:
        if self.model.state and data.draw(st.sampled_from([False, True])):
            key = data.draw(st.sampled_from(sorted(self.model.state)))
        if key not in self.model.state:
            with pytest.raises(KeyError):
                self.trie.delete(key)
            return
        version = self.trie.delete(key)
        self.model.write("delete", key, None, version)
        self.model.commit(version)

    @rule(changes=CHANGES)
    def batch(self, changes: list[tuple[str, bytes | None]]) -> None:
        before = self.trie.version
        inside = dict(self.model.items)
        with self.trie.batch() as batch:
            for key, value in changes:
                if value is not None:
                    batch[key] = value
                    inside[key] = value
                elif key in inside:
                    del batch[key]
                    del inside[key]
                assert batch.get(key) == inside.get(key)
            assert dict(batch.items()) == inside
            assert len(batch) == len(inside)
        self._note_blocks(before)
        assert self.model.items == inside

    def _note_blocks(self, before: int) -> None:
        """Bring the model up to date from the history; `batch` compares the outcome."""
        for change in self.trie.history(since=before):
            self.model.write(change.kind, change.key, change.value, change.version)
        self.model.commit(self.trie.version)

    @rule(key=KEYS, value=VALUES)
    def put_if_absent(self, key: str, value: bytes) -> None:
        if key in self.model.state:
            with pytest.raises(ConditionFailed):
                self.trie.put(key, value, if_absent=True)
        else:
            version = self.trie.put(key, value, if_absent=True)
            self.model.write("put", key, value, version)
            self.model.commit(version)

    @precondition(lambda self: self.model.state)
    @rule(value=VALUES, data=st.data())
    def compare_and_set(self, value: bytes, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model.state)))
        written = self.model.state[key][1]
        with pytest.raises(ConditionFailed):
            self.trie.put(key, value, if_version=written - 1)
        version = self.trie.put(key, value, if_version=written)
        self.model.write("put", key, value, version)
        self.model.commit(version)

    @precondition(lambda self: len(self.model.versions) > 2)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        writes = data.draw(st.integers(1, min(3, len(self.model.versions) - 1)))
        before = self.trie.version
        then = values(self.model.versions[sorted(self.model.versions)[-1 - writes]])
        self.trie.undo(writes)
        self._note_blocks(before)
        assert self.model.items == then

    @rule()
    def reopen(self) -> None:
        self.trie = Trie(self.feed, **(self.options if not self.feed.length else {}))

    # Reading.

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        expected = self.model.state.get(key)
        entry = self.trie.entry(key)
        assert (None if entry is None else (entry.value, entry.version)) == expected
        assert (key in self.trie) == (expected is not None)

    @rule(prefix=PREFIXES, reverse=st.booleans(), limit=st.none() | st.integers(0, 5))
    def list_keys(self, prefix: str, reverse: bool, limit: int | None) -> None:
        expected = values(under(self.model.state, prefix))
        whole = list(self.trie.items(prefix, reverse=reverse))
        assert dict(whole) == expected
        assert len(whole) == len(expected) == self.trie.count(prefix)
        assert whole == list(reversed(list(self.trie.items(prefix, reverse=not reverse))))
        if self.ordered:
            keys = in_key_order(list(expected))
            assert [key for key, _ in whole] == (keys[::-1] if reverse else keys)
        assert list(self.trie.items(prefix, reverse=reverse, limit=limit)) == whole[:limit]
        for at, (key, _) in enumerate(whole):
            assert list(self.trie.items(prefix, reverse=reverse, after=key)) == whole[at + 1 :]

    @rule(prefix=PREFIXES, reverse=st.booleans())
    def list_one_level(self, prefix: str, reverse: bool) -> None:
        whole = list(self.trie.items(prefix, recursive=False, reverse=reverse))
        assert set(whole) == one_level(self.model.state, prefix)
        assert len(whole) == len(set(whole))
        for at, (key, _) in enumerate(whole):
            rest = self.trie.items(prefix, recursive=False, reverse=reverse, after=key)
            assert list(rest) == whole[at + 1 :]

    @rule(start=st.none() | KEYS, stop=st.none() | KEYS, reverse=st.booleans(), data=st.data())
    def list_range(
        self, start: str | None, stop: str | None, reverse: bool, data: st.DataObject
    ) -> None:
        if not self.ordered:
            with pytest.raises(ValueError, match="order='key'"):
                self.trie.range(start, stop)
            return
        keys = [
            key
            for key in in_key_order(list(self.model.state))
            if (start is None or key.encode() >= start.encode())
            and (stop is None or key.encode() < stop.encode())
        ]
        if reverse:
            keys.reverse()
        limit = data.draw(st.none() | st.integers(0, 4))
        found = [key for key, _ in self.trie.range(start, stop, reverse=reverse, limit=limit)]
        assert found == keys[:limit]
        for at, key in enumerate(keys):
            rest = self.trie.range(start, stop, reverse=reverse, after=key)
            assert [key for key, _ in rest] == keys[at + 1 :]

    @rule(name=COMPONENTS.filter(bool), key=KEYS, value=VALUES, prefix=PREFIXES)
    def use_a_part(self, name: str, key: str, value: bytes, prefix: str) -> None:
        """Write and read through a sub-database: the whole has its keys below its name."""
        part = self.trie.sub(name)
        version = part.put(key, value)
        self.model.write("put", f"{name}/{key}", value, version)
        self.model.commit(version)
        inside = {
            whole.removeprefix(f"{name}/"): entry
            for whole, entry in under(self.model.state, f"{name}/").items()
        }
        assert dict(part) == values(inside)
        assert len(part) == len(inside)
        assert dict(part.items(prefix)) == values(under(inside, prefix))
        assert part.count(prefix) == len(under(inside, prefix))
        changes = [one for one in self.model.changes if one[1].startswith(f"{name}/")]
        assert [f"{name}/{one.key}" for one in part.history()] == [one[1] for one in changes]
        proof = part.prove(key)
        assert check_trie_proof(self.feed.key, key, proof, sub=Sub(name)) == value

    @rule(data=st.data(), prefix=PREFIXES)
    def compare_versions(self, data: st.DataObject, prefix: str) -> None:
        versions = sorted(self.model.versions)
        left, right = data.draw(st.sampled_from(versions)), data.draw(st.sampled_from(versions))
        old = self.trie.at(left)
        assert dict(old.items(prefix)) == values(under(self.model.versions[left], prefix))
        found = list(old.diff(self.trie.at(right), prefix))
        expected = difference(self.model.versions[left], self.model.versions[right], prefix)
        assert {
            one.key: (one.left and one.left[1:], one.right and one.right[1:]) for one in found
        } == expected
        assert len(found) == len(expected)
        assert list(old.diff(right, prefix)) == found
        assert list(old.diff(right, prefix, limit=2)) == found[:2]
        for at, one in enumerate(found):
            assert list(old.diff(right, prefix, after=one.key)) == found[at + 1 :]

    @rule(data=st.data(), prefix=PREFIXES)
    def read_history(self, data: st.DataObject, prefix: str) -> None:
        since = data.draw(st.sampled_from(sorted(self.model.versions)))
        expected = [
            change
            for change in self.model.changes
            if change[3] > since and selected(change[1], prefix)
        ]
        assert [tuple(one) for one in self.trie.history(prefix, since=since)] == expected
        backwards = self.trie.history(prefix, since=since, reverse=True)
        assert [tuple(one) for one in backwards] == expected[::-1]

    @rule()
    def poll_watches(self) -> None:
        self.watched += [tuple(change) for change in self.watch]
        self.watched_part += [tuple(change) for change in self.part.poll()]
        assert self.watched == self.model.changes
        assert self.watched_part == [one for one in self.model.changes if selected(one[1], "a")]

    @precondition(lambda self: self.feed.length)
    @rule(key=KEYS)
    def prove_key(self, key: str) -> None:
        proof = TrieProof.from_bytes(self.trie.prove(key).to_bytes())
        expected = self.model.items.get(key)
        assert check_trie_proof(self.feed.key, key, proof) == expected

    @precondition(lambda self: self.feed.length)
    @rule(prefix=PREFIXES)
    def prove_listing(self, prefix: str) -> None:
        proof = TrieProof.from_bytes(self.trie.prove_range(prefix).to_bytes())
        found = check_trie_range(self.feed.key, prefix, proof)
        assert found == list(self.trie.items(prefix))

    @precondition(lambda self: self.feed.length)
    @rule(key=KEYS, prefix=PREFIXES, hinted=st.booleans())
    def read_remotely(self, key: str, prefix: str, hinted: bool) -> None:
        """Look up on a replica, fetching what it lacks: at a hint's word at once, or one by one."""
        length = self.feed.length
        known = self.replica.length
        if known < length:
            self.replica.apply(self.feed.prove(since=known))
        if hinted:
            wanted = {*self.trie.walk(key), *self.trie.items(prefix).walk()}
            self.replica.apply(self.feed.prove(blocks=wanted, since=length))
        remote = Trie(self.replica)
        fetched = 0
        while True:
            try:
                found = remote.get(key), dict(remote.items(prefix))
                break
            except BlockMissing as missing:
                fetched += 1
                self.replica.apply(self.feed.prove(blocks=[missing.index], since=length))
        assert found == (self.model.items.get(key), values(under(self.model.state, prefix)))
        assert remote.count(prefix) == len(found[1])
        assert not (hinted and fetched)

    @precondition(lambda self: self.feed.length)
    @rule()
    def compact(self) -> None:
        with Store.memory() as store:
            target = store.feed("compact")
            self.trie.compact_into(target)
            compacted = Trie(target)
            assert list(compacted.items()) == list(self.trie.items())
            assert len(compacted) == len(self.model.state)

    @invariant()
    def size_agrees(self) -> None:
        if hasattr(self, "trie"):
            assert len(self.trie) == len(self.model.state)
            assert self.trie.version == max(self.model.versions)


def case(**options: Any) -> Any:
    test = type("Machine", (TrieMachine,), {"options": options}).TestCase  # type: ignore[attr-defined]  # Hypothesis adds it
    test.settings = settings(max_examples=25, stateful_step_count=25)
    return test


TestRealHash = case(hash_bits=64)
TestSixBits = case(hash_bits=6)
TestThreeBits = case(hash_bits=3)
TestTwoBits = case(hash_bits=2)
TestKeyOrder = case(order="key")
