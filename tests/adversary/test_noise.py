"""What a hostile or broken peer can do to a secure stream: end it, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.keys import KeyPair
from net.carriers import Carrier, connect_tcp, listen_tcp, memory_pair
from net.errors import ClosedError, DeadlineError, HandshakeError, LimitError, NetError, PeerError
from net.noise import DataReceived, NoiseSession, StreamEnded
from net.noise.handshake import MAX_HANDSHAKE_MESSAGE, PATTERN_IK, PATTERN_XX
from net.noise.records import HEADER, MAX_CIPHERTEXT
from net.noise.session import MAX_EARLY_DATA
from net.secure.opening import accept_stream, open_stream
from net.secure.stream import SecureStream
from tests.reference.receivers import Recording
from tests.reference.wire import (
    ALICE,
    BOB,
    EVE,
    established_pair,
    noise_events,
    noise_pair,
    pump_noise,
)

PATTERNS = pytest.mark.parametrize("known", [True, False], ids=["IK", "XX"])
MESSAGES = [b"one", b"two" * 1000, b"three"]

LOW_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]
"""Points with which every key exchange gives zero."""


def framed(pattern: int, message: bytes) -> bytes:
    return bytes([pattern]) + len(message).to_bytes(2, "little") + message


def converse(known: bool, tamper: int | None = None, cut: int | None = None) -> list[bytes]:
    """Hold a conversation whose bytes to the right are changed or cut at a place.

    Return what the right side took for data of the left, which must be a beginning of
    the truth; and check that it never believes in an end that was not announced.
    """
    left, right = noise_pair(known=known)
    position, taken, ended = 0, [], False
    with contextlib.suppress(PeerError):
        for step in range(8):
            data = bytearray(left.data_to_send())
            if tamper is not None and position <= tamper < position + len(data):
                data[tamper - position] ^= 0x40
            if cut is not None and position + len(data) > cut:
                right.receive_data(bytes(data[: max(0, cut - position)]))
                noise_events(right)
                break
            position += len(data)
            right.receive_data(bytes(data))
            for event in noise_events(right):
                if isinstance(event, DataReceived):
                    taken.append(event.data)
                ended = ended or isinstance(event, StreamEnded)
            left.receive_data(right.data_to_send())
            noise_events(left)
            if left.established is None:
                continue  # a changed length can leave the right side waiting for more
            if 3 <= step < 3 + len(MESSAGES):
                left.send(MESSAGES[step - 3])
            elif step == 3 + len(MESSAGES):
                left.send_end()
    assert taken == MESSAGES[: len(taken)]
    if tamper is not None or cut is not None:
        assert not ended
        with pytest.raises(NetError):
            right.receive_end()
    else:
        assert ended
        assert taken == MESSAGES
    return taken


@PATTERNS
def test_the_conversation_itself_is_whole(known: bool) -> None:
    converse(known)


@PATTERNS
@given(data=st.data())
def test_one_changed_bit_anywhere_ends_it(known: bool, data: st.DataObject) -> None:
    converse(known, tamper=data.draw(st.integers(0, 3200)))


@PATTERNS
@pytest.mark.parametrize("place", range(8))
def test_one_changed_bit_in_the_first_bytes(known: bool, place: int) -> None:
    converse(known, tamper=place)


@PATTERNS
def test_cut_at_any_byte_of_the_handshake_and_at_some_of_the_records(known: bool) -> None:
    for cut in [*range(0, 420, 3), 500, 1000, 3100, 3200]:
        converse(known, cut=cut)


@given(st.binary(max_size=2000), st.integers(1, 100), st.sampled_from([None, 0x11, 0x12]))
def test_garbage_to_a_responder(data: bytes, chunk: int, first: int | None) -> None:
    session = NoiseSession(BOB, initiator=False)
    stream = data if first is None else bytes([first]) + data
    with contextlib.suppress(PeerError):
        for start in range(0, len(stream), chunk):
            session.receive_data(stream[start : start + chunk])
    assert session.next_event() is None
    with pytest.raises(PeerError):
        session.receive_end()


@PATTERNS
@given(data=st.binary(min_size=1, max_size=2000))
def test_garbage_to_an_initiator(known: bool, data: bytes) -> None:
    session, _ = noise_pair(known=known)
    session.data_to_send()
    with contextlib.suppress(PeerError):
        session.receive_data(data)
    assert session.next_event() is None
    assert session.established is None


@given(st.binary(min_size=1, max_size=70_000))
def test_garbage_to_an_established_stream(data: bytes) -> None:
    _, right = established_pair()
    with contextlib.suppress(PeerError):
        right.receive_data(data)
    assert right.next_event() is None


def test_lengths_that_nothing_backs_cost_one_small_buffer() -> None:
    session = NoiseSession(BOB, initiator=False)
    with pytest.raises(HandshakeError, match=f"limit {MAX_HANDSHAKE_MESSAGE}"):
        session.receive_data(framed(PATTERN_IK, b"")[:1] + b"\xff\xff")
    _, right = established_pair()
    right.receive_data(HEADER.pack(0, MAX_CIPHERTEXT))
    assert right._opener is not None
    assert right._opener.buffered == HEADER.size


@PATTERNS
def test_a_recorded_conversation_played_to_another_responder(known: bool) -> None:
    left, right = noise_pair(known=known)
    recorded = b""
    for _ in range(4):
        data = left.data_to_send()
        recorded += data
        right.receive_data(data)
        noise_events(right)
        left.receive_data(right.data_to_send())
        noise_events(left)
    left.send(b"pay 100")
    recorded += left.data_to_send()

    again = NoiseSession(BOB, initiator=False)
    with pytest.raises(PeerError):  # noqa: PT012 - where it ends depends on the pattern
        for byte in recorded:
            again.receive_data(bytes([byte]))
            noise_events(again)
    assert again.established is None


@PATTERNS
def test_an_initiator_to_whom_its_own_bytes_come_back(known: bool) -> None:
    left, _ = noise_pair(known=known)
    with pytest.raises(HandshakeError):
        left.receive_data(left.data_to_send())


def test_records_reflected_to_their_sender() -> None:
    left, _ = established_pair()
    left.send(b"mine")
    with pytest.raises(PeerError, match="not authentic"):
        left.receive_data(left.data_to_send())


@pytest.mark.parametrize("point", LOW_ORDER, ids=lambda point: point.hex()[:8])
@pytest.mark.parametrize("pattern", [PATTERN_IK, PATTERN_XX])
def test_points_of_low_order(pattern: int, point: bytes) -> None:
    session = NoiseSession(BOB, initiator=False)
    with pytest.raises(HandshakeError):
        session.receive_data(framed(pattern, point + bytes(200 if pattern == PATTERN_IK else 0)))


@PATTERNS
def test_a_thief_of_a_name_without_its_key(known: bool) -> None:
    """Eve computes with her own static key and says that she is Alice."""
    thief = NoiseSession(
        KeyPair(ALICE.public_key, EVE.seed),
        initiator=True,
        remote_key=BOB.public_key if known else None,
    )
    bob = NoiseSession(BOB, initiator=False)
    with pytest.raises(HandshakeError, match="does not belong"):
        pump_noise(thief, bob)
    assert bob.established is None


def test_a_peer_that_talks_before_it_is_accepted() -> None:
    left, right = noise_pair()
    right.receive_data(left.data_to_send())
    with pytest.raises(LimitError, match="before the stream was accepted"):  # noqa: PT012 - a flood
        for _ in range(MAX_EARLY_DATA // 65536 + 1):
            right.receive_data(bytes(65536))
    assert len(right._early) <= MAX_EARLY_DATA


async def tcp_pair() -> tuple[Carrier, Carrier]:
    accepted: asyncio.Future[Carrier] = asyncio.get_running_loop().create_future()
    listener = await listen_tcp(accepted.set_result, "127.0.0.1")
    left = await connect_tcp(*listener.addresses[0])
    right = await accepted
    listener.close()
    return left, right


@pytest.mark.parametrize("what", ["garbage", "a flood", "half a handshake", "nothing", "an end"])
async def test_a_listener_survives(what: str) -> None:
    carrier, ours = await tcp_pair()
    hostile = Recording()
    carrier.start(hostile)
    noise = random.Random(1)
    if what == "garbage":
        carrier.write(noise.randbytes(1000))
    elif what == "a flood":
        carrier.write(noise.randbytes(5_000_000))
    elif what == "half a handshake":
        carrier.write(noise_pair()[0].data_to_send()[:100])
        carrier.write_end()
    elif what == "an end":
        carrier.write_end()
    with pytest.raises((HandshakeError, DeadlineError)):
        await accept_stream(ours, BOB, timeout=0 if what == "nothing" else 10)
    while "lost" not in hostile.calls and "ended" not in hostile.calls:
        await hostile.wait()
    carrier.abort()


async def test_a_peer_that_is_accepted_and_then_says_nothing_more() -> None:
    """The recorded first message: who plays it cannot go on, and is given up."""
    carrier, ours = memory_pair()
    carrier.start(Recording())
    carrier.write(noise_pair()[0].data_to_send())
    asked = asyncio.Event()

    def allow(key: bytes, protocol: str) -> bool:
        asked.set()
        return (key, protocol) == (ALICE.public_key, "test")

    accepting = asyncio.ensure_future(accept_stream(ours, BOB, allow=allow, timeout=3600))
    await asked.wait()
    carrier.write_end()
    with pytest.raises(HandshakeError):
        await accepting


async def stream_pair() -> tuple[SecureStream, SecureStream]:
    left, right = memory_pair()
    return await asyncio.gather(open_stream(left, ALICE, BOB.public_key), accept_stream(right, BOB))


@pytest.mark.parametrize("keep", range(7))
async def test_a_stream_cut_after_each_record(keep: int) -> None:
    ours, theirs = await stream_pair()
    messages = [bytes([number]) * 100 for number in range(5)]
    for message in messages:
        ours.write(message)
    ours._origin.send_end()
    records = ours._origin._outgoing
    ours._origin._outgoing = records[: 2 * keep]  # a header and a ciphertext each
    ours.flush()
    ours._carrier.close()
    expected = b"".join(messages[:keep])
    if keep == 6:
        assert await theirs.read() == expected
    else:
        if expected:
            assert await theirs.readexactly(len(expected)) == expected
        with pytest.raises(ClosedError, match="was cut"):
            await theirs.read(1)
    theirs.abort()


async def test_a_peer_that_never_stops_sending_does_not_keep_a_closed_stream() -> None:
    ours, theirs = await stream_pair()
    theirs.write(bytes(10_000_000))
    await asyncio.sleep(0)
    ours.close(linger=False)
    await ours.wait_closed()
    assert not ours._reader
    theirs.abort()
