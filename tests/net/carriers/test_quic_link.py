"""One connection as two ordered streams of bytes, on a wire that loses and delays."""

from __future__ import annotations

import random

import pytest

from net.carriers import quic_connection, quic_link
from net.carriers.quic_connection import IDLE_TIMEOUT, WINDOW
from net.carriers.quic_link import (
    KEEP_ALIVE,
    LinkData,
    LinkEnded,
    LinkLost,
    LinkOpened,
    QuicLink,
)
from tests.reference.quic import FAR, NEAR, QuicWire

PIECE = 64 << 10
"""What qh3 joins at most."""

Ends = tuple[QuicWire, QuicLink, QuicLink]


@pytest.fixture
def ends() -> Ends:
    wire = QuicWire()
    return wire, *wire.connect()


def lost(wire: QuicWire, where: tuple[str, int], link: QuicLink) -> LinkLost:
    last = wire.told(where, link)[-1]
    assert isinstance(last, LinkLost)
    return last


def test_either_end_may_speak_first(ends: Ends) -> None:
    wire, ours, theirs = ends
    theirs.send(b"from the server")
    wire.far.touch(theirs)
    wire.pass_time(0.2)
    assert wire.received(NEAR, ours) == b"from the server"
    ours.send(b"from the client")
    wire.near.touch(ours)
    wire.pass_time(0.2)
    assert wire.received(FAR, theirs) == b"from the client"


def test_nothing_is_sent_before_the_link_is_open() -> None:
    wire = QuicWire()
    link = wire.near.connect(FAR, wire.now)
    link.send(b"early")
    link.send_end()
    assert link.unsent == 0
    link.close()  # of nothing: at once
    wire.near.touch(link)
    wire.run()
    assert wire.told(NEAR, link) == [LinkLost(None)]


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_what_is_lost_is_sent_again(rate: float) -> None:
    wire = QuicWire()
    rng = random.Random(5)
    wire.lose = lambda _: rng.random() < rate
    ours = wire.near.connect(FAR, wire.now)
    wire.pass_time(5.0)
    theirs = next(link for link, event in wire.events[FAR] if isinstance(event, LinkOpened))
    theirs.release()
    ours.release()
    data = rng.randbytes(300_000)
    ours.send(data)
    wire.near.touch(ours)
    wire.pass_time(60.0)
    assert wire.received(FAR, theirs) == data


def test_each_direction_ends_by_itself_and_close_waits_for_delivery(ends: Ends) -> None:
    wire, ours, theirs = ends
    ours.send_end()
    ours.send(b"after the end")
    wire.near.touch(ours)
    wire.pass_time(0.5)
    assert wire.told(FAR, theirs) == [LinkOpened(), LinkEnded()]
    theirs.send(bytes(1_000_000))
    theirs.close()
    theirs.close()
    wire.far.touch(theirs)
    wire.pass_time(2.0)
    assert len(wire.received(NEAR, ours)) == 1_000_000
    assert wire.told(NEAR, ours) == [LinkOpened(), LinkEnded(), LinkLost(None)]
    assert wire.told(FAR, theirs) == [LinkOpened(), LinkEnded(), LinkLost(None)]
    wire.pass_time(2.0)
    assert wire.near.links == wire.far.links == []


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_close_waits_for_what_is_sent_again(rate: float) -> None:
    """Also while it is neither in flight nor unsent, because the core paces what it repeats."""
    for seed in range(40):
        wire = QuicWire()
        ours, theirs = wire.connect()
        rng = random.Random(seed)
        wire.lose = lambda _, rng=rng: rng.random() < rate  # type: ignore[misc]  # its own rng
        data = rng.randbytes(rng.choice((20_000, 300_000)))
        ours.send(data)
        ours.close()
        wire.near.touch(ours)
        wire.run()
        wire.pass_time(10.0, 0.01)
        assert wire.received(FAR, theirs) == data, seed
        assert LinkEnded() in wire.told(FAR, theirs)


def test_a_clean_end_waits_for_a_reader_that_has_stopped(ends: Ends) -> None:
    wire, ours, theirs = ends
    theirs.hold()
    ours.send(bytes(1_000_000))
    ours.close()
    wire.near.touch(ours)
    wire.pass_time(3.0)
    assert wire.told(NEAR, ours)[-1] == LinkLost(None)
    assert wire.told(FAR, theirs) == [LinkOpened()]
    theirs.release()
    wire.far.touch(theirs)
    wire.run()
    assert len(wire.received(FAR, theirs)) == 1_000_000
    assert wire.told(FAR, theirs) == [LinkOpened(), LinkEnded(), LinkLost(None)]


def test_an_abort_does_not_wait(ends: Ends) -> None:
    wire, ours, theirs = ends
    theirs.hold()
    ours.send(b"unread")
    wire.near.touch(ours)
    wire.pass_time(0.2)
    ours.abort()
    ours.abort()
    ours.send(b"too late")
    wire.near.touch(ours)
    wire.run()
    assert isinstance(lost(wire, FAR, theirs).error, ConnectionResetError)
    assert lost(wire, NEAR, ours).error is None
    assert wire.received(FAR, theirs) == b""
    theirs.abort()
    assert theirs.next_event() is None


