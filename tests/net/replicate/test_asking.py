"""Bytes, heads and hints that are asked of peers, in virtual time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from feedlog import Feed
from net.replicate.session import Query
from tests.reference.world import Host, World

MakeReplica = Callable[..., Host]


class TestQueries:
    def test_a_byte_is_found(self, world: World, writer: Host, replica: MakeReplica) -> None:
        reader = replica(writer.feed)
        world.connect(reader, writer)
        world.run(1)
        query = Query(seek=5000)
        reader.core.query(query, world.now)
        reader.settle()
        world.run(1)
        assert reader.answered(query) is True
        assert reader.feed.seek(5000) == writer.feed.seek(5000)

    def test_a_hint_brings_head_and_blocks_in_one_round_trip(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        def odd(_feed: Feed, payload: bytes) -> list[int]:
            return [int(payload), 1, 3, 5000, -1]

        writer = world.host(writer.feed, writer.store, handlers={"odd": odd})
        reader = replica(writer.feed, following=False)
        query = Query(hint=("odd", b"77"))
        reader.core.query(query, world.now)
        world.connect(reader, writer, delay=0.025)
        assert world.run(until=lambda: bool(reader.answered(query))) == pytest.approx(
            0.075, abs=0.001
        )
        assert reader.feed.have == [range(1, 2), range(3, 4), range(77, 78)]

    def test_a_hint_that_no_peer_knows_fails(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        query = Query(hint=("odd", b""))
        reader.core.query(query, world.now)
        world.connect(reader, writer)
        world.run(1)
        assert reader.answered(query) is False
        assert "odd" in query.reasons[0]

    def test_one_who_has_just_come_is_waited_for_when_the_only_peer_leaves(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed, following=False)
        query = Query()
        reader.core.query(query, world.now)
        first, _ = world.connect(reader, writer, delay=0.025)
        world.run(until=lambda: bool(query.tried))
        world.connect(reader, world.host(writer.feed, writer.store), delay=0.025)
        reader.drop(first)  # before its answer, and before the other's greeting
        reader.settle()
        assert query.reasons
        world.run(1)
        assert reader.answered(query) is True

    def test_a_query_waits_for_a_peer(
        self, world: World, writer: Host, replica: MakeReplica
    ) -> None:
        reader = replica(writer.feed)
        query = Query()
        reader.core.query(query, world.now)
        reader.settle()
        world.run(1000)
        assert reader.answered(query) is None
        world.connect(reader, writer)
        world.run(1)
        assert reader.answered(query) is True
