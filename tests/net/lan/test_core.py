"""Local discovery on a group that exists in memory only, with its own clock."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from feedlog.keys import KeyPair
from net.addresses import Address, RelayAddress
from net.dht.records import MAX_LIFETIME, parse_announcement, sign_announcement
from net.discovery import PeerAddress
from net.lan.core import (
    ANSWERS,
    LOOKUP_TIME,
    MAX_SOURCES,
    PER_LOOKUP,
    QUESTIONS,
    Heard,
    LanCore,
    Over,
)
from net.lan.messages import Answer, Query, decode, encode

UNIX = 1_800_000_000.0
TOPIC = bytes(range(20))
TCP: tuple[Address, ...] = (("127.0.0.1", 4000),)


class Group:
    """Everybody hears everybody, himself too. A datagram takes `delay` seconds."""

    def __init__(self, seed: int = 1, *, loss: float = 0.0, delay: float = 0.003) -> None:
        self.rng = Random(seed)
        self.now = 1000.0
        self.loss, self.delay = loss, delay
        self.members: dict[str, LanCore] = {}
        self.sent: list[tuple[float, str, bytes]] = []
        self._flying: list[tuple[float, str, bytes]] = []

    def add(self, host: str, *, secret: bytes = b"", unix: float = UNIX) -> LanCore:
        core = self.members[host] = LanCore(
            KeyPair.from_seed(self.rng.randbytes(32)),
            sender=self.rng.randbytes(8),
            rng=Random(self.rng.random()),
            now=self.now,
            unix=unix,
            secret=secret,
        )
        return core

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            for host, core in self.members.items():
                for data in core.datagrams_to_send():
                    self.sent.append((self.now, host, data))
                    self._flying.append((self.now + self.delay, host, data))
            alarms = [t for core in self.members.values() if (t := core.next_timeout()) is not None]
            now = min([end, *alarms, *(when for when, _, _ in self._flying)])
            self.now = max(now, self.now)
            arrived = [one for one in self._flying if one[0] <= self.now]
            self._flying = [one for one in self._flying if one[0] > self.now]
            for _, host, data in arrived:
                for core in self.members.values():
                    if self.rng.random() >= self.loss:
                        core.receive_datagram(data, (host, 49738), self.now)
            for core in self.members.values():
                core.handle_timeout(self.now)
            if self.now >= end and not arrived:
                return


def events(core: LanCore) -> list[Heard | Over]:
    found = []
    while (event := core.next_event()) is not None:
        found.append(event)
    return found


def peers(core: LanCore) -> list[PeerAddress]:
    return [event.peer for event in events(core) if isinstance(event, Heard)]


def answer(core: LanCore, *records: bytes) -> bytes:
    return encode(core.key, b"stranger", Answer(records))


def record(pair: KeyPair, addresses: Sequence[Address] = TCP, seq: int = 1) -> bytes:
    expiry = int(UNIX) + MAX_LIFETIME
    return sign_announcement(pair, TOPIC, addresses, seq=seq, expiry=expiry).raw


def test_a_peer_is_found_where_it_sends_from() -> None:
    group = Group()
    one, two = group.add("192.168.1.2"), group.add("192.168.1.3")
    one.announce(TOPIC, TCP, group.now)
    group.run(5)
    number = two.lookup(TOPIC, group.now)
    group.run(0.1)
    [found] = events(two)
    assert isinstance(found, Heard)
    assert found.peer.addresses == (("192.168.1.2", 4000),)  # the loopback address is left out
    group.run(1)
    assert events(two) == [Over(number)]


def test_what_it_says_of_itself_comes_behind() -> None:
    group = Group()
    one, two = group.add("192.168.1.2"), group.add("192.168.1.3")
    relay = RelayAddress(bytes(32), ("198.51.100.1", 1))
    one.announce(TOPIC, [("192.168.1.2", 4000), ("203.0.113.7", 4001)], group.now, [relay])
    two.lookup(TOPIC, group.now)
    group.run(0.1)
    [peer] = peers(two)
    assert peer.addresses == (("192.168.1.2", 4000), ("192.168.1.2", 4001), ("203.0.113.7", 4001))
    assert peer.relays == (relay,)


def test_on_this_machine_loopback_counts() -> None:
    group = Group()
    one, two = group.add("127.0.0.1"), group.add("127.0.0.2")
    one.announce(TOPIC, TCP, group.now)
    two.lookup(TOPIC, group.now)
    group.run(0.1)
    assert peers(two)[0].addresses == TCP


def test_a_scoped_host_is_none_to_connect_to() -> None:
    group = Group()
    one, two = group.add("fe80::1%eth0"), group.add("fe80::2%eth0")
    one.announce(TOPIC, [("2001:db8::1", 4000)], group.now)
    two.lookup(TOPIC, group.now)
    group.run(0.1)
    assert peers(two)[0].addresses == (("2001:db8::1", 4000),)


def test_a_lookup_that_runs_hears_of_a_new_peer() -> None:
    group = Group()
    one, two = group.add("192.168.1.2"), group.add("192.168.1.3")
    two.lookup(TOPIC, group.now)
    group.run(0.9)
    one.announce(TOPIC, TCP, group.now)
    group.run(0.01)
    assert len(peers(two)) == 1


def test_lost_datagrams_are_made_up_for() -> None:
    found = 0
    for seed in range(200):
        group = Group(seed, loss=0.3)
        one, two = group.add("192.168.1.2"), group.add("192.168.1.3")
        one.announce(TOPIC, TCP, group.now - 100)
        two.lookup(TOPIC, group.now)
        group.run(LOOKUP_TIME)
        found += bool(peers(two))
    assert found >= 180  # each of three tries has 0.49


def test_clocks_that_are_years_apart_do_not_matter() -> None:
    group = Group()
    one, two = group.add("192.168.1.2", unix=1000.0), group.add("192.168.1.3")
    for core in (one, two):
        core.announce(TOPIC, TCP, group.now)
    for core in (one, two):
        core.lookup(TOPIC, group.now)
    group.run(0.1)
    assert len(peers(one)) == len(peers(two)) == 1


def test_other_networks_and_other_topics_are_not_heard() -> None:
    group = Group()
    one, two = group.add("192.168.1.2", secret=b"mine"), group.add("192.168.1.3")
    three = group.add("192.168.1.4")
    one.announce(TOPIC, TCP, group.now)
    three.announce(bytes(20), TCP, group.now)
    two.lookup(TOPIC, group.now)
    group.run(1)
    assert peers(two) == []
    assert two.counters["malformed"] > 0


def test_who_withdraws_is_silent() -> None:
    group = Group()
    one, two = group.add("192.168.1.2"), group.add("192.168.1.3")
    one.announce(TOPIC, TCP, group.now)
    one.withdraw(TOPIC)
    one.withdraw(TOPIC)
    two.lookup(TOPIC, group.now)
    group.run(1)
    assert peers(two) == []


def test_a_cancelled_lookup_says_nothing() -> None:
    group = Group()
    one, two = group.add("192.168.1.2"), group.add("192.168.1.3")
    one.announce(TOPIC, TCP, group.now)
    number = two.lookup(TOPIC, group.now)
    group.run(0.1)
    two.cancel(number)
    group.run(2)
    assert events(two) == []
    assert two.next_timeout() is None


def test_a_record_is_signed_anew_in_time() -> None:
    group = Group()
    one, two = group.add("192.168.1.2"), group.add("192.168.1.3")
    one.announce(TOPIC, TCP, group.now)
    seqs = []
    for _ in range(2):
        two.lookup(TOPIC, group.now)
        group.run(3)
        raw = next(
            message.body.records[0]
            for _, _, data in reversed(group.sent)
            if isinstance((message := decode(one.key, data)).body, Answer)
        )
        seqs.append(parse_announcement(raw).seq)
        group.now += MAX_LIFETIME
        one.set_clock(group.now, UNIX + MAX_LIFETIME)
    assert seqs[0] < seqs[1]


def test_questions_do_not_make_a_node_shout() -> None:
    """A thousand queries in a second draw as many answers as the limit lets through."""
    group = Group()
    one = group.add("192.168.1.2")
    topics = [bytes([n]) * 20 for n in range(200)]
    for topic in topics:
        one.announce(topic, TCP, group.now)
    group.run(20)
    before = len(group.sent)
    asked = 0
    for step in range(1000):
        chosen = topics[32 * (step % 6) : 32 * (step % 6) + 32]
        query = encode(one.key, b"stranger", Query(tuple(chosen)))
        asked += len(query)
        one.receive_datagram(query, (f"192.168.1.{step % 200 + 10}", 49738), group.now)
        group.run(0.001)
    answers = group.sent[before:]
    assert 0 < len(answers) <= 2 * ANSWERS + 1
    assert sum(len(data) for _, _, data in answers) < asked / 10


def test_a_flood_of_one_host_is_cut_off() -> None:
    group = Group()
    one = group.add("192.168.1.2")
    for _ in range(1000):
        one.receive_datagram(b"x" * 100, ("192.168.1.66", 49738), group.now)
    assert one.counters["over the limit"] > 500
    assert one.counters["malformed"] + one.counters["over the limit"] == 1000


def test_many_feeds_are_told_and_asked_for_in_few_datagrams() -> None:
    group = Group()
    one, two = group.add("192.168.1.2"), group.add("192.168.1.3")
    topics = [n.to_bytes(20, "big") for n in range(320)]
    for topic in topics:
        one.announce(topic, TCP, group.now)
    group.run(30)
    assert 80 <= len(group.sent) <= 160  # each record once or twice, four in a datagram
    before = group.now
    for topic in topics:
        two.lookup(topic, group.now)
    group.run(0.9)
    questions = [s for s in group.sent if s[0] >= before and s[1] == "192.168.1.3"]
    assert len(questions) <= 2 * QUESTIONS


def test_what_nobody_waits_for_is_not_looked_into() -> None:
    group = Group()
    one = group.add("192.168.1.2")
    signed = record(KeyPair.generate())
    forged = signed[:-1] + bytes([signed[-1] ^ 1])
    one.receive_datagram(answer(one, forged), ("192.168.1.66", 1), group.now)
    assert one.counters["malformed"] == 0
    one.lookup(TOPIC, group.now)
    one.receive_datagram(answer(one, forged), ("192.168.1.66", 1), group.now)
    assert one.counters["malformed"] == 1
    assert peers(one) == []


def test_liars_fill_a_lookup_and_no_more() -> None:
    group = Group()
    one = group.add("192.168.1.2")
    one.lookup(TOPIC, group.now)
    for n in range(PER_LOOKUP + 10):
        raw = record(KeyPair.from_seed(n.to_bytes(32, "big")))
        one.receive_datagram(answer(one, raw), (f"192.168.2.{n}", 1), group.now)
    assert len(peers(one)) == PER_LOOKUP


def test_one_announcer_at_many_hosts_is_believed_in_few() -> None:
    group = Group()
    one = group.add("192.168.1.2")
    one.lookup(TOPIC, group.now)
    raw = record(KeyPair.generate())
    for n in range(20):
        one.receive_datagram(answer(one, raw), (f"192.168.2.{n}", 1), group.now)
    assert [len(peer.addresses) for peer in peers(one)] == list(range(1, MAX_SOURCES + 1))


def test_a_newer_record_counts_and_an_older_does_not() -> None:
    group = Group()
    one = group.add("192.168.1.2")
    one.lookup(TOPIC, group.now)
    pair = KeyPair.generate()
    for port, seq in ((1, 5), (2, 6), (3, 4)):
        raw = record(pair, [("192.168.1.9", port)], seq)
        one.receive_datagram(answer(one, raw), ("192.168.1.9", 1), group.now)
    assert [peer.addresses[0][1] for peer in peers(one)] == [1, 2]


def test_a_withdrawal_is_no_peer() -> None:
    group = Group()
    one = group.add("192.168.1.2")
    one.lookup(TOPIC, group.now)
    withdrawal = record(KeyPair.generate(), ())
    one.receive_datagram(answer(one, withdrawal), ("192.168.1.9", 1), group.now)
    assert peers(one) == []


def test_mistakes_are_errors() -> None:
    group = Group()
    one = group.add("192.168.1.2")
    with pytest.raises(ValueError, match="20 bytes, not 3"):
        one.announce(b"abc", TCP, group.now)
    with pytest.raises(ValueError, match="20 bytes, not 3"):
        one.lookup(b"abc", group.now)
    with pytest.raises(ValueError, match="an address or a relay"):
        one.announce(TOPIC, (), group.now)
    with pytest.raises(ValueError, match="8 bytes, not 1"):
        LanCore(KeyPair.generate(), sender=b"x", rng=Random(1), now=0, unix=0)
