"""Peers that answer late, or no more."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.channels import Mux, PeerSilent
from net.channels.liveness import DEAD_AFTER, PING_AFTER, SILENT_AFTER, Liveness
from net.errors import DeadlineError
from tests.reference.wire import mux_events, mux_pair, sent_by


def greeted_pair(now: float) -> tuple[Mux, Mux]:
    """Two muxes that have heard each other at a time; the left one has told of it."""
    left, right = mux_pair(now=now)
    for mux, other in ((right, left), (left, right)):
        mux.receive_data(sent_by(other), now)
    left.receive_data(sent_by(right), now)
    sent_by(left)
    mux_events(left)
    return left, right


def test_pings_measure_the_round_trip_and_find_a_dead_peer() -> None:
    left, right = mux_pair(now=100.0)
    for mux, other in ((right, left), (left, right)):
        mux.receive_data(sent_by(other), 100.5)
    left.receive_data(sent_by(right), 100.5)
    assert left.round_trip == 0.5

    asked = 100.5 + PING_AFTER
    assert left.next_timeout() == asked
    left.handle_timeout(asked - 0.001)
    assert sent_by(left)  # the pong it owed
    left.handle_timeout(asked)
    ping = sent_by(left)
    assert ping
    right.receive_data(ping, asked + 0.5)
    left.receive_data(sent_by(right), asked + 1.0)
    assert left.round_trip == pytest.approx(0.5 * 0.875 + 1.0 * 0.125)

    left.handle_timeout(asked + 1.0 + PING_AFTER)
    left.handle_timeout(asked + 1.0 + 2 * PING_AFTER)
    with pytest.raises(DeadlineError, match="silent for 60 s"):
        left.handle_timeout(asked + 1.0 + DEAD_AFTER)


def test_a_peer_that_does_not_answer_is_silent_until_it_is_heard() -> None:
    left, right = greeted_pair(100.0)
    asked = 100.0 + PING_AFTER
    left.handle_timeout(asked)
    ping = sent_by(left)
    assert left.next_timeout() == asked + SILENT_AFTER
    left.handle_timeout(asked + SILENT_AFTER - 0.001)
    assert mux_events(left) == []
    left.handle_timeout(asked + SILENT_AFTER)
    assert mux_events(left) == [PeerSilent()]
    assert left.next_timeout() == asked + PING_AFTER
    left.handle_timeout(asked + PING_AFTER)  # asked again, and not told of again
    left.handle_timeout(asked + PING_AFTER + SILENT_AFTER)
    assert mux_events(left) == []
    assert left.is_silent
    right.receive_data(ping, asked + 9.0)
    left.receive_data(sent_by(right), asked + 9.0)
    assert left.next_timeout() == asked + 9.0 + PING_AFTER


def test_a_peer_far_away_has_time_to_answer() -> None:
    left, _ = greeted_pair(100.0)
    left._liveness.round_trip = SILENT_AFTER
    left.handle_timeout(100.0 + PING_AFTER)
    left.handle_timeout(100.0 + PING_AFTER + SILENT_AFTER)
    assert mux_events(left) == []
    left.handle_timeout(100.0 + PING_AFTER + 3 * SILENT_AFTER)
    assert mux_events(left) == [PeerSilent()]


def test_a_peer_that_is_doubted_is_asked_at_once() -> None:
    left, right = greeted_pair(100.0)
    left.doubt(102.0)
    ping = sent_by(left)
    assert ping
    left.doubt(104.0)  # a second doubt is no second chance
    assert left.next_timeout() == 102.0 + SILENT_AFTER
    right.receive_data(ping, 104.5)
    left.receive_data(sent_by(right), 104.75)
    assert left.next_timeout() == 104.75 + PING_AFTER


def test_only_the_answer_to_the_latest_ping_counts() -> None:
    liveness = Liveness(0.0)
    first, second = liveness.ping(1.0), liveness.ping(2.0)
    liveness.pong(first, 3.0)
    assert liveness.round_trip is None
    liveness.pong(second, 3.0)
    liveness.pong(second, 9.0)  # said twice
    assert liveness.round_trip == 1.0


@given(
    st.lists(st.tuples(st.sampled_from(["nothing", "doubt", "heard", "pong"]), st.integers(1, 70)))
)
def test_nobody_is_given_up_or_silent_before_the_time(events: list[tuple[str, int]]) -> None:
    now = heard_at = 0.0
    asked_at = math.inf
    liveness = Liveness(now)
    token = liveness.ping(now)
    for what, pause in events:
        now += pause
        if now >= heard_at + DEAD_AFTER:
            with pytest.raises(DeadlineError):
                liveness.check(now)
            return
        pings = liveness.check(now) or what == "doubt"
        before = liveness.is_silent
        if liveness.falls_silent(now):
            assert not before
            assert now >= asked_at + SILENT_AFTER
        assert liveness.is_silent == (now >= asked_at + SILENT_AFTER)
        if pings:
            token = liveness.ping(now)
            asked_at = min(asked_at, now)
        if what in {"heard", "pong"}:
            heard_at, asked_at = now, math.inf
            liveness.heard_at = now
            assert not liveness.is_silent
        if what == "pong":
            liveness.pong(token, now)
            liveness.round_trip = None  # that of this world is of no interest
        assert now < liveness.next_timeout() <= heard_at + DEAD_AFTER