def test_an_abort_of_ours_is_told_though_nobody_reads(ends: Ends) -> None:
    wire, ours, theirs = ends
    theirs.hold()
    ours.send(bytes(100_000))
    wire.near.touch(ours)
    wire.pass_time(1.0)
    theirs.abort()
    wire.far.touch(theirs)
    wire.run()
    assert wire.told(FAR, theirs) == [LinkOpened(), LinkLost(None)]
    assert wire.received(FAR, theirs) == b""


def test_an_end_is_said_before_it_is_forgotten(ends: Ends) -> None:
    wire, ours, theirs = ends
    wire.now += 20.0  # long after the last packet, from which qh3 counts
    ours.abort()
    ours.handle_timeout(wire.now)
    wire.near.touch(ours)
    wire.run()
    assert isinstance(lost(wire, FAR, theirs).error, ConnectionResetError)
    wire.pass_time(1.0)
    assert wire.near.links == wire.far.links == []


def test_a_reader_may_stop_after_any_piece(ends: Ends) -> None:
    wire, ours, theirs = ends
    theirs.hold()
    ours.send(bytes(3 * WINDOW))
    wire.near.touch(ours)
    wire.pass_time(2.0)
    taken = 0
    for _ in range(100):
        theirs.release()
        event = theirs.next_event()
        assert isinstance(event, LinkData)
        assert len(event.data) <= PIECE
        taken += len(event.data)
        theirs.hold()
        assert theirs.next_event() is None
        wire.far.touch(theirs)
        wire.pass_time(0.1)
        assert theirs._unread == 0
    assert taken > WINDOW // 2
    assert 3 * WINDOW - ours.unsent - taken <= WINDOW  # sent, and not yet taken


def test_a_quiet_connection_is_kept_alive_and_a_silent_one_is_given_up(ends: Ends) -> None:
    wire, ours, theirs = ends
    wire.pass_time(2 * IDLE_TIMEOUT, step=KEEP_ALIVE / 4)
    for _ in range(10):  # no router forgets a flow that is never silent for so long
        before = wire.carried
        wire.pass_time(5.0, step=KEEP_ALIVE / 9)
        assert 0 < wire.carried - before < 500
    assert not ours.over
    assert not theirs.over
    wire.lose = lambda _: True
    wire.pass_time(2 * IDLE_TIMEOUT, step=1.0)
    assert isinstance(lost(wire, NEAR, ours).error, TimeoutError)
    assert isinstance(lost(wire, FAR, theirs).error, TimeoutError)
    assert wire.near.links == wire.far.links == []


def test_another_stream_or_preamble_ends_the_connection(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire, ours, theirs = ends
    ours.connection.send_stream_data(4, b"more")
    wire.near.touch(ours)
    wire.pass_time(0.2)
    assert "stream 4" in str(lost(wire, FAR, theirs).error)
    assert "stream 4" in str(lost(wire, NEAR, ours).error)
    wire = QuicWire()
    monkeypatch.setattr(quic_link, "PREAMBLE", b"\x02")
    ours = wire.near.connect(FAR, wire.now)
    while not ours.opened:
        wire.run(1)
    monkeypatch.setattr(quic_link, "PREAMBLE", b"\x01")
    wire.run()
    ours.release()
    wire.near.touch(ours)
    wire.run()
    assert "preamble" in str(lost(wire, NEAR, ours).error)


@pytest.mark.parametrize("what", ["reset_stream", "stop_stream"])
def test_a_reset_is_the_end(ends: Ends, what: str) -> None:
    wire, ours, theirs = ends
    getattr(ours.connection, what)(0, 7)
    wire.near.touch(ours)
    wire.pass_time(0.2)
    assert isinstance(lost(wire, FAR, theirs).error, ConnectionResetError)


def test_too_much_unread_is_the_end(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    wire, ours, theirs = ends
    monkeypatch.setattr(quic_link, "MAX_UNREAD", WINDOW // 2)
    monkeypatch.setattr(quic_connection, "MAX_HELD", -1)  # nothing may wait in the core
    theirs.hold()
    ours.send(bytes(WINDOW))
    wire.near.touch(ours)
    wire.pass_time(3.0)
    assert "unread" in str(lost(wire, FAR, theirs).error)
    assert repr(theirs) == "<QuicLink to 192.0.2.1:1001>"


def test_a_nudge_makes_the_other_end_hear_from_us() -> None:
    wire = QuicWire()
    ours, theirs = wire.connect()
    wire.pass_time(1.0)
    for link, end in ((ours, wire.near), (theirs, wire.far)):
        assert list(end.datagrams_to_send(wire.now)) == []
        link.nudge(wire.now)
        end.touch(link)
        [(_, datagrams)] = end.datagrams_to_send(wire.now)
        assert len(datagrams) == 1
    ours.abort()
    ours.nudge(wire.now)  # too late: nothing happens
