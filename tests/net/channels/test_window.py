from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.channels.window import (
    GROWTH_TIME,
    INITIAL_WINDOW,
    MAX_WINDOW,
    SLACK,
    SMALL_WINDOW,
    STREAM_BUDGET,
    Budget,
    ReceiveWindow,
)
from net.errors import LimitError, ProtocolError

SLOW = 1e6
"""Seconds after which a grant is too late for the window to grow."""


def test_credit_comes_back_in_quarters() -> None:
    window = ReceiveWindow(Budget(), 0.0)
    quarter = INITIAL_WINDOW // 4
    window.received(quarter)
    window.consumed(quarter - 1)
    assert window.grant(0, SLOW, 0.0) == 0
    window.consumed(1)
    assert window.grant(0, SLOW, 0.0) == quarter
    assert window.outstanding == INITIAL_WINDOW


def test_spending_more_than_granted_is_the_peers_fault() -> None:
    window = ReceiveWindow(Budget(), 0.0)
    window.received(INITIAL_WINDOW)
    with pytest.raises(ProtocolError, match="0 bytes of credit"):
        window.received(1)


def test_consuming_more_than_received_is_ours() -> None:
    window = ReceiveWindow(Budget(), 0.0)
    window.received(10)
    with pytest.raises(ValueError, match="11 bytes consumed of 10"):
        window.consumed(11)


def test_a_quick_consumer_grows_its_window_and_a_slow_one_does_not() -> None:
    for step, grows in ((GROWTH_TIME / 100, True), (GROWTH_TIME * SLACK, False)):
        window, now = ReceiveWindow(Budget(), 0.0), 0.0
        for _ in range(400):
            size = min(window.outstanding, 65536)
            window.received(size)
            window.consumed(size)
            now += step
            window.grant(0, now, 0.0)
        assert window.size == (MAX_WINDOW if grows else INITIAL_WINDOW)


def test_a_window_grows_where_bytes_take_several_round_trips_of_a_ping() -> None:
    """As they do where packets are lost: a window in four times the shortest round trip."""
    round_trip = 0.05
    window, now = ReceiveWindow(Budget(), 0.0), 0.0
    for _ in range(40):
        size = window.outstanding
        window.received(size)
        window.consumed(size)
        now += 4 * round_trip
        window.grant(0, now, round_trip)
    assert window.size == MAX_WINDOW


def test_a_long_round_trip_counts_as_quick() -> None:
    window = ReceiveWindow(Budget(), 0.0)
    window.received(INITIAL_WINDOW)
    window.consumed(INITIAL_WINDOW)
    window.grant(0, 0.09, round_trip=0.2)
    assert window.size == 2 * INITIAL_WINDOW


def test_a_message_larger_than_the_window_is_lent_what_is_missing() -> None:
    budget = Budget()
    window, partial, size = ReceiveWindow(budget, 0.0), 0, 16 << 20
    now = itertools.count(SLOW, SLOW)
    while partial < size:
        step = min(window.outstanding, 65536, size - partial)
        assert step, "stuck"
        window.received(step)
        partial += step
        window.grant(partial if partial < size else 0, next(now), 0.0)
    assert budget.taken <= 2 * size + INITIAL_WINDOW
    window.consumed(size)
    window.grant(0, next(now), 0.0)
    # What was lent and never spent stays lent; spending and consuming it repays it.
    while window.loan:
        step = min(window.outstanding, 65536)
        window.received(step)
        window.consumed(step)
        window.grant(0, next(now), 0.0)
    assert budget.taken == INITIAL_WINDOW
    assert window.outstanding == INITIAL_WINDOW


def test_the_budget_ends_what_would_exceed_it() -> None:
    budget = Budget()
    windows = [ReceiveWindow(budget, 0.0) for _ in range(8)]
    partial = 0
    with pytest.raises(LimitError, match="begun and not finished"):  # noqa: PT012 - in turn
        for turn in itertools.count(1):
            partial += 16384
            for window in windows:
                window.received(16384)
                window.grant(partial, turn * SLOW, 0.0)
    assert budget.taken <= STREAM_BUDGET


def test_windows_beyond_half_the_budget_are_small() -> None:
    budget = Budget()
    windows = [ReceiveWindow(budget, 0.0) for _ in range(1024)]
    assert {window.size for window in windows} == {INITIAL_WINDOW, SMALL_WINDOW}
    assert budget.taken <= STREAM_BUDGET // 2
    for window in windows:
        window.release()
    assert budget.taken == 0


@given(st.lists(st.tuples(st.sampled_from(["send", "finish", "consume"]), st.integers(1, 1 << 20))))
def test_what_is_granted_and_held_never_exceeds_window_and_loan(
    steps: list[tuple[str, int]],
) -> None:
    budget = Budget(4 << 20)
    window, partial, whole, now = ReceiveWindow(budget, 0.0), 0, 0, 0.0
    for what, size in steps:
        now += 0.01
        if what == "send":
            sent = min(size, window.outstanding)
            window.received(sent)
            partial += sent
        elif what == "finish":
            partial, whole = 0, whole + partial
        else:
            done = min(size, whole)
            whole -= done
            window.consumed(done)
        try:
            window.grant(partial, now, 0.0)
        except LimitError:
            break
        assert window.outstanding + window.buffered <= window.size + window.loan
        assert window.buffered == partial + whole
        assert budget.taken == window.size + window.loan <= budget.total
        # A sender is never left without credit by a receiver that holds nothing complete.
        assert window.outstanding or whole
    window.release()
    assert budget.taken == 0
