"""Heads, pushes and what is held, as peers hear of them, in virtual time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from feedlog import BlockMissing, Store
from net.replicate.messages import Data, Have, Info, Want, decode, encode
from net.replicate.session import Query
from tests.reference.world import Host, World

MakeReplica = Callable[..., Host]


def want_all(host: Host, length: int) -> None:
    host.core.wants.add([(0, length)])
    host.settle()


def sent(host: Host, kind: type) -> list[object]:
    return [m for wire in host.wires.values() for m in wire.carried if isinstance(m, kind)]


def swallow(_data: bytes) -> None:
    """Lose a message."""


class TestHeads:
    def test_an_empty_feed_is_current(
        self, world: World, stores: Callable[[], Store], replica: MakeReplica
    ) -> None:
        store = stores()
        host = world.host(store.feed("empty"), store)
        reader = replica(host.feed)
        world.connect(reader, host)
        query = Query()
        reader.core.query(query, world.now)
        reader.settle()
        world.run(1)
        assert reader.answered(query) is True
        assert reader.feed.length == 0

    def test_an_append_is_told_and_followed(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        world.connect(reader, writer)
        world.run(1)
        writer.feed.append(b"new")
        writer.changed()
        world.run(1)
        assert reader.feed.length == 101
        with pytest.raises(BlockMissing):
            reader.feed[100]

    def test_an_append_reaches_a_live_reader_in_one_message(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        reader.core.live = True
        world.connect(reader, writer, delay=0.025)
        world.run(1)
        before = len(sent(writer, Data)), len(sent(writer, Info))
        for i in range(10):
            writer.feed.append(b"new %d" % i)
            writer.changed()
            length = 101 + i

            def arrived(length: int = length) -> bool:
                return reader.feed.length == length

            assert world.run(until=arrived) == pytest.approx(0.025, abs=0.001)
            assert reader.feed[100 + i] == b"new %d" % i
        assert (len(sent(writer, Data)), len(sent(writer, Info))) == (before[0] + 10, before[1])
        assert reader.core.counters["pushes"] == 10

    def test_one_that_missed_a_push_catches_up(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        reader.core.live = True
        world.connect(reader, writer)
        world.run(1)
        (wire,) = writer.wires.values()
        wire.alter = swallow
        writer.feed.append(b"lost on the way")
        writer.changed()
        wire.alter = None
        writer.feed.append(b"unlinked")
        writer.changed()
        world.run(1)
        assert reader.feed.length == 102

    def test_a_fork_is_followed_from_where_it_parts(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        world.connect(reader, writer)
        want_all(reader, 100)
        world.run(1)
        writer.feed.truncate(60)
        writer.feed.extend([b"other"] * 20)
        writer.changed()
        world.run(1)
        assert (reader.feed.fork, reader.feed.length) == (1, 80)
        assert list(reader.feed) == list(writer.feed)
        assert reader.core.counters["blocks"] == 120  # what is common was kept

    def test_a_fork_whose_beginning_nobody_remembers_is_followed_from_the_start(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader, late = replica(writer.feed), replica(writer.feed)
        session, _ = world.connect(reader, writer)
        want_all(reader, 100)
        world.run(1)
        reader.drop(session)
        writer.feed.truncate(60)
        writer.feed.extend([b"other"] * 60)
        writer.changed()
        world.connect(late, writer)
        world.run(1)
        want_all(late, 120)
        world.run(1)
        world.connect(reader, late)  # it has seen fork 1 at length 120 only
        world.run(1)
        assert (reader.feed.fork, reader.feed.length) == (1, 120)
        want_all(reader, 120)
        world.run(1)
        assert list(reader.feed) == list(writer.feed)
        assert not reader.failures


class TestOffers:
    def test_a_want_is_answered_with_what_is_held(self, world: World, writer: Host) -> None:
        writer.feed.clear(10, 20)
        writer.changed()
        session = writer.core.open(world.now)
        while writer.core.next_message(session) is not None:
            pass
        writer.core.receive(session, encode(Want(5, 30)), world.now)
        message = writer.core.next_message(session)
        assert message is not None
        assert decode(message[0]) == Have(5, 30, (0, 5, 10, 10))

    def test_offers_in_many_pieces_come_in_windows(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        writer.feed.extend(bytes(1) for _ in range(11_000))
        seeder = replica(writer.feed, following=False)
        for start in (0, 6000):
            seeder.feed.apply(writer.feed.prove(blocks=range(start, min(11_000, start + 6000), 2)))
        seeder.changed()
        assert seeder.core.standing.held.pieces == 5500
        reader = replica(writer.feed)
        session, _ = world.connect(reader, seeder)
        world.run(1)
        assert list(session.link.have) == list(seeder.core.standing.held)
