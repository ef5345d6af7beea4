"""Many connections on one port, and the door through which strangers come."""

from __future__ import annotations

import random

import pytest

from net.carriers import quic_endpoint
from net.carriers.quic_endpoint import (
    HALF_OPEN_TIMEOUT,
    MAX_AREA,
    MAX_HALF_OPEN,
    MAX_UNPROVEN,
    MAX_WELCOMES,
)
from net.carriers.quic_link import LinkData, LinkLost, LinkOpened, QuicLink
from net.carriers.segments import Burst
from tests.reference.quic import FAR, NEAR, QuicWire, make_endpoint


def flights(count: int, source: str = "203.0.{}.{}") -> list[Burst]:
    """First flights of clients that are all elsewhere and never heard of again."""
    found = []
    for number in range(count):
        end = make_endpoint(accepting=False)
        end.connect(FAR, 1000.0)
        datagrams = [d for _, group in end.datagrams_to_send(1000.0) for d in group]
        address = (source.format(number // 200, number % 200 + 1), 5000)
        found.append(Burst(b"".join(datagrams), 1200, address))
    return found


def test_two_connections_between_the_same_ports_are_kept_apart() -> None:
    wire = QuicWire()
    pairs = [wire.connect() for _ in range(5)]
    for number, (ours, theirs) in enumerate(pairs):
        ours.send(b"to %d" % number)
        theirs.send(b"from %d" % number)
        wire.near.touch(ours)
        wire.far.touch(theirs)
    wire.pass_time(0.5)
    for number, (ours, theirs) in enumerate(pairs):
        assert wire.received(FAR, theirs) == b"to %d" % number
        assert wire.received(NEAR, ours) == b"from %d" % number


def test_a_burst_may_hold_datagrams_of_several_connections() -> None:
    wire = QuicWire()
    pairs = [wire.connect() for _ in range(3)]
    wire.pass_time(1.0)
    datagrams = []
    for _ in range(3):
        for ours, _ in pairs:
            ours.send(bytes(5000))
            wire.near.touch(ours)
            datagrams += [d for _, group in wire.near.datagrams_to_send(wire.now) for d in group]
    whole = [d for d in datagrams if len(d) == len(datagrams[0])]
    random.Random(3).shuffle(whole)
    wire.far.receive([Burst(b"".join(whole), len(whole[0]), NEAR)], wire.now)
    wire.pass_time(3.0)
    for _, theirs in pairs:
        assert len(wire.received(FAR, theirs)) == 15_000


def test_a_connection_survives_new_ports_and_addresses() -> None:
    wire = QuicWire()
    ours, theirs = wire.connect()
    data = random.Random(1).randbytes(200_000)
    away = [("192.0.2.1", 1777), ("192.0.2.99", 1778)]
    for round_, outside in enumerate([*away, NEAR, *away, NEAR]):
        wire.seen_as = {NEAR: outside}
        ours.send(data)
        wire.near.touch(ours)
        wire.pass_time(3.0)
        theirs.send(b"%d" % round_)
        wire.far.touch(theirs)
        wire.pass_time(3.0)
        assert theirs.path.address == outside
        assert len(wire.received(FAR, theirs)) == len(data) * (round_ + 1)
        assert len(wire.received(NEAR, ours)) == round_ + 1


def test_a_server_may_move_too() -> None:
    wire = QuicWire()
    ours, theirs = wire.connect()
    theirs.hold()
    ours.hold()
    for port in range(3000, 3008):
        wire.seen_as = {FAR: ("198.51.100.1", port)}
        theirs.send(b"x")
        wire.far.touch(theirs)
        wire.pass_time(2.0)
        assert ours.path.address == ("198.51.100.1", port)
        assert ours.path.proven
        assert not ours.connection.eager
    ours.release()
    wire.near.touch(ours)
    wire.run()
    assert wire.received(NEAR, ours) == b"x" * 8


def test_who_does_not_accept_is_silent() -> None:
    wire = QuicWire(accepting=False)
    wire.near.connect(FAR, wire.now)
    wire.run()
    assert wire.far.counters == {"no connection": 2}
    assert not wire.far.links


def test_half_open_connections_are_given_up() -> None:
    wire = QuicWire()
    wire.far.receive(flights(3), wire.now)
    wire.run()
    assert len(wire.far.links) == 3
    wire.pass_time(HALF_OPEN_TIMEOUT + 5, step=1.0)
    assert wire.far.links == []
    assert wire.far.counters["handshakes given up"] == 3
    assert not wire.far._half_open
    assert wire.far._unproven == 0
    assert not wire.far._areas
    assert not wire.far._armed


def test_forged_flights_are_asked_for_a_proof_and_honest_ones_pass() -> None:
    wire = QuicWire()
    for flight in flights(MAX_UNPROVEN + 20):
        wire.far.receive([flight], wire.now)
    answered = [len(d) for to, group in wire.far.datagrams_to_send(wire.now) for d in group]
    assert wire.far._unproven == MAX_UNPROVEN
    assert wire.far.counters["retries"] == 20  # one for both datagrams
    assert min(answered) < 150
    ours, theirs = wire.connect()
    assert theirs.connection._retry_source_connection_id is not None
    ours.send(b"through")
    wire.near.touch(ours)
    wire.pass_time(0.2)
    assert wire.received(FAR, theirs) == b"through"
    assert wire.far._unproven == MAX_UNPROVEN
    wire.pass_time(HALF_OPEN_TIMEOUT + 5, step=1.0)
    assert wire.far._unproven == 0
    assert len(wire.far.links) == 1


def test_strangers_who_come_together_hold_up_nobody_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wire = QuicWire()
    ours, theirs = wire.connect()
    wire.pass_time(1.0)
    ours.send(b"from a friend")
    wire.near.touch(ours)
    known = [Burst(d, len(d), NEAR) for _, ds in wire.near.datagrams_to_send(wire.now) for d in ds]
    crowd = flights(MAX_WELCOMES + 5)
    welcome = wire.far._welcome

    def welcome_last(burst: Burst, now: float) -> None:
        assert theirs in wire.far._telling, "the friend has had his turn, though he came last"
        welcome(burst, now)

    monkeypatch.setattr(wire.far, "_welcome", welcome_last)
    wire.far.receive([*crowd, *known], wire.now)
    assert len(wire.far.links) == 1 + MAX_WELCOMES
    assert wire.far.counters["retries"] == 5
    wire.run()
    assert wire.received(FAR, theirs) == b"from a friend"


def test_limits_of_half_open_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic_endpoint, "MAX_UNPROVEN", 0)
    wire = QuicWire()
    clients = [make_endpoint(number % 250, accepting=False) for number in range(MAX_AREA + 5)]
    for number, client in enumerate(clients):
        source = ("203.0.113.7", 2000 + number)
        link = client.connect(FAR, wire.now)
        for _ in range(2):  # the flight, and the flight with the token of the Retry
            sent = [d for _, group in client.datagrams_to_send(wire.now) for d in group]
            for data in sent[:1]:
                wire.far.receive([Burst(data, len(data), source)], wire.now)
            for _, group in wire.far.datagrams_to_send(wire.now):
                for data in group[:1]:
                    client.receive([Burst(data, len(data), FAR)], wire.now)
        assert not link.opened
    assert len(wire.far.links) == MAX_AREA
    assert wire.far.counters["half-open limit"] == 5
    monkeypatch.setattr(quic_endpoint, "MAX_HALF_OPEN", MAX_AREA)
    wire.far.receive(flights(1), wire.now)
    assert wire.far.counters["half-open limit"] == 6
    assert MAX_HALF_OPEN > MAX_AREA


def test_retries_are_rationed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic_endpoint, "MAX_UNPROVEN", 0)
    monkeypatch.setattr(quic_endpoint, "RETRIES_PER_SECOND", 3)
    wire = QuicWire()
    wire.far.receive(flights(4), wire.now)
    assert wire.far.counters == {"retries": 3, "retry limit": 1}
    wire.far.receive(flights(1), wire.now + 1.0)
    assert wire.far.counters == {"retries": 4, "retry limit": 1}


