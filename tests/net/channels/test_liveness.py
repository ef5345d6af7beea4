"""Peers that answer late, or no more."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.channels.liveness import DEAD_AFTER, DOUBT, PING_AFTER, Liveness
from net.errors import DeadlineError
from tests.reference.wire import mux_pair, sent_by


def test_pings_measure_the_round_trip_and_find_a_dead_peer() -> None:
    left, right = mux_pair(now=100.0)
    for mux, other in ((right, left), (left, right)):
        mux.receive_data(sent_by(other), 100.5)
    left.receive_data(sent_by(right), 100.5)
    assert left.round_trip == 0.5

    assert left.next_timeout() == 100.5 + PING_AFTER
    left.handle_timeout(100.5 + PING_AFTER - 0.001)
    assert sent_by(left)  # the pong it owed
    left.handle_timeout(100.5 + PING_AFTER)
    ping = sent_by(left)
    assert ping
    assert left.next_timeout() == 100.5 + 2 * PING_AFTER
    right.receive_data(ping, 121.0)
    left.receive_data(sent_by(right), 121.5)
    assert left.round_trip == pytest.approx(0.5 * 0.875 + 1.0 * 0.125)

    left.handle_timeout(121.5 + PING_AFTER)
    left.handle_timeout(121.5 + 2 * PING_AFTER)
    assert left.next_timeout() == 121.5 + DEAD_AFTER
    with pytest.raises(DeadlineError, match="silent for 60 s"):
        left.handle_timeout(121.5 + DEAD_AFTER)


def test_a_peer_that_is_doubted_has_to_say_something_soon() -> None:
    left, right = mux_pair(now=100.0)
    for mux, other in ((right, left), (left, right)):
        mux.receive_data(sent_by(other), 100.0)
    left.receive_data(sent_by(right), 100.0)
    sent_by(left)
    left.doubt(110.0)
    ping = sent_by(left)
    assert ping
    left.doubt(112.0)  # a second doubt is no second chance
    assert left.next_timeout() == 110.0 + DOUBT
    right.receive_data(ping, 113.0)
    left.receive_data(sent_by(right), 114.0)
    assert left.next_timeout() == 114.0 + PING_AFTER
    left.doubt(120.0)
    left.handle_timeout(120.0 + DOUBT - 0.001)
    with pytest.raises(DeadlineError, match="silent for 11 s"):
        left.handle_timeout(120.0 + DOUBT)


def test_only_the_answer_to_the_latest_ping_counts() -> None:
    liveness = Liveness(0.0)
    first, second = liveness.ping(1.0), liveness.ping(2.0)
    liveness.pong(first, 3.0)
    assert liveness.round_trip is None
    liveness.pong(second, 3.0)
    liveness.pong(second, 9.0)  # said twice
    assert liveness.round_trip == 1.0


@given(
    st.lists(st.tuples(st.sampled_from(["nothing", "doubt", "heard", "pong"]), st.integers(0, 70)))
)
def test_nobody_is_given_up_before_the_time(events: list[tuple[str, int]]) -> None:
    now = heard_at = 0.0
    doubted_at = math.inf
    liveness = Liveness(now)
    token = liveness.ping(now)
    for what, pause in events:
        now += pause
        if now >= min(heard_at + DEAD_AFTER, doubted_at + DOUBT):
            with pytest.raises(DeadlineError):
                liveness.check(now)
            return
        if liveness.check(now):
            token = liveness.ping(now)
        if what == "doubt":
            liveness.doubt(now)
            doubted_at = min(doubted_at, now)
        elif what != "nothing":
            heard_at = liveness.heard_at = now
            doubted_at = liveness.doubted_until = math.inf
        if what == "pong":
            liveness.pong(token, now)
        assert now < liveness.next_timeout() <= min(heard_at + DEAD_AFTER, doubted_at + DOUBT)
