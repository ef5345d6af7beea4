"""A stream by QUIC moves to TCP that both ends open at once, through real routers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.natbed.bed import SERVERS_6, NatBed, address_6
from tests.natbed.members import IPV4, Members


@pytest.fixture(scope="module")
def members(worker_id: str) -> Iterator[Members]:
    with ExitStack() as stack:
        bed = stack.enter_context(NatBed(f"cr{os.getpid()}{worker_id[:4]}"))
        yield Members(bed, stack)


@pytest.mark.parametrize(
    ("near", "far"),
    [
        ("cone", "cone"),
        ("full cone", "cone"),
        ("open", "cone"),
        ("rejecting", "cone"),
        ("cone", "rejecting"),
    ],
)
def test_a_stream_moves_to_tcp_while_bytes_flow(members: Members, near: str, far: str) -> None:
    key = members.listen(members.place(2, far))
    reader = members.place(1, near)
    found = members.connect(reader, key)
    assert "quic 203.0.113.2:" in found["way"], found  # by itself, if it is as quick as the punch
    assert reader.ask("talk until", "punched tcp 203.0.113.2:", 30.0)
    assert reader.ask("talk after", 0.0, 20.0)


def test_streams_to_one_peer_move_one_after_another(members: Members) -> None:
    key = members.listen(members.place(2, "cone"))
    reader = members.place(1, "cone")
    members.start(reader)
    ways = reader.ask("several", key, 6, 30.0)
    assert [way.startswith("punched tcp 203.0.113.2:") for way in ways] == [True] * 6, ways


def test_a_feed_is_read_on_over_tcp(members: Members) -> None:
    writer, reader = members.place(2, "cone"), members.place(1, "cone")
    writer.tell("share", members.bootstrap, members.port(), IPV4)
    members.start(reader)
    key = writer.answer()
    read = [reader.ask("read", key, 20.0, 0)]
    while not read[-1][1].startswith("punched tcp "):
        read.append(reader.ask("read", key, 20.0, 0))
    assert all("quic " in way for _, way in read[:-1]), read
    assert reader.ask("read", key, 20.0, 9) == ["block 9", read[-1][1]]


@pytest.mark.parametrize(("near", "far"), [("symmetric", "cone"), ("cone", "symmetric")])
def test_where_a_router_changes_ports_it_stays_with_quic(
    members: Members, near: str, far: str
) -> None:
    key = members.listen(members.place(2, far))
    reader = members.place(1, near)
    found = members.connect(reader, key)
    assert reader.ask("improve") == found["way"]
    assert "quic " in found["way"], found
    assert reader.ask("talk after", 0.0, 20.0)


def test_without_translation_the_routers_let_it_pass_as_well() -> None:
    ipv6 = {**IPV4, "host": "::"}
    with ExitStack() as stack:
        bed = stack.enter_context(NatBed(f"c6{os.getpid()}"))
        members = Members(bed, stack, servers=SERVERS_6)
        key = members.listen(members.on("h2"), **ipv6)
        reader = members.on("h1")
        found = members.connect(reader, key, **ipv6)
        assert f"quic [{address_6('h2')}]" in found["way"], found
        assert reader.ask("talk until", f"punched tcp [{address_6('h2')}]", 30.0)
