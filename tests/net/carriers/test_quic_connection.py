"""What we do to qh3's connection: each of these would break quietly with another version."""

from __future__ import annotations

from importlib import metadata

import pytest

from net.carriers import quic_connection
from net.carriers.quic_connection import (
    DATAGRAM_SIZE,
    WINDOW,
    BurstConnection,
    client_configuration,
    server_configuration,
)
from net.carriers.quic_link import LinkLost, LinkOpened
from tests.reference.quic import CERTIFICATE, FAR, QuicWire


def test_the_version_is_the_one_that_was_read() -> None:
    assert metadata.version("qh3") == "2.1.0"


def test_both_ends_say_the_same_of_windows_and_sizes() -> None:
    client, server = client_configuration(), server_configuration(CERTIFICATE)
    for configuration in (client, server):
        assert configuration.max_data == configuration.max_stream_data == WINDOW
        assert configuration.max_datagram_size == DATAGRAM_SIZE
        assert not configuration.probe_datagram_size
    assert client.is_client
    assert not server.is_client


def test_a_connection_that_has_not_begun() -> None:
    connection = BurstConnection(configuration=client_configuration())
    assert connection.terminated
    assert not connection.authenticated
    assert connection.in_flight == 0
    assert connection.datagrams(0.0, 10) == []
    assert connection.next_native() is None


def test_what_is_not_taken_out_stops_the_peer() -> None:
    wire = QuicWire()
    ours, theirs = wire.connect()
    theirs.hold()
    ours.send(bytes(3 * WINDOW))
    wire.near.touch(ours)
    wire.pass_time(5.0)
    assert ours.unsent > WINDOW
    assert wire.received(FAR, theirs) == b""
    theirs.release()
    wire.far.touch(theirs)
    wire.pass_time(5.0)
    assert ours.unsent == 0
    assert len(wire.received(FAR, theirs)) == 3 * WINDOW


def test_other_events_do_not_pile_up_behind_the_brake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic_connection, "MAX_HELD", 20)
    wire = QuicWire()
    ours, theirs = wire.connect()
    theirs.hold()
    for number in range(1, 21):
        ours.connection.send_stream_data(4 * number, b"x")
        ours.connection.reset_stream(4 * number, 0)
        wire.near.touch(ours)
        wire.pass_time(0.1)
    assert theirs.connection._queued == 20
    assert wire.told(FAR, theirs) == [LinkOpened()]
    ours.connection.send_stream_data(84, b"x")
    ours.connection.reset_stream(84, 0)
    wire.near.touch(ours)
    wire.pass_time(0.1)
    assert theirs.connection._queued == 0  # taken out, and found to be what is not allowed
    assert isinstance(wire.told(FAR, theirs)[-1], LinkLost)


def test_datagrams_are_counted_out() -> None:
    wire = QuicWire()
    ours, _ = wire.connect()
    wire.pass_time(1.0)
    ours.connection.send_stream_data(0, bytes(8000))
    first = ours.connection.datagrams(wire.now, 3)
    assert len(first) == 3
    assert ours.connection.in_flight > 2 * DATAGRAM_SIZE
