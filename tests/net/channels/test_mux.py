"""Frames of many channels on one stream."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.channels import (
    ChannelDrained,
    ChannelMessage,
    Mux,
    PeerLeft,
    PeerReady,
)
from net.channels.messages import MAX_PAYLOAD
from net.errors import ClosedError
from net.noise.records import MAX_PLAINTEXT
from tests.reference.wire import HANDSHAKE_HASH, mux_events, open_pair, pump_mux, sent_by

KEY = bytes(range(32))


def test_hello_says_what_each_can_do() -> None:
    left = Mux(initiator=True, handshake_hash=HANDSHAKE_HASH, now=0.0, features=["walk"])
    right = Mux(initiator=False, handshake_hash=HANDSHAKE_HASH, now=0.0)
    ours, theirs = pump_mux(left, right)
    assert ours == [PeerReady(1, ())]
    assert theirs == [PeerReady(1, ("walk",))]


@pytest.mark.parametrize("size", [1, 1000, MAX_PAYLOAD, MAX_PAYLOAD + 1, 1 << 20, 16 << 20])
def test_messages_of_all_sizes(size: int) -> None:
    left, right, ours, theirs = open_pair(KEY)
    message = random.Random(size).randbytes(size)
    ours.send(message)
    assert pump_mux(left, right)[1] == [ChannelMessage(theirs, message, urgent=False)]
    theirs.consume(size)
    ours.send(b"next")
    assert pump_mux(left, right)[1] == [ChannelMessage(theirs, b"next", urgent=False)]


def test_every_chunk_is_one_record_and_a_full_frame_fills_it() -> None:
    left, right, ours, _ = open_pair(KEY)
    ours.send(bytes(5 * MAX_PAYLOAD))
    left.open(KEY, "small control frames first")
    chunks = left.data_to_send(1 << 20)
    assert max(map(len, chunks)) <= MAX_PLAINTEXT
    assert list(map(len, chunks))[1:4] == [MAX_PLAINTEXT] * 3
    assert left.data_to_send(1 << 20) == []
    del right


def test_an_urgent_message_overtakes_bulk_of_its_own_and_other_channels() -> None:
    left, right, ours, theirs = open_pair(KEY)
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
    left, right, slow, unread = open_pair(KEY)
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


def test_goodbye_is_the_last_word() -> None:
    left, right, ours, _ = open_pair(KEY)
    ours.send(b"not sent any more")
    left.say_goodbye("enough")
    left.say_goodbye("twice")
    assert pump_mux(left, right)[1] == [PeerLeft("enough")]
    for mux in (left, right):
        with pytest.raises(ClosedError):
            mux.open(KEY, "another")


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
        left, right, ours, _ = open_pair(KEY)
        for size, urgent in sizes:
            ours.send(bytes([size % 256]) * size, urgent=urgent)
        events = pump_mux(left, right, chunk=cut)[1]
        return [(event.data, event.urgent) for event in events if isinstance(event, ChannelMessage)]

    assert converse(chunk) == converse(None)
