"""Channels that open and end, on both sides of a stream."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feedlog.hashing import discovery_key
from net.channels import (
    ChannelClosed,
    ChannelMessage,
    ChannelOpened,
    ChannelRequested,
    PeerReady,
    RequestWithdrawn,
)
from net.channels.channel import State
from net.channels.table import MAX_CHANNELS, MAX_REQUESTS
from net.errors import ClosedError
from tests.reference.wire import mux_events, mux_pair, open_pair, pump_mux, sent_by

KEY = bytes(range(32))
NAME = (discovery_key(KEY), "proto")


def test_a_channel_opens_when_both_have_asked() -> None:
    left, right = mux_pair()
    ours = left.open(KEY, "proto")
    _, theirs = pump_mux(left, right)
    assert theirs == [PeerReady(1, ()), ChannelRequested(*NAME)]
    answer = right.open(KEY, "proto")
    assert answer.is_open  # it may speak at once, in the same flight
    answer.send(b"status")
    seen, also = pump_mux(left, right)
    assert seen == [ChannelOpened(ours), ChannelMessage(ours, b"status", urgent=False)]
    assert also == [ChannelOpened(answer)]
    assert left.find(KEY, "proto") is ours
    assert left.find(KEY, "other") is None


def test_opens_that_cross_are_one_channel() -> None:
    left, right = mux_pair()
    ours, theirs = left.open(KEY, "proto"), right.open(KEY, "proto")
    seen, also = pump_mux(left, right)
    assert ChannelOpened(ours) in seen
    assert ChannelOpened(theirs) in also
    assert len(left.channels) == len(right.channels) == 1
    ours.send(b"x")
    assert pump_mux(left, right)[1] == [ChannelMessage(theirs, b"x", urgent=False)]


def test_one_feed_may_have_a_channel_for_each_protocol() -> None:
    left, right, _, _ = open_pair(KEY)
    left.open(KEY, "other")
    with pytest.raises(ValueError, match="there is a channel"):
        left.open(KEY, "proto")
    assert pump_mux(left, right)[1] == [ChannelRequested(NAME[0], "other")]


def test_a_request_may_be_refused_or_withdrawn() -> None:
    left, right = mux_pair()
    ours = left.open(KEY, "proto")
    pump_mux(left, right)
    right.reject(*NAME, "not here")
    right.reject(*NAME)  # nothing left to refuse
    assert pump_mux(left, right)[0] == [ChannelClosed(ours, "not here")]

    again = left.open(KEY, "proto")
    pump_mux(left, right)
    again.close()
    seen, also = pump_mux(left, right)
    assert also == [RequestWithdrawn(*NAME)]
    assert seen == []
    assert left.channels == right.channels == []


def test_a_reject_and_a_close_may_cross() -> None:
    left, right = mux_pair()
    ours = left.open(KEY, "proto")
    pump_mux(left, right)
    right.reject(*NAME)
    ours.close()
    assert pump_mux(left, right) == ([], [])
    assert left.channels == right.channels == []


def test_closing_tells_the_other_side_why() -> None:
    left, right, ours, theirs = open_pair(KEY)
    ours.send(b"dropped, it was not sent yet")
    ours.close("enough")
    ours.close("twice")
    theirs.send(b"on its way when the close came")
    seen, also = pump_mux(left, right)
    assert also == [ChannelClosed(theirs, "enough")]
    assert seen == []
    assert [ours.state, theirs.state] == [State.CLOSED, State.CLOSED]
    with pytest.raises(ClosedError):
        ours.send(b"x")
    theirs.consume(0)


def test_a_feed_may_be_opened_again_while_its_channel_still_closes() -> None:
    left, right, ours, theirs = open_pair(KEY)
    ours.close()
    again = left.open(KEY, "proto")
    assert again.state is State.WAITING
    _, also = pump_mux(left, right)
    assert also == [ChannelClosed(theirs, ""), ChannelRequested(*NAME)]
    right.open(KEY, "proto")
    pump_mux(left, right)
    assert again.is_open

    again.close()
    last = left.open(KEY, "proto")
    last.close()
    assert last.state is State.CLOSED
    pump_mux(left, right)
    assert left.channels == right.channels == []


def test_limits_on_channels_and_requests() -> None:
    left, right = mux_pair()
    channels = [left.open(KEY, f"p{number}") for number in range(MAX_REQUESTS + 1)]
    seen, also = pump_mux(left, right)
    assert sum(isinstance(event, ChannelRequested) for event in also) == MAX_REQUESTS
    assert seen == [PeerReady(1, ()), ChannelClosed(channels[-1], "busy")]
    for number in range(MAX_CHANNELS - MAX_REQUESTS):
        left.open(KEY, f"q{number}")
    with pytest.raises(RuntimeError, match="1024 channels, limit 1024"):
        left.open(KEY, "one more")


class OpeningsThatCross(RuleBasedStateMachine):
    """Both sides open, reject and close names at will while bytes are under way.

    Whatever crosses, neither side sees a broken rule, and in the end both agree.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sides = mux_pair()
        self.wires = [b"", b""]
        self.now = 0.0

    @rule(side=st.integers(0, 1), name=st.sampled_from("abc"))
    def open(self, side: int, name: str) -> None:
        mux = self.sides[side]
        if mux.find(KEY, name) is None:
            mux.open(KEY, name)

    @rule(side=st.integers(0, 1), name=st.sampled_from("abc"))
    def close(self, side: int, name: str) -> None:
        channel = self.sides[side].find(KEY, name)
        if channel is not None:
            channel.close()

    @rule(side=st.integers(0, 1), name=st.sampled_from("abc"))
    def reject(self, side: int, name: str) -> None:
        self.sides[side].reject(NAME[0], name)

    @rule(side=st.integers(0, 1), name=st.sampled_from("abc"), size=st.integers(1, 100_000))
    def send(self, side: int, name: str, size: int) -> None:
        channel = self.sides[side].find(KEY, name)
        if channel is not None and channel.writable:
            channel.send(bytes(size))

    @rule(side=st.integers(0, 1))
    def transmit(self, side: int) -> None:
        self.wires[side] += sent_by(self.sides[side])

    @rule(side=st.integers(0, 1), part=st.integers(1, 100))
    def deliver(self, side: int, part: int) -> None:
        size = len(self.wires[side]) * part // 100
        data, self.wires[side] = self.wires[side][:size], self.wires[side][size:]
        target = self.sides[1 - side]
        target.receive_data(data, self.now)
        for event in mux_events(target):
            if isinstance(event, ChannelMessage):
                event.channel.consume(len(event.data))

    @invariant()
    def one_channel_a_name(self) -> None:
        for mux in self.sides:
            names = [channel.name for channel in mux.channels]
            assert len(names) == len(set(names))

    def teardown(self) -> None:
        for side in (0, 1):
            self.deliver(side, 100)
        pump_mux(*self.sides)
        for mux in self.sides:
            for name in "abc":
                mux.reject(NAME[0], name)
        pump_mux(*self.sides)
        left, right = ({channel.name for channel in mux.channels} for mux in self.sides)
        assert left == right
        for mux in self.sides:
            assert all(channel.state is State.OPEN for channel in mux.channels)
            for channel in mux.channels:
                channel.close()
        pump_mux(*self.sides)
        for mux in self.sides:
            assert mux.channels == []
            assert mux._table.budget.taken == 0


TestOpeningsThatCross = OpeningsThatCross.TestCase
