from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.errors import ClosedError, HandshakeError, LimitError, ProtocolError
from net.noise import (
    DataReceived,
    Established,
    NoiseSession,
    PeerIdentified,
    StreamEnded,
    StreamMoved,
)
from net.noise.session import MAX_EARLY_DATA
from tests.reference.wire import (
    ALICE,
    BOB,
    established_pair,
    noise_events,
    noise_pair,
    pump_noise,
)

PATTERNS = pytest.mark.parametrize("known", [True, False], ids=["IK", "XX"])


@PATTERNS
def test_a_conversation(known: bool) -> None:
    left, right = noise_pair(known=known)
    ours, theirs = pump_noise(left, right)
    assert [type(event) for event in theirs] == [PeerIdentified, Established]
    assert [type(event) for event in ours] == ([] if known else [PeerIdentified]) + [Established]
    assert left.established is not None
    assert right.established is not None
    assert left.established.public_key == BOB.public_key
    assert right.established.public_key == ALICE.public_key
    assert left.established.protocol == right.established.protocol == "test"
    assert left.established.handshake_hash == right.established.handshake_hash

    left.send(b"ping")
    right.send(b"pong")
    left.send_end()
    ours, theirs = pump_noise(left, right)
    assert ours == [DataReceived(b"pong")]
    assert theirs == [DataReceived(b"ping"), StreamEnded()]
    right.receive_end()  # announced, so it is no news
    right.send(b"still open this way")
    assert pump_noise(left, right)[0] == [DataReceived(b"still open this way")]


@given(st.integers(1, 400), st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_any_cutting_gives_the_same_events(chunk: int, messages: list[bytes]) -> None:
    for known in (True, False):
        left, right = noise_pair(known=known)
        pump_noise(left, right, chunk)
        for message in messages:
            left.send(message)
        left.send_end()
        expected = [*map(DataReceived, messages), StreamEnded()]
        assert pump_noise(left, right, chunk)[1] == expected


@PATTERNS
def test_data_right_behind_the_handshake_is_not_lost(known: bool) -> None:
    left, right = noise_pair(known=known)
    for _ in range(3):
        right.receive_data(left.data_to_send())
        noise_events(right)
        left.receive_data(right.data_to_send())
        noise_events(left)
        if left.established is not None:
            break
    left.send(b"early")
    right.receive_data(left.data_to_send())
    assert noise_events(right)[-1] == DataReceived(b"early")


def test_a_recorded_first_message_establishes_nothing() -> None:
    left, right = noise_pair()
    first = left.data_to_send()
    right.receive_data(first)
    noise_events(right)
    left.receive_data(right.data_to_send())
    rest = left.data_to_send()

    again = NoiseSession(BOB, initiator=False)
    again.receive_data(first)
    assert [type(event) for event in noise_events(again)] == [PeerIdentified]
    assert again.established is None
    with pytest.raises(ProtocolError, match="not authentic"):
        again.receive_data(rest)
    assert again.established is None


@PATTERNS
def test_early_data_is_bounded(known: bool) -> None:
    left, right = noise_pair(known=known)
    right.receive_data(left.data_to_send())
    if not known:
        left.receive_data(right.data_to_send())
        noise_events(left)
        right.receive_data(left.data_to_send())
    right.receive_data(bytes(MAX_EARLY_DATA))
    with pytest.raises(LimitError, match="before the stream was accepted"):
        right.receive_data(b"x")


def test_the_end_of_the_carrier_is_a_cut_unless_announced() -> None:
    left, right = noise_pair()
    with pytest.raises(HandshakeError, match="refused us"):
        left.receive_end()
    left, right = established_pair()
    with pytest.raises(ClosedError, match="was cut"):
        right.receive_end()
    left.send_end()
    pump_noise(left, right)
    assert right.ended
    right.receive_end()


def test_an_error_is_for_ever() -> None:
    left, right = established_pair()
    left.send(b"hello")
    record = bytearray(left.data_to_send())
    record[-1] ^= 1
    with pytest.raises(ProtocolError) as first:
        right.receive_data(bytes(record))
    with pytest.raises(ProtocolError) as second:
        right.receive_data(b"")
    assert second.value is first.value
    with pytest.raises(ProtocolError):
        right.receive_end()


def test_sending_before_the_handshake_is_over_is_misuse() -> None:
    left, _ = noise_pair()
    with pytest.raises(RuntimeError, match="not finished"):
        left.send(b"x")
    with pytest.raises(RuntimeError, match="not finished"):
        left.send_end()


def test_a_direction_may_go_on_elsewhere() -> None:
    left, right = established_pair()
    with pytest.raises(RuntimeError, match="not finished"):
        noise_pair()[0].send_moved()
    assert left.moving_key == right.moving_key
    assert left.moving_key != established_pair()[0].moving_key
    left.send(b"last")
    left.send_moved()
    assert left.send_ended
    assert pump_noise(left, right)[1] == [DataReceived(b"last"), StreamMoved()]
    right.receive_end()
    with pytest.raises(RuntimeError, match="the last record"):
        left.send(b"more")
