from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feedlog.hashing import discovery_key
from net.channels import (
    Channel,
    ChannelClosed,
    ChannelDrained,
    ChannelMessage,
    ChannelOpened,
    ChannelRequested,
    Mux,
    PeerLeft,
    PeerReady,
    RequestWithdrawn,
)
from net.channels.channel import State
from net.channels.messages import MAX_PAYLOAD
from net.channels.mux import DEAD_AFTER, DOUBT, MAX_CHANNELS, MAX_REQUESTS, PING_AFTER
from net.errors import ClosedError, DeadlineError
from net.noise.records import MAX_PLAINTEXT
from tests.reference.wire import HANDSHAKE_HASH, mux_events, mux_pair, pump_mux, sent_by

KEY = bytes(range(32))
NAME = (discovery_key(KEY), "proto")


def open_pair() -> tuple[Mux, Mux, Channel, Channel]:
    left, right = mux_pair()
    ours = left.open(KEY, "proto")
    pump_mux(left, right)
    theirs = right.open(KEY, "proto")
    pump_mux(left, right)
    assert ours.is_open
    assert theirs.is_open
    return left, right, ours, theirs


def test_hello_says_what_each_can_do() -> None:
    left = Mux(initiator=True, handshake_hash=HANDSHAKE_HASH, now=0.0, features=["walk"])
    right = Mux(initiator=False, handshake_hash=HANDSHAKE_HASH, now=0.0)
    ours, theirs = pump_mux(left, right)
    assert ours == [PeerReady(1, ())]
    assert theirs == [PeerReady(1, ("walk",))]


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
    left, right, _, _ = open_pair()
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
    left, right, ours, theirs = open_pair()
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
    left, right, ours, theirs = open_pair()
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


@pytest.mark.parametrize("size", [1, 1000, MAX_PAYLOAD, MAX_PAYLOAD + 1, 1 << 20, 16 << 20])
def test_messages_of_all_sizes(size: int) -> None:
    left, right, ours, theirs = open_pair()
    message = random.Random(size).randbytes(size)
    ours.send(message)
    assert pump_mux(left, right)[1] == [ChannelMessage(theirs, message, urgent=False)]
    theirs.consume(size)
    ours.send(b"next")
    assert pump_mux(left, right)[1] == [ChannelMessage(theirs, b"next", urgent=False)]


def test_every_chunk_is_one_record_and_a_full_frame_fills_it() -> None:
    left, right, ours, _ = open_pair()
    ours.send(bytes(5 * MAX_PAYLOAD))
    left.open(KEY, "small control frames first")
    chunks = left.data_to_send(1 << 20)
    assert max(map(len, chunks)) <= MAX_PLAINTEXT
    assert list(map(len, chunks))[1:4] == [MAX_PLAINTEXT] * 3
    assert left.data_to_send(1 << 20) == []
    del right


def test_an_urgent_message_overtakes_bulk_of_its_own_and_other_channels() -> None:
    left, right, ours, theirs = open_pair()
    other = right.open(KEY, "bulk")
    left.open(KEY, "bulk")
    pump_mux(left, right)
    theirs.send(bytes(200_000))
    other.send(bytes(200_000))
    first = b"".join(right.data_to_send())
    theirs.send(b"now", urgent=True)
    left.receive_data(first + sent_by(right), 0.0)
    events = [event for event in mux_events(left) if isinstance(event, ChannelMessage)]
    assert [(event.urgent, len(event.data)) for event in events] == [
        (True, 3),
        (False, 200_000),
        (False, 200_000),
    ]
    del ours


def test_a_channel_that_is_not_consumed_stalls_none_other() -> None:
    left, right, slow, unread = open_pair()
    busy = left.open(KEY, "busy")
    read = right.open(KEY, "busy")
    pump_mux(left, right)
    total = 0
    for _ in range(100):
        if slow.writable:
            slow.send(bytes(100_000))
        busy.send(bytes(100_000))
        for event in pump_mux(left, right)[1]:
            if isinstance(event, ChannelMessage) and event.channel is read:
                read.consume(len(event.data))
                total += len(event.data)
    assert total == 100 * 100_000
    assert unread.window.buffered <= unread.window.size + unread.window.loan
    assert slow.queued > 0

    # Once it is consumed, all that waits comes through.
    unread.consume(unread.window.buffered - unread.partial)
    seen = pump_mux(left, right)
    while not slow.writable:
        for event in seen[1]:
            if isinstance(event, ChannelMessage):
                unread.consume(len(event.data))
        seen = pump_mux(left, right)
    assert ChannelDrained(slow) in seen[0]


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


def test_goodbye_is_the_last_word() -> None:
    left, right, ours, _ = open_pair()
    ours.send(b"not sent any more")
    left.say_goodbye("enough")
    left.say_goodbye("twice")
    assert pump_mux(left, right)[1] == [PeerLeft("enough")]
    for mux in (left, right):
        with pytest.raises(ClosedError):
            mux.open(KEY, "another")


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


def test_the_owner_is_woken_when_something_waits_to_be_sent() -> None:
    woken: list[bool] = []
    mux = Mux(
        initiator=True, handshake_hash=HANDSHAKE_HASH, now=0.0, wake=lambda: woken.append(True)
    )
    sent_by(mux)
    woken.clear()
    mux.open(KEY, "proto")
    assert woken
    assert mux.wants_to_send


@given(st.integers(1, 2000), st.lists(st.tuples(st.integers(1, 3000), st.booleans()), max_size=8))
def test_any_cutting_gives_the_same_events(chunk: int, sizes: list[tuple[int, bool]]) -> None:
    def converse(cut: int | None) -> list[tuple[bytes, bool]]:
        left, right, ours, _ = open_pair()
        for size, urgent in sizes:
            ours.send(bytes([size % 256]) * size, urgent=urgent)
        events = pump_mux(left, right, chunk=cut)[1]
        return [(event.data, event.urgent) for event in events if isinstance(event, ChannelMessage)]

    assert converse(chunk) == converse(None)


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
            assert mux._budget.taken == 0


TestOpeningsThatCross = OpeningsThatCross.TestCase