def test_forged_flights_that_do_not_decrypt_are_looked_into_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quic_endpoint, "UNPROVEN_PER_SECOND", 3)
    wire = QuicWire()
    good = flights(1)[0].data[:1200]
    for number in range(10):
        forged = good[:6] + b"forged%d" % (10 + number) + good[14:]
        wire.far.receive([Burst(forged, 1200, ("203.0.113.1", 1))], wire.now)
    assert wire.far.counters == {"no handshake": 3, "retries": 7}
    wire.run()
    assert wire.connect()[0].opened
    wire.far.receive([Burst(forged, 1200, ("203.0.113.1", 1))], wire.now + 1.0)
    assert wire.far.counters["no handshake"] == 4


def test_alarms_that_were_moved_do_not_pile_up() -> None:
    wire = QuicWire()
    ours, theirs = wire.connect()
    for _ in range(500):
        ours.send(b"x")
        wire.near.touch(ours)
        wire.pass_time(0.1)
    assert len(wire.received(FAR, theirs)) == 500
    for end in (wire.near, wire.far):
        assert len(end._timers) <= quic_endpoint.SPARE_TIMERS + 4
        assert len(end._armed) == 1


def test_a_connection_that_sends_much_lets_others_have_their_turn() -> None:
    wire = QuicWire()
    greedy, modest = wire.connect(), wire.connect()
    wire.pass_time(1.0)
    for _ in range(20):  # let its window grow
        greedy[0].send(bytes(1 << 20))
        wire.near.touch(greedy[0])
        wire.pass_time(0.2, step=0.01)
    greedy[0].send(bytes(4 << 20))
    modest[0].send(b"x")
    wire.near.touch(greedy[0])
    wire.near.touch(modest[0])
    groups = [len(group) for _, group in wire.near.datagrams_to_send(wire.now)]
    assert groups[0] <= quic_endpoint.MAX_SEND
    assert groups[-1] <= 2
    wire.pass_time(3.0, step=0.01)
    assert len(wire.received(FAR, greedy[1])) == 24 << 20
    assert wire.received(FAR, modest[1]) == b"x"


def test_events_come_link_by_link_and_end_with_the_loss() -> None:
    wire = QuicWire()
    ours, theirs = wire.connect()
    ours.send(b"last words")
    ours.close()
    wire.near.touch(ours)
    wire.pass_time(3.0)
    said = [type(event) for link, event in wire.events[FAR] if link is theirs]
    assert said[0] is LinkOpened
    assert LinkData in said
    assert said[-1] is LinkLost
    assert not wire.far.has_events
    assert not wire.far.dirty
    assert isinstance(theirs, QuicLink)
