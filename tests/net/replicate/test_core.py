"""Replication between replicas in virtual time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from feedlog.apply import apply
from net.replicate.messages import NoData, Request
from tests.reference.world import Host, World

MakeReplica = Callable[..., Host]


def want_all(host: Host, length: int) -> None:
    host.core.wants.add([(0, length)])
    host.settle()


def sent(host: Host, kind: type) -> list[object]:
    return [m for wire in host.wires.values() for m in wire.carried if isinstance(m, kind)]


def swallow(_data: bytes) -> None:
    """Lose a message."""


class TestGetting:
    def test_a_cold_block_costs_one_request_after_the_greeting(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        reader.core.wants.block(7)
        world.connect(reader, writer, delay=0.025)
        taken = world.run(until=lambda: reader.feed.has(7))
        assert taken == pytest.approx(0.075, abs=0.001)  # the greeting's half, and a round trip
        assert len(sent(reader, Request)) == 1
        assert reader.core.scheduler.depth == 1

    def test_a_connected_block_costs_one_round_trip(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        world.connect(reader, writer, delay=0.025)
        world.run(1)
        assert reader.feed.length == 100
        reader.core.wants.block(50)
        reader.settle()
        assert world.run(until=lambda: reader.feed.has(50)) == pytest.approx(0.05, abs=0.001)
        assert reader.feed[50] == writer.feed[50]

    def test_many_at_once_share_one_proof(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        world.connect(reader, writer)
        world.run(1)
        for index in (3, 50, 51, 99):
            reader.core.wants.block(index)
        reader.settle()
        world.run(1)
        assert reader.feed.have == [range(3, 4), range(50, 52), range(99, 100)]
        assert len(sent(reader, Request)) == 2  # the head, the blocks

    def test_everything_comes_once(self, world: World, writer: Host, replica: MakeReplica) -> None:
        reader = replica(writer.feed)
        world.connect(reader, writer)
        want_all(reader, 100)
        world.run(1)
        assert list(reader.feed) == list(writer.feed)
        assert reader.core.counters["wasted"] == 0
        assert reader.core.counters["blocks"] == 100
        assert not reader.core.wants

    def test_a_block_that_nobody_has_is_not_asked_for(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        writer.feed.clear(10, 20)
        writer.changed()
        reader = replica(writer.feed)
        world.connect(reader, writer)
        want_all(reader, 100)
        world.run(1)
        assert reader.feed.have == [range(10), range(20, 100)]
        assert reader.core.next_timeout() is None

    def test_blocks_of_any_size(self, world: World, writer: Host, replica: MakeReplica) -> None:
        sizes = [0, 5_000_000, 1, 3 << 20, 1 << 20, (1 << 20) + 1, 100]
        writer.feed.extend(bytes([i]) * size for i, size in enumerate(sizes))
        writer.changed()
        reader = replica(writer.feed)
        world.connect(reader, writer)
        want_all(reader, 107)
        world.run(1)
        assert list(reader.feed) == list(writer.feed)


class TestManyPeers:
    def seeders(self, writer: Host, replica: MakeReplica, parts: list[range]) -> list[Host]:
        hosts = []
        for part in parts:
            seeder = replica(writer.feed, following=False)
            seeder.feed.apply(writer.feed.prove(blocks=part))
            seeder.changed()
            hosts.append(seeder)
        return hosts

    def test_partial_seeders_make_a_whole(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        for seeder in self.seeders(writer, replica, [range(40), range(30, 80), range(70, 100)]):
            world.connect(reader, seeder)
        want_all(reader, 100)
        world.run(2)
        assert list(reader.feed) == list(writer.feed)
        assert reader.core.counters["wasted"] == 0

    def test_the_rarest_goes_first(self, world: World, writer: Host, replica: MakeReplica) -> None:
        writer.feed.extend([bytes(60_000)] * 100)
        writer.changed()
        reader = replica(writer.feed)
        half, whole = self.seeders(writer, replica, [range(100), range(200)])
        world.connect(reader, half, rate=1e6)
        world.connect(reader, whole, rate=1e6)
        world.run(1)
        want_all(reader, 200)
        world.run(30, until=lambda: len(reader.stored) > 0)
        _, session = reader.wires
        assert min(a for asked in session.link.asked.values() for a, _ in asked.spans) >= 100

    def test_the_work_of_a_silent_peer_goes_to_another(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        liar, honest = self.seeders(writer, replica, [range(100), range(100)])
        world.connect(reader, liar, delay=0.001)
        world.run(1)
        want_all(reader, 100)
        (silent,) = liar.wires.values()
        silent.alter = swallow
        world.connect(reader, honest, delay=0.05)
        world.run(20)
        assert list(reader.feed) == list(writer.feed)
        world.run(60)
        assert [failed.error.code for failed in reader.failures] == ["silent"]

    def test_somebody_who_waits_is_asked_for_elsewhere_soon(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        near, far = self.seeders(writer, replica, [range(100), range(100)])
        world.connect(reader, near, delay=0.001)
        world.connect(reader, far, delay=0.02)
        world.run(1)
        reader.core.wants.block(1)
        reader.settle()
        world.run(1)
        for wire in near.wires.values():
            wire.alter = swallow
        reader.core.wants.block(2)
        reader.settle()
        assert world.run(until=lambda: reader.feed.has(2)) < 0.2

    def test_the_head_is_asked_of_another_when_the_first_is_silent(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        mute, honest = self.seeders(writer, replica, [range(100), range(100)])
        world.connect(reader, mute)
        for wire in mute.wires.values():
            wire.alter = lambda data: None if data[0] == 1 else data
        world.connect(reader, honest)
        world.run(10)
        assert reader.feed.length == 100

    def test_a_free_peer_helps_a_slow_one_at_the_tail(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        writer.feed.extend([bytes(50_000)] * 300)
        writer.changed()
        reader = replica(writer.feed)
        slow, fast = self.seeders(writer, replica, [range(400), range(400)])
        world.connect(reader, slow, rate=50_000)
        world.connect(reader, fast, rate=5_000_000)
        world.run(1)
        want_all(reader, 400)
        taken = world.run(600, until=lambda: not reader.core.wants)
        assert taken < 12  # 3 s for the fast one alone; the slow one owes 20 s of work at first
        assert reader.core.counters["wasted"] < 30

    def test_what_arrives_is_told_to_others_who_want_it(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        middle, reader = replica(writer.feed), replica(writer.feed)
        world.connect(reader, middle)
        want_all(reader, 100)
        world.connect(middle, writer)
        want_all(middle, 100)
        world.run(2)
        assert list(reader.feed) == list(writer.feed)

    def test_reconnecting_resumes(self, world: World, writer: Host, replica: MakeReplica) -> None:
        writer.feed.extend([bytes(50_000)] * 100)
        writer.changed()
        reader = replica(writer.feed)
        session, _ = world.connect(reader, writer, rate=1e6)
        want_all(reader, 200)
        world.run(2)
        reader.drop(session)
        world.run(1)
        held = sum(map(len, reader.feed.have))
        assert 0 < held < 200
        world.connect(reader, writer, rate=1e6)
        world.run(20)
        assert sum(map(len, reader.feed.have)) == 200
        assert reader.core.counters["wasted"] == 0
        assert not sent(writer, NoData)


class TestAnotherProcess:
    def test_a_peer_is_not_blamed_for_a_fork_that_another_process_learned(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        world.connect(reader, writer, delay=0.025)
        world.run(1)
        reader.core.wants.block(50)
        reader.settle()
        world.run(0.03)  # the answer is on its way
        writer.feed.truncate(60)
        feed = reader.feed
        apply(feed._storage, feed._log, feed.key, feed.manifest, writer.feed.prove())
        world.run(1)
        assert not reader.failures
        assert reader.heads[-1] == (1, 60)
        writer.changed()
        world.run(until=lambda: feed.has(50))
        assert feed[50] == writer.feed[50]
        assert not reader.failures


class TestAmongFollowers:
    @pytest.mark.parametrize("truncated", [False, True], ids=["grown", "truncated"])
    def test_who_learns_of_a_head_last_is_a_source_of_it_as_well(
        self, world: World, writer: Host, replica: MakeReplica, truncated: bool
    ) -> None:
        first, last = replica(writer.feed), replica(writer.feed)
        of_first, _ = world.connect(first, writer, delay=0.01)
        of_last, _ = world.connect(last, writer, delay=0.05)
        world.connect(first, last, delay=0.001)
        world.run(1)
        if truncated:
            writer.feed.truncate(50)
        added = writer.feed.extend(b"new %d" % i for i in range(10))
        writer.changed()
        world.run(1)
        last.core.wants.add([(added.start, added.stop)])
        last.settle()
        world.run(until=lambda: last.feed.has(added.start, added.stop))
        first.drop(of_first)
        last.drop(of_last)
        first.core.wants.add([(added.start, added.stop)])
        first.settle()
        world.run(until=lambda: first.feed.has(added.start, added.stop))
        assert first.feed.have == [added]
