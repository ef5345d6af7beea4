from __future__ import annotations

import itertools

import pytest

from net.channels.channel import (
    MAX_MESSAGE,
    SEND_HIGH,
    SEND_LIMIT,
    SEND_LOW,
    SMALL_FRAGMENT,
    TRANSITIONS,
    URGENT_RESERVE,
    Channel,
    ReceiveLane,
    State,
)
from net.channels.messages import MAX_CREDIT, MAX_PAYLOAD
from net.channels.window import Budget, ReceiveWindow
from net.errors import ClosedError, LimitError, ProtocolError


class Recorder:
    """A mux that does nothing but remember what it was asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def wake(self, channel: Channel) -> None:
        self.calls.append(f"wake {channel.number}")

    def replenish(self, channel: Channel) -> None:
        self.calls.append(f"replenish {channel.number}")

    def close(self, channel: Channel, reason: str = "") -> None:
        self.calls.append(f"close {channel.number} {reason}")


@pytest.fixture
def owner() -> Recorder:
    return Recorder()


@pytest.fixture
def channel(owner: Recorder) -> Channel:
    made = Channel(owner, bytes(32), (b"d" * 32, "proto"), ReceiveWindow(Budget(), 0.0))
    made.number = 1
    made.become(State.OPEN)
    made.grant(1 << 20)
    return made


def test_it_says_what_it_is(channel: Channel) -> None:
    assert (channel.discovery_key, channel.protocol) == (b"d" * 32, "proto")
    assert repr(channel) == "<Channel 1 64646464 proto open>"
    assert channel.is_open


def test_a_large_message_leaves_in_full_frames(channel: Channel, owner: Recorder) -> None:
    message = bytes(range(256)) * 1024
    channel.send(message)
    assert owner.calls == ["wake 1"]
    sent, more = b"", True
    while more:
        payload, more, _ = channel.take(urgent=False)
        assert len(payload) == MAX_PAYLOAD or not more
        sent += payload
    assert sent == message
    assert channel.queued == 0
    assert channel.credit == (1 << 20) - len(message)


def test_bulk_leaves_credit_for_urgent_messages(channel: Channel) -> None:
    channel.credit = URGENT_RESERVE + 10
    channel.send(bytes(100))
    payload, more, _ = channel.take(urgent=False)
    assert (len(payload), more) == (10, True)
    assert not channel.sendable(urgent=False)
    channel.send(b"cancel", urgent=True)
    assert channel.take(urgent=True)[:2] == (b"cancel", False)


def test_writable_falls_at_the_high_mark_and_rises_at_the_low(channel: Channel) -> None:
    channel.credit = MAX_CREDIT
    channel.send(bytes(SEND_HIGH))
    states = [channel.writable]
    channel.send(b"x")
    states.append(channel.writable)
    drained = [channel.take(urgent=False)[2] for _ in range(17)]
    states.append(channel.writable)
    assert states == [True, False, True]
    assert drained.count(True) == 1
    assert channel.queued < SEND_LOW


def test_what_may_be_sent(channel: Channel) -> None:
    for wrong in (b"", bytes(MAX_MESSAGE + 1)):
        with pytest.raises(ValueError, match="limits 1 and"):
            channel.send(wrong)
    for _ in range(SEND_LIMIT // MAX_MESSAGE):
        channel.send(bytes(MAX_MESSAGE))
    with pytest.raises(RuntimeError, match="heed `writable`"):
        channel.send(b"x")
    channel.become(State.CLOSING)
    assert channel.queued == 0
    with pytest.raises(ClosedError, match="closing"):
        channel.send(b"x")


def test_credit_beyond_what_there_can_be_is_refused(channel: Channel) -> None:
    channel.grant(MAX_CREDIT - channel.credit)
    with pytest.raises(ProtocolError, match="credit of"):
        channel.grant(1)


def test_lanes_are_assembled_apart(channel: Channel) -> None:
    def receive(data: bytes, urgent: bool, more: bool) -> bytes | None:
        return channel.receive(memoryview(data), urgent=urgent, more=more)

    assert receive(b"bulk ", False, True) is None
    assert receive(b"urgent ", True, True) is None
    assert channel.partial == 12
    assert receive(b"message", False, False) == b"bulk message"
    assert receive(b"message", True, False) == b"urgent message"
    assert receive(b"whole", False, False) == b"whole"
    assert channel.partial == 0
    with pytest.raises(ProtocolError, match="without bytes"):
        receive(b"", False, False)


def test_a_message_over_the_limit_is_refused_at_the_limit() -> None:
    lane = ReceiveLane()
    piece = memoryview(bytes(1 << 20))
    for _ in range(16):
        lane.add(piece)
    with pytest.raises(LimitError, match="more than 16777216 bytes"):
        lane.add(memoryview(b"x"))


def test_small_fragments_are_gathered() -> None:
    lane = ReceiveLane()
    for _ in range(1000):
        lane.add(memoryview(b"ab"))
    lane.add(memoryview(bytes(SMALL_FRAGMENT)))
    lane.add(memoryview(b"end"))
    assert len(lane._parts) == 3
    assert lane.finish() == b"ab" * 1000 + bytes(SMALL_FRAGMENT) + b"end"
    assert lane.size == 0


def test_consuming_and_closing_go_through_the_mux(channel: Channel, owner: Recorder) -> None:
    channel.receive(memoryview(b"12345"), urgent=False, more=False)
    channel.consume(5)
    channel.close("why")
    assert owner.calls == ["replenish 1", "close 1 why"]
    channel.become(State.CLOSED)
    channel.consume(5)  # too late to matter, and no error


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_only_the_transitions_in_the_table(before: State, after: State) -> None:
    channel = Channel(Recorder(), bytes(32), (bytes(32), "p"), ReceiveWindow(Budget(), 0.0))
    channel.state = before
    if after in TRANSITIONS[before]:
        channel.become(after)
        assert channel.state is after
    else:
        with pytest.raises(AssertionError):
            channel.become(after)
