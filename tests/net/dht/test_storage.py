"""The record store: newest wins, expiry, and shares when it is full."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feedlog.keys import KeyPair
from net.addresses import subnet
from net.dht.codes import Code
from net.dht.records import MAX_LIFETIME, Announcement
from net.dht.storage import RecordStore, Way
from net.dht.value_records import Value, sign_value

Records = RecordStore[Announcement]

TOPIC = bytes(20)
NOW = 1_800_000_000.0


def record(
    owner: int, *, topic: bytes = TOPIC, seq: int = 1, lifetime: int = 600, withdrawn: bool = False
) -> Announcement:
    addresses = () if withdrawn else (("1.2.3.4", 5),)
    expiry = int(NOW) + lifetime
    raw = b"%d %d %d %r" % (owner, seq, expiry, topic)
    return Announcement(owner.to_bytes(32, "big"), topic, seq, expiry, addresses, (), raw)


def held(store: Records, topic: bytes = TOPIC, at: float = NOW) -> set[int]:
    sample = store.sample(topic, at, 1000, Random(0))
    return {int.from_bytes(r.public_key, "big") for r in sample}


def test_a_higher_seq_replaces_at_once_and_a_lower_is_refused() -> None:
    store: Records = RecordStore()
    assert store.put(record(1, seq=5), "8.0.0.1", NOW) is Code.OK
    assert store.put(record(1, seq=5), "8.0.0.1", NOW) is Code.OK  # a repetition
    assert store.put(record(1, seq=5, lifetime=700), "8.0.0.1", NOW) is Code.RIVAL
    assert store.put(record(1, seq=4), "8.0.0.1", NOW) is Code.STALE
    assert store.put(record(1, seq=6), "8.0.0.2", NOW) is Code.OK
    assert [r.seq for r in store.sample(TOPIC, NOW, 4, Random(0))] == [6]
    assert len(store) == 1


def test_expiry_is_bounded_and_kept() -> None:
    store: Records = RecordStore()
    assert store.put(record(1, lifetime=MAX_LIFETIME), "8.0.0.1", NOW) is Code.OK
    assert store.put(record(2, lifetime=MAX_LIFETIME + 1), "8.0.0.1", NOW) is Code.EXPIRY
    assert store.put(record(3, lifetime=0), "8.0.0.1", NOW) is Code.EXPIRY
    assert held(store, at=NOW + MAX_LIFETIME - 1) == {1}
    assert held(store, at=NOW + MAX_LIFETIME) == set()
    store.expire(NOW + MAX_LIFETIME)
    assert len(store) == 0


def test_a_renewal_that_comes_late_is_held_already() -> None:
    store: RecordStore[Value] = RecordStore()
    key = KeyPair.from_seed(bytes(32))
    early, late = (
        sign_value(key, b"v", salt=b"", seq=1, expiry=int(NOW) + lifetime) for lifetime in (60, 90)
    )
    for value in (early, late, early):
        assert store.put(value, "8.0.0.1", NOW) is Code.OK
    assert store.sample(early.topic, NOW, 4, Random(0)) == [late]
    rival = sign_value(key, b"w", salt=b"", seq=1, expiry=int(NOW) + 99)
    assert store.put(rival, "8.0.0.1", NOW) is Code.RIVAL


def test_a_withdrawal_is_not_given_out_and_keeps_older_records_away() -> None:
    store: Records = RecordStore()
    store.put(record(1, seq=5), "8.0.0.1", NOW)
    assert store.put(record(1, seq=6, withdrawn=True), "8.0.0.1", NOW) is Code.OK
    assert held(store) == set()
    assert store.put(record(1, seq=5), "8.0.0.1", NOW) is Code.STALE


def test_samples_are_random_and_bounded() -> None:
    store: Records = RecordStore()
    for owner in range(30):
        store.put(record(owner), "8.0.0.1", NOW)
    rng = Random(1)
    drawn = [{r.public_key for r in store.sample(TOPIC, NOW, 4, rng)} for _ in range(60)]
    assert all(len(keys) == 4 for keys in drawn)
    assert len(set.union(*drawn)) == 30


def test_one_owner_of_many_addresses_does_not_push_others_out_of_a_topic() -> None:
    store: Records = RecordStore(per_topic=10)
    for owner in range(10):
        assert store.put(record(owner), f"8.0.0.{owner}", NOW) is Code.OK
    assert store.put(record(10), "8.0.0.99", NOW) is Code.FULL
    for owner in range(100, 120):  # twenty others, each from a subnet of its own
        code = store.put(record(owner), f"9.0.{owner}.1", NOW)
        assert (code is Code.OK) == (owner < 109)
    assert sum(owner >= 100 for owner in held(store)) == 9
    assert len(store) == 10


def test_the_greedy_lose_their_places_when_the_store_is_full() -> None:
    store: Records = RecordStore(total=20)
    for owner in range(20):
        assert store.put(record(owner, topic=bytes([owner + 1]) * 20), "8.0.0.1", NOW) is Code.OK
    assert store.put(record(50), "8.0.0.2", NOW) is Code.FULL
    assert store.put(record(51), "9.0.0.1", NOW) is Code.OK
    assert len(store) == 20
    assert held(store, bytes([1]) * 20) == set()  # the oldest of the greedy


@pytest.mark.parametrize("limit", [1, 7])
def test_a_host_has_a_limit_of_its_own(limit: int) -> None:
    store: Records = RecordStore(per_host=limit)
    codes = [store.put(record(n, topic=bytes([n]) * 20), "8.0.0.1", NOW) for n in range(limit + 1)]
    assert codes == [Code.OK] * limit + [Code.FULL]
    assert store.put(record(0, topic=bytes(20), seq=2), "8.0.0.1", NOW) is Code.OK


def test_what_has_expired_makes_room() -> None:
    store: Records = RecordStore(per_topic=2)
    for owner in range(2):
        store.put(record(owner, lifetime=10), "8.0.0.1", NOW)
    assert store.put(record(3, lifetime=100), "8.0.0.1", NOW + 11) is Code.OK
    assert held(store, at=NOW + 11) == {3}


class Model(RuleBasedStateMachine):
    """Whatever comes: limits hold, the indexes agree, and a refusal changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.store: Records = RecordStore(total=12, per_topic=4, per_host=6)
        self.now = NOW

    @rule(
        owner=st.integers(0, 9),
        topic=st.integers(0, 5),
        seq=st.integers(0, 3),
        lifetime=st.integers(-5, 60),
        host=st.sampled_from(["8.0.0.1", "8.0.0.2", "8.0.1.1", "9.0.0.1"]),
    )
    def put(self, owner: int, topic: int, seq: int, lifetime: int, host: str) -> None:
        new = record(owner, topic=bytes([topic]) * 20, seq=seq, lifetime=lifetime)
        code = self.store.put(new, host, self.now)
        here = [r.raw for r in self.store.sample(new.topic, self.now, 99, Random(0))]
        assert (new.raw in here) >= (code is Code.OK)

    @rule(seconds=st.integers(1, 20))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def expire(self) -> None:
        self.store.expire(self.now)

    @invariant()
    def within_limits(self) -> None:
        everything = [h for topic in self.store._topics.values() for h in topic.values()]
        assert len(everything) == len(self.store) <= 12
        assert all(len(topic) <= 4 for topic in self.store._topics.values())
        hosts = [h.host for h in everything]
        assert self.store._hosts == {host: hosts.count(host) for host in hosts}
        assert all(hosts.count(host) <= 6 for host in hosts)
        nets = {subnet(host) for host in hosts}
        assert set(self.store._subnets) == nets
        assert sum(map(len, self.store._subnets.values())) == len(everything)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=40)


def test_the_way_to_an_announcer_is_the_last_that_it_has_proven() -> None:
    store: Records = RecordStore()
    first, second = Way(("8.0.0.1", 1), b"ticket.."), Way(("8.0.0.2", 2), b"tickets.")
    assert store.way(TOPIC, record(1).public_key, NOW) is None
    store.put(record(1), "8.0.0.1", NOW, first)
    assert store.way(TOPIC, record(1).public_key, NOW) == first
    store.put(record(1), "9.9.9.9", NOW)  # anybody may bring it again
    assert store.way(TOPIC, record(1).public_key, NOW) == first
    store.put(record(1), "8.0.0.2", NOW, second)
    assert store.way(TOPIC, record(1).public_key, NOW) == second
    assert store.holds(TOPIC, record(1).public_key, NOW)
    assert store.way(TOPIC, record(1).public_key, NOW + 601) is None
    store.put(record(1, seq=2, withdrawn=True), "8.0.0.2", NOW, second)
    assert store.way(TOPIC, record(1).public_key, NOW) is None
    assert not store.holds(TOPIC, record(1).public_key, NOW)
    assert len(store) == 1
